//! The exact requests, and the handling of unexpected answers.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use engine::{Engine, Fault, Tables};

use super::*;
use crate::dynamodb::DynamoItem;
use projections::row::Row;
use projections::rows::Rows;
use projections::testing::{Clock, Story};

struct World {
    engine: Engine,
    tables: Tables,
    views: DynamoViews,
}

async fn world() -> World {
    let engine = Engine::new();
    let tables = engine.tables().await;
    let views = DynamoViews::new(tables.client.clone(), &tables.views, 8);
    World { engine, tables, views }
}

fn table() -> RowTable {
    RowTable { name: "rows".to_owned(), shards: 8, generation: Generation::FIRST }
}

fn story(nth: u32) -> Story {
    Story::begin("main", nth).received().uploaded()
}

fn parked(story: &Story) -> Parked {
    let at = Clock::default().0;
    Parked {
        key: story.key.clone(),
        version: 4,
        error: "a gap".to_owned(),
        at,
        contradicted: false,
    }
}

fn query(state: Option<AssetStatus>, limit: usize) -> ListQuery {
    ListQuery { state, ..ListQuery::all(Tenant::default(), limit) }
}

fn text(of: &str) -> AttributeValue {
    AttributeValue::S(of.to_owned())
}

impl World {
    async fn kinds(&self) -> Vec<StoreErrorKind> {
        let (views, story, all) = (&self.views, story(1), query(None, 9));
        vec![
            views.get(&story.key).await.unwrap_err().kind,
            views.get_eventually(&story.key).await.unwrap_err().kind,
            views.put(&story.asset()).await.unwrap_err().kind,
            views.list(&all).await.unwrap_err().kind,
            views.park(&parked(&story)).await.unwrap_err().kind,
            views.parked(&all.tenant, 9).await.unwrap_err().kind,
        ]
    }

    async fn alter(&self, story: &Story, name: &str, to: Option<AttributeValue>) {
        let table = &self.views.table;
        let mut item = item::attributes(&story.asset()).unwrap();
        match to {
            Some(value) => item.insert(name.to_owned(), value),
            None => item.remove(name),
        };
        let put = self.tables.client.put_item().table_name(&table.name).set_item(Some(item));
        let pk = text(&format!("main#1#{}", story.key.asset.last_byte() % 8));
        let put = put.item("pk", pk).item("sk", text(&story.key.asset.to_string()));
        put.send().await.unwrap();
    }
}

#[test]
fn a_row_is_put_whole_if_it_is_newer() {
    let (client, story) = (Engine::new().client(), story(21));
    let put = table().put(client.put_item(), &story.asset()).unwrap();
    let put = put.as_input().clone().build().unwrap();
    let condition = "attribute_not_exists(pk) OR #version < :version";
    assert_eq!(put.condition_expression(), Some(condition));
    assert_eq!(put.expression_attribute_names().unwrap()["#version"], "version");
    let values = put.expression_attribute_values().unwrap();
    assert_eq!(values[":version"], AttributeValue::N("3".to_owned()));
    let item = put.item().unwrap();
    assert_eq!(item["pk"], text("main#1#5"), "the last byte of the id is 21");
    assert_eq!(item["sk"], text(&story.key.asset.to_string()));
    assert_eq!(item["state"], text("UPLOADED"));
    assert_eq!(item["confirmed"], AttributeValue::Bool(true));
    for name in item.keys().filter(|name| !["pk", "sk"].contains(&name.as_str())) {
        assert!(Row::ATTRIBUTES.contains(&name.as_str()), "{name} is no attribute of a row");
    }
}

#[test]
fn a_row_is_inserted_with_every_attribute_that_a_put_writes() {
    let (client, story) = (Engine::new().client(), story(21));
    let put = table().put(client.put_item(), &story.asset()).unwrap().as_input().clone();
    let put = put.build().unwrap();
    let insert = table().insert(&story.asset()).unwrap();
    let names = insert.statement().strip_prefix("INSERT INTO \"rows\" VALUE {").unwrap();
    let names = names.strip_suffix('}').unwrap().split(", ");
    let names = names.map(|name| name.strip_suffix(": ?").unwrap().trim_matches('\''));
    let item: DynamoItem = names.map(str::to_owned).zip(insert.parameters().to_vec()).collect();
    assert_eq!(&item, put.item().unwrap());
}

