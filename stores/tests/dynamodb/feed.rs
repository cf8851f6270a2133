//! A page of the feed reads events at their places: the length of a history costs nothing, and only
//! what a replica does not show is read with strong consistency.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use engine::Fault;
use ledger::error::StoreErrorKind;
use ledger::id::{AssetId, Tenant};
use projections::Runner;
use projections::feed::{Feed as _, FeedError, FeedEvent, FeedQuery, FeedRetention};
use stores::{DynamoJournal, DynamoViews};
use tokio::time::Instant;

use crate::world::{DynamoFixture, world};

impl DynamoFixture {
    async fn page(&self, limit: usize) -> Result<Vec<FeedEvent>, FeedError> {
        let (tenant, after) = (Tenant::default(), None);
        let query = FeedQuery { tenant, after, limit, kind: None, actor: None };
        self.feed.page(&query).await.map(|page| page.events)
    }

    /// So many assets of an event each.
    async fn announced(&self, count: usize) -> Vec<AssetId> {
        let mut assets = Vec::new();
        for _ in 0..count {
            let asset = self.create().await;
            self.project(asset, 0).await;
            assets.push(asset);
        }
        drop(self.engine.take_tally());
        assets
    }

    /// The requests to the journal and their read units since the last call.
    fn read(&self) -> (u64, f64) {
        let used = self.engine.take_tally().of(&self.tables.journal, "BatchGetItem");
        (used.requests, used.read)
    }
}

#[tokio::test]
async fn the_length_of_a_history_costs_a_page_nothing() {
    let world = world().await;
    let [asset] = world.announced(1).await[..] else { panic!("one was created") };
    for _ in 0..20 {
        world.delete(asset).await;
        world.service.restore(&world.caller(), asset, None).await.unwrap();
    }
    assert_eq!(world.page(1).await.unwrap().len(), 1);
    assert_eq!(world.read(), (1, 0.5));
}

#[tokio::test]
async fn an_event_costs_the_same_with_a_retention() {
    let mut costs = Vec::new();
    for days in [None, FeedRetention::of_days(30)] {
        let world = world().await;
        let (client, views) = (world.tables.client.clone(), &world.tables.views);
        let table = DynamoViews::new(client, views, 8).keeping_feed(days);
        let journal = DynamoJournal::new(world.tables.client.clone(), &world.tables.journal);
        let runner = Runner::new(Arc::new(journal), Arc::new(table), world.effects.clone());
        // Some for each lane, so that each is in its week.
        for _ in 0..24 {
            let asset = world.create().await;
            world.project_by(&runner, asset, 0).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let asset = world.create().await;
        world.project_by(&runner, asset, 0).await;
        let tally = world.engine.take_tally();
        costs.push(["PutItem", "Query"].map(|of| tally.of(&world.tables.views, of)));
    }
    assert_eq!(costs[0], costs[1]);
    assert_eq!((costs[0][0].write, costs[0][1].requests), (2.0, 1));
}

#[tokio::test]
async fn a_page_of_more_events_than_a_request_takes_makes_more_requests() {
    let world = world().await;
    world.announced(230).await;
    assert_eq!(world.page(1_000).await.unwrap().len(), 230);
    assert_eq!(world.read(), (3, 115.0));
}

#[tokio::test]
async fn an_event_that_is_missing_or_another_one_is_read_again_consistently() {
    let world = world().await;
    let assets = world.announced(10).await;
    let consistent = Arc::new(Mutex::new(Vec::new()));
    let seen = consistent.clone();
    world.engine.fail(move |asked| {
        for of_table in asked.body["RequestItems"].as_object().into_iter().flatten() {
            let keys = of_table.1["Keys"].as_array().unwrap().len();
            seen.lock().unwrap().push((of_table.1["ConsistentRead"].clone(), keys));
        }
        None
    });
    let event = |asset: AssetId| world.caller().key(asset).partition();
    let pk = |asset| AttributeValue::S(event(asset));
    let (sk, client) = (AttributeValue::N("1".to_owned()), &world.tables.client);
    let delete = client.delete_item().table_name(&world.tables.journal);
    delete.key("pk", pk(assets[0])).key("sk", sk.clone()).send().await.unwrap();
    let history = world.service.history(&world.caller().key(assets[1])).await.unwrap().unwrap();
    let altered = history.entries()[0].line.body.replace("anonymous", "somebody");
    let put = client.put_item().table_name(&world.tables.journal).item("pk", pk(assets[1]));
    let body = AttributeValue::S(altered.clone());
    put.item("sk", sk).item("body", body).send().await.unwrap();
    let events = world.page(100).await.unwrap();
    assert_eq!(*consistent.lock().unwrap(), [(false.into(), 10), (true.into(), 2)]);
    assert_eq!(events.len(), 9, "the one that is gone is not invented");
    assert!(events.iter().any(|event| event.line.body == altered), "as the journal has it");
}

#[tokio::test(start_paused = true)]
async fn keys_that_were_not_processed_are_asked_for_again_after_a_pause() {
    let world = world().await;
    world.announced(12).await;
    let mut left = vec![Fault::Partly(7), Fault::Partly(0), Fault::Partly(3)];
    world.engine.fail(move |asked| (asked.operation == "BatchGetItem").then(|| left.pop())?);
    let started = Instant::now();
    assert_eq!(world.page(100).await.unwrap().len(), 12);
    assert_eq!(world.read(), (4, 6.0), "3, none, 7 and the other 2: none twice");
    assert_eq!(started.elapsed(), Duration::from_millis(25 + 50 + 25));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_processes_no_key_is_given_up_on() {
    let world = world().await;
    world.announced(3).await;
    world.engine.fail(|asked| (asked.operation == "BatchGetItem").then_some(Fault::Partly(0)));
    let started = Instant::now();
    let refused = world.page(100).await.unwrap_err();
    assert!(
        matches!(&refused, FeedError::Store(error) if error.kind == StoreErrorKind::Throttled),
        "{refused:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}
