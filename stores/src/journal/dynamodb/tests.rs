//! The exact requests, and the handling of unexpected answers.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use chrono::DateTime;
use engine::{Engine, Fault, Tables};

use super::*;
use ledger::id::AssetId;
use ledger::id::Key;
use ledger::journal::Scan;

fn key(of: u128) -> Key {
    Key { tenant: "main".parse().unwrap(), asset: AssetId::new(DateTime::UNIX_EPOCH, of) }
}

fn event(version: u64) -> StoredLine {
    StoredLine { version, body: format!("{{\"version\":{version}}}") }
}

struct World {
    engine: Engine,
    tables: Tables,
    journal: DynamoJournal,
}

async fn world() -> World {
    let engine = Engine::new();
    let tables = engine.tables().await;
    let journal = DynamoJournal::new(tables.client.clone(), &tables.journal);
    World { engine, tables, journal }
}

impl World {
    /// The same journal, through a client that times out and retries.
    fn impatient(&self, attempts: u32) -> DynamoJournal {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(1));
        let config = self.engine.config().timeout_config(timeouts.build());
        let config = config.retry_config(RetryConfig::standard().with_max_attempts(attempts));
        DynamoJournal::new(Client::from_conf(config.build()), &self.tables.journal)
    }

    async fn put(&self, key: &Key, attributes: &[(&str, AttributeValue)]) {
        let mut put = self.tables.client.put_item().table_name(&self.tables.journal);
        put = put.item("pk", AttributeValue::S(key.partition()));
        for (name, value) in attributes {
            put = put.item(*name, value.clone());
        }
        put.send().await.unwrap();
    }

    async fn kinds(&self) -> [StoreErrorKind; 3] {
        let (key, journal) = (key(1), &self.journal);
        [
            journal.history(&key).await.unwrap_err().kind,
            journal.last(&key).await.unwrap_err().kind,
            journal.append(&key, event(1)).await.unwrap_err().kind,
        ]
    }
}

#[tokio::test]
async fn an_append_is_one_put_on_the_condition_that_its_key_is_free() {
    let put = request::append(
        Engine::new().client().put_item(),
        "journal",
        &key(1).partition(),
        event(3),
    );
    let put = put.as_input().clone().build().unwrap();
    let item = put.item().unwrap();
    assert_eq!(put.table_name(), Some("journal"));
    assert_eq!(item["pk"], AttributeValue::S(key(1).partition()));
    assert_eq!(item["sk"], AttributeValue::N("3".into()));
    assert_eq!(item["body"], AttributeValue::S(event(3).body));
    assert_eq!(item.len(), 3);
    assert_eq!(put.condition_expression(), Some("attribute_not_exists(pk)"));
    assert_eq!(put.return_values_on_condition_check_failure().unwrap().as_str(), "ALL_OLD");
    assert_eq!(put.return_consumed_capacity(), Some(&ReturnConsumedCapacity::Total));
}

#[tokio::test]
async fn reads_are_consistent_queries_of_one_key() {
    let client = Engine::new().client();
    let history = request::history(client.query(), "journal", &key(1).into());
    let last = request::last(client.query(), "journal", &key(1).into());
    for query in [&history, &last] {
        let query = query.as_input().clone().build().unwrap();
        assert_eq!(query.consistent_read(), Some(true));
        assert_eq!(query.key_condition_expression(), Some("pk = :pk"));
        let values = query.expression_attribute_values().unwrap();
        assert_eq!(values[":pk"], AttributeValue::S(key(1).partition()));
        assert_eq!((query.index_name(), query.filter_expression()), (None, None));
    }
    assert_eq!((history.get_scan_index_forward(), history.get_limit()), (&Some(true), &None));
    assert_eq!((last.get_scan_index_forward(), last.get_limit()), (&Some(false), &Some(1)));
}

#[tokio::test]
async fn what_is_refused_or_breaks_is_of_the_kind_that_callers_act_on() {
    let world = world().await;
    for (fault, kind) in [
        (Fault::THROTTLED, StoreErrorKind::Throttled),
        (Fault::THROTTLED_ACCOUNT, StoreErrorKind::Throttled),
        (Fault::INTERNAL, StoreErrorKind::Unavailable),
        (Fault::Lost, StoreErrorKind::Unavailable),
        (Fault::ReplyLost, StoreErrorKind::Unavailable),
        (Fault::Refused(400, "AccessDeniedException"), StoreErrorKind::Misconfigured),
        (Fault::Refused(400, "ValidationException"), StoreErrorKind::Misconfigured),
    ] {
        world.engine.fail(move |_| Some(fault));
        assert_eq!(world.kinds().await, [kind; 3], "{fault:?}");
    }
}