/// New rows take a request for every 25, and each a write unit as before. A row that is there is
/// compared by a put of its own.
#[tokio::test]
async fn rows_are_inserted_together_and_none_replaces_a_newer_one() {
    let world = world().await;
    let all: Vec<_> = (1..=60).map(|nth| story(nth).asset()).collect();
    let newer = story(2).deleted().asset();
    world.views.put(&Story::begin("main", 1).asset()).await.unwrap();
    world.views.put(&newer).await.unwrap();
    drop(world.engine.take_tally());
    let put: Vec<_> = world.views.put_all(&all).await.into_iter().map(Result::unwrap).collect();
    let tally = world.engine.take_tally();
    assert_eq!(tally.of(&world.tables.views, "BatchExecuteStatement").requests, 3);
    assert_eq!(tally.of(&world.tables.views, "PutItem").requests, 2, "those that were there");
    let stale: Vec<_> = (0..60).filter(|nth| put[*nth] == PutOutcome::Stale).collect();
    assert_eq!((put.len(), stale), (60, vec![1]));
    for (nth, asset) in all.iter().enumerate() {
        let there = world.views.get(&asset.key).await.unwrap().unwrap();
        assert_eq!(&there, if nth == 1 { &newer } else { asset });
    }
}

/// For example without the permission, or at an endpoint that has no PartiQL.
#[tokio::test]
async fn rows_that_cannot_be_inserted_are_put() {
    let all: Vec<_> = (1..=30).map(|nth| story(nth).asset()).collect();
    for fault in [
        Fault::Refused(400, "AccessDeniedException"),
        Fault::Refused(400, "UnknownOperationException"),
        Fault::THROTTLED,
        Fault::Lost,
        Fault::ReplyLost,
    ] {
        let world = world().await;
        world
            .engine
            .fail(move |asked| (asked.operation == "BatchExecuteStatement").then_some(fault));
        let put = world.views.put_all(&all).await;
        assert!(put.iter().all(Result::is_ok), "{fault:?}: {put:?}");
        for asset in &all {
            let there = world.views.get(&asset.key).await.unwrap();
            assert_eq!(there.as_ref(), Some(asset), "{fault:?}");
        }
        world.engine.fail(move |_| Some(Fault::THROTTLED));
        let kinds = world.views.put_all(&all).await.into_iter().map(|put| put.unwrap_err().kind);
        assert!(kinds.eq([StoreErrorKind::Throttled; 30]));
    }
}

#[test]
fn a_tombstone_says_when_it_may_go_in_the_form_that_ttl_reads() {
    let purged = Story::begin("main", 1).received().deleted().purged().asset();
    let item = item::attributes(&purged).unwrap();
    let expires = purged.updated_at + chrono::TimeDelta::days(8);
    assert_eq!(item["expires_at"], AttributeValue::N(expires.timestamp().to_string()));
    assert!(!item::attributes(&story(1).asset()).unwrap().contains_key("expires_at"));
}

#[test]
fn a_list_asks_each_shard_for_its_share() {
    let client = Engine::new().client();
    let part = |state, after| {
        let request = table().part(client.query(), &query(state, 100), 3, after);
        request.as_input().clone().build().unwrap()
    };
    let all = part(None, None);
    assert_eq!(all.key_condition_expression(), Some("pk = :pk"));
    assert_eq!(all.expression_attribute_values().unwrap()[":pk"], text("main#1#3"));
    assert_eq!(all.filter_expression(), Some("#state <> :PURGED"));
    assert_eq!((all.scan_index_forward(), all.limit()), (Some(false), Some(25)));
    assert_eq!((all.consistent_read(), all.index_name()), (None, None));

    let after = story(1).key.asset;
    let deleted = part(Some(AssetStatus::Deleted), Some(after));
    assert_eq!(deleted.key_condition_expression(), Some("pk = :pk AND sk < :after"));
    let filter = "#state IN (:DELETED, :PURGING) OR attribute_not_exists(#state) OR NOT \
        (#state IN (:CREATED, :RECEIVED, :UPLOADED, :DELETED, :PURGING, :PURGED))";
    assert_eq!(deleted.filter_expression(), Some(filter));
    let values = deleted.expression_attribute_values().unwrap();
    assert_eq!(values[":after"], text(&after.to_string()));
    assert_eq!(values[":PURGING"], text("PURGING"));
}