#[tokio::test]
async fn a_table_that_is_missing_or_of_another_shape_is_for_the_deployment_to_mend() {
    let mut world = world().await;
    world.journal = DynamoJournal::new(world.tables.client.clone(), "nobody-s");
    assert_eq!(world.kinds().await, [StoreErrorKind::Misconfigured; 3]);
    // The sort key of that table is text.
    world.journal = DynamoJournal::new(world.tables.client.clone(), &world.tables.views);
    let refused = world.journal.append(&key(1), event(1)).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Misconfigured);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_not_waited_on_for_ever() {
    let world = world().await;
    let journal = world.impatient(1);
    world.engine.fail(|_| Some(Fault::Hang));
    assert_eq!(journal.history(&key(1)).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(journal.last(&key(1)).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    assert_eq!(
        journal.append(&key(1), event(1)).await.unwrap_err().kind,
        StoreErrorKind::Unavailable
    );
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_lost_leaves_the_event_to_be_found() {
    for fault in [Fault::ReplyLost, Fault::ReplyHangs] {
        let world = world().await;
        let (journal, mut faults) = (world.impatient(3), vec![fault]);
        world.engine.fail(move |_| faults.pop());
        // The SDK retries, and finds the version taken by this very event.
        let answer = journal.append(&key(1), event(1)).await.unwrap();
        assert_eq!(answer, Appended::Taken(event(1)), "{fault:?}");
        assert_eq!(journal.history(&key(1)).await.unwrap(), [event(1)]);
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_that_ends_costs_time_and_nothing_else() {
    let world = world().await;
    let (journal, mut faults) = (world.impatient(3), vec![Fault::THROTTLED; 2]);
    world.engine.fail(move |_| faults.pop());
    assert_eq!(journal.append(&key(1), event(1)).await.unwrap(), Appended::Written);
}

#[tokio::test]
async fn an_item_that_is_not_an_event_is_for_a_person_to_look_at() {
    let world = world().await;
    let version = ("sk", AttributeValue::N("1".into()));
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let bodies = [
        vec![version.clone()],
        vec![version.clone(), ("body", AttributeValue::N("1".into()))],
        vec![("sk", AttributeValue::N("1.5".into())), ("body", text("{}"))],
        vec![("sk", AttributeValue::N("-1".into())), ("body", text("{}"))],
    ];
    for (nth, attributes) in (1..).zip(&bodies) {
        let key = key(nth);
        world.put(&key, attributes).await;
        let kinds = [
            world.journal.history(&key).await.unwrap_err().kind,
            world.journal.last(&key).await.unwrap_err().kind,
        ];
        assert_eq!(kinds, [StoreErrorKind::Corrupt; 2], "{attributes:?}");
    }
    // A second writer learns that the item is broken, not that its version is taken.
    let taken = world.journal.append(&key(1), event(1)).await.unwrap_err();
    assert_eq!(taken.kind, StoreErrorKind::Corrupt);
}

#[test]
fn an_item_of_another_asset_is_refused() {
    let item = DynamoItem::from([
        ("pk".to_owned(), AttributeValue::S(key(2).partition())),
        ("sk".to_owned(), AttributeValue::N("1".into())),
        ("body".to_owned(), AttributeValue::S("{}".into())),
    ]);
    assert_eq!(
        super::event(&key(1).partition(), &item).map_err(|error| error.kind),
        Err(StoreErrorKind::Corrupt)
    );
    assert_eq!(
        super::event(&key(2).partition(), &item).unwrap(),
        StoredLine { version: 1, body: "{}".into() }
    );
}

#[tokio::test]
async fn a_scan_gives_what_is_no_event_as_it_lies_there() {
    let world = world().await;
    world.journal.append(&key(1), event(1)).await.unwrap();
    let put = world.tables.client.put_item().table_name(&world.tables.journal);
    let stranger = put.item("pk", AttributeValue::S("MAIN#x".into()));
    stranger.item("sk", AttributeValue::N("2.5".into())).send().await.unwrap();
    let [segment] = &world.journal.segments(1).await.unwrap()[..] else { panic!("not one") };
    let page = world.journal.page(segment, None).await.unwrap();
    let of = |partition: &str| {
        let stored = page.items.iter().find(|item| item.partition == partition).unwrap();
        stored.line.clone()
    };
    assert_eq!(of(&key(1).partition()), Ok(event(1)));
    let stray = of("MAIN#x").unwrap_err();
    assert_eq!(stray.version, "2.5");
    assert!(stray.why.contains("sk"), "{stray}");
}