#[test]
fn what_is_set_aside_lies_beside_the_rows() {
    let (client, story) = (Engine::new().client(), story(1));
    let park = table().park(client.put_item(), &parked(&story)).as_input().clone();
    let park = park.build().unwrap();
    let condition =
        "attribute_not_exists(pk) OR (attribute_not_exists(contradicted) AND #version <= :version)";
    assert_eq!(park.condition_expression(), Some(condition));
    let item = park.item().unwrap();
    assert_eq!(item["pk"], text("main#parked"));
    assert_eq!(item["sk"], text(&story.key.asset.to_string()));
    let void = table().void(client.delete_item(), &parked(&story)).as_input().clone();
    let condition = "#version <= :version AND attribute_not_exists(contradicted)";
    assert_eq!(void.build().unwrap().condition_expression(), Some(condition));
}

#[tokio::test]
async fn a_row_is_read_consistently_only_where_that_is_promised() {
    let (world, (asked, consistent)) = (world().await, std::sync::mpsc::channel());
    world.engine.fail(move |request| {
        asked.send(request.body["ConsistentRead"].as_bool() == Some(true)).unwrap();
        None
    });
    world.views.get(&story(1).key).await.unwrap();
    world.views.get_eventually(&story(1).key).await.unwrap();
    world.views.parked(&Tenant::default(), 9).await.unwrap();
    assert_eq!(consistent.try_iter().collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn what_is_refused_or_breaks_is_of_the_kind_that_callers_act_on() {
    let world = world().await;
    for (fault, kind) in [
        (Fault::THROTTLED, StoreErrorKind::Throttled),
        (Fault::INTERNAL, StoreErrorKind::Unavailable),
        (Fault::Lost, StoreErrorKind::Unavailable),
        (Fault::ReplyLost, StoreErrorKind::Unavailable),
        (Fault::Refused(400, "AccessDeniedException"), StoreErrorKind::Misconfigured),
    ] {
        world.engine.fail(move |_| Some(fault));
        assert_eq!(world.kinds().await, [kind; 6], "{fault:?}");
    }
}

#[tokio::test]
async fn a_table_that_is_missing_or_of_another_shape_is_for_the_deployment_to_mend() {
    let mut world = world().await;
    // The journal's sort key is a number.
    for table in ["nobody-s", world.tables.journal.as_str()] {
        world.views = DynamoViews::new(world.tables.client.clone(), table, 8);
        let refused = world.views.put(&story(1).asset()).await.unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Misconfigured, "{table}");
        let refused = world.views.get(&story(1).key).await.unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Misconfigured, "{table}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_not_waited_on_for_ever() {
    let mut world = world().await;
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(1));
    let config = world.engine.config().timeout_config(timeouts.build()).build();
    world.views = DynamoViews::new(Client::from_conf(config), &world.tables.views, 8);
    world.engine.fail(|_| Some(Fault::Hang));
    assert_eq!(world.kinds().await, [StoreErrorKind::Unavailable; 6]);
}

#[tokio::test(start_paused = true)]
async fn a_row_whose_reply_was_lost_is_there_and_as_good_as_newer() {
    let world = world().await;
    let retries = RetryConfig::standard().with_max_attempts(3);
    let client = Client::from_conf(world.engine.config().retry_config(retries).build());
    let views = DynamoViews::new(client, &world.tables.views, 8);
    let mut faults = vec![Fault::ReplyLost];
    world.engine.fail(move |_| faults.pop());
    assert_eq!(views.put(&story(1).asset()).await.unwrap(), PutOutcome::Stale);
    assert_eq!(views.get(&story(1).key).await.unwrap(), Some(story(1).asset()));
}

#[tokio::test]
async fn a_row_that_was_altered_is_corrupt_and_others_are_not() {
    let alterations = [
        ("head", None),
        ("head", Some(text("not a hash"))),
        ("version", Some(text("3"))),
        ("state", Some(text("LOST"))),
        ("tags", Some(AttributeValue::Bool(true))),
        ("tags", Some(text("{"))),
        ("colour", Some(text("red"))),
    ];
    for (name, value) in alterations {
        let world = world().await;
        world.alter(&story(1), name, value.clone()).await;
        world.views.put(&story(2).asset()).await.unwrap();
        let kind = world.views.get(&story(1).key).await.unwrap_err().kind;
        assert_eq!(kind, StoreErrorKind::Corrupt, "{name} {value:?}");
        assert_eq!(world.views.get(&story(2).key).await.unwrap(), Some(story(2).asset()));
        let tenant = Tenant::default();
        let (bad, good) = (world.views.page(&tenant, 1, None), world.views.page(&tenant, 2, None));
        let [bad, good] = [bad.await.unwrap().rows, good.await.unwrap().rows];
        assert_eq!(bad[0].id, story(1).key.asset.to_string());
        assert_eq!(
            bad[0].asset.as_ref().unwrap_err().kind,
            StoreErrorKind::Corrupt,
            "{name} {value:?}"
        );
        assert!(good[0].asset.is_ok());
        let list = world.views.list(&query(None, 9)).await.unwrap();
        assert_eq!(list.assets, [story(2).asset()], "{name} {value:?}");
        assert_eq!(list.unreadable[0].asset, story(1).key.asset);
        // An unreadable row is at no version, so its asset can be parked.
        world.views.park(&parked(&story(1))).await.unwrap();
        assert_eq!(world.views.parked(&Tenant::default(), 9).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn listing_what_is_set_aside_lets_go_of_what_a_row_has_reached() {
    let world = world().await;
    world.views.park(&parked(&story(1))).await.unwrap();
    world.views.put(&story(1).deleted().asset()).await.unwrap();
    let aside = async || -> i32 {
        let all = QueryFluentBuilder::table_name(world.tables.client.query(), &world.tables.views);
        let all = all.key_condition_expression("pk = :pk");
        all.expression_attribute_values(":pk", text("main#parked")).send().await.unwrap().count()
    };
    assert_eq!(aside().await, 1, "a put is one write");
    assert_eq!(world.views.parked(&Tenant::default(), 9).await.unwrap(), []);
    assert_eq!(aside().await, 0);
}

/// A page of only such rows, before the end of the shard, does not end the list.
#[tokio::test]
async fn rows_of_no_asset_do_not_end_a_list() {
    let world = world().await;
    let views = DynamoViews::new(world.tables.client.clone(), &world.tables.views, 1);
    let stories = [story(1), story(2)];
    for story in &stories {
        views.put(&story.asset()).await.unwrap();
        let plant = world.tables.client.put_item().table_name(&world.tables.views);
        let plant = plant.item("pk", text("main#1#0")).item("state", text("UPLOADED"));
        let sk = text(&format!("zz{}", story.key.asset));
        plant.item("sk", sk).send().await.unwrap();
    }
    for state in [None, Some(AssetStatus::Uploaded)] {
        let mut found = Vec::new();
        let mut query = query(state, 1);
        loop {
            let page = views.list(&query).await.unwrap();
            found.extend(page.assets);
            let Some(next) = page.next else { break };
            query.after = Some(next);
        }
        assert_eq!(found, [stories[1].asset(), stories[0].asset()], "{state:?}");
    }
}

#[tokio::test]
async fn a_page_whose_rows_all_lie_in_one_shard_takes_more_rounds_and_is_whole() {
    let world = world().await;
    let mut ids = Vec::new();
    for nth in 0..300 {
        let mut asset = story(nth).asset();
        // The worst case of random ids.
        asset.key.asset = AssetId::new(asset.created_at, u128::from(nth) << 8);
        world.views.put(&asset).await.unwrap();
        ids.insert(0, asset.key.asset);
    }
    drop(world.engine.take_tally());
    let page = world.views.list(&query(None, 60)).await.unwrap();
    let found: Vec<_> = page.assets.iter().map(|asset| asset.key.asset).collect();
    assert_eq!((&found[..], page.next), (&ids[..60], Some(ids[59])));
    let queries = world.engine.take_tally().total().requests;
    assert_eq!(queries, 8 + 3, "its shard is read on, the others are exhausted");
}

#[tokio::test]
async fn a_filter_that_holds_much_back_gives_short_pages_and_bounded_rounds() {
    let world = world().await;
    world.views.put(&story(1).deleted().asset()).await.unwrap();
    for nth in 2..400 {
        world.views.put(&story(nth).asset()).await.unwrap();
    }
    let (mut query, mut pages, mut found) = (query(Some(AssetStatus::Deleted), 10), 0, Vec::new());
    loop {
        drop(world.engine.take_tally());
        let page = world.views.list(&query).await.unwrap();
        assert!(world.engine.take_tally().total().requests <= 8 * ROUNDS as u64);
        found.extend(page.assets);
        pages += 1;
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(found, [story(1).deleted().asset()]);
    assert!(pages > 1, "not read in one go");
}
