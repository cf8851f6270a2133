//! Batches of the stream, and exactly the points of their retries.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lambda_events::dynamodb::Event;
use chrono::TimeDelta;
use ledger::StoreError;
use ledger::journal::JournalDecorator;
use ledger::testing::{Faulty, InjectedFault, MemoryJournal};
use projections::testing::{Clock, MemoryViews, Story};
use projections::{Runner, Views};
use serde_json::{Value, json};

use super::Projector;
use crate::lambda::testing::{counted, logged};

struct World {
    journal: Arc<Faulty<MemoryJournal>>,
    views: Arc<MemoryViews>,
    projector: Projector,
}

/// A journal that fails for a number of calls of `history`, and rows.
fn world(mut failures: usize) -> World {
    let journal = Arc::new(Faulty::planned(MemoryJournal::default(), move |call| {
        let fails = call == "history" && failures > 0;
        failures -= usize::from(fails);
        fails.then_some(InjectedFault::Before)
    }));
    let views = Arc::new(MemoryViews::default());
    let runner = Runner::new(journal.clone(), views.clone(), Arc::new(Clock::default()));
    World { journal, views, projector: Projector::new(runner, Arc::new(Clock::default())) }
}

/// When Lambda ends the invocation: in the function's `Timeout`.
fn deadline() -> SystemTime {
    (Clock::default().0 + TimeDelta::minutes(1)).into()
}

/// A journal that is throttled: each call takes so long.
struct Slow(Arc<Faulty<MemoryJournal>>, Duration);

impl JournalDecorator for Slow {
    type Inner = Faulty<MemoryJournal>;

    fn inner(&self) -> &Self::Inner {
        &self.0
    }

    async fn around<T: Send>(
        &self,
        _: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        tokio::time::sleep(self.1).await;
        call.await
    }
}

fn slow(call: Duration) -> World {
    let (mut world, clock) = (world(0), Arc::new(Clock::default()));
    let slow = Arc::new(Slow(world.journal.clone(), call));
    let runner = Runner::new(slow, world.views.clone(), clock.clone());
    world.projector = Projector::new(runner, clock);
    world
}

impl World {
    /// The answer to a batch, as Lambda reads it.
    async fn send(&self, records: &[Value]) -> Result<Value, String> {
        let batch: Event = serde_json::from_value(json!({"Records": records})).unwrap();
        let answer = self.projector.receive(&batch, deadline()).await;
        let answer = answer.map_err(|error| error.to_string())?;
        Ok(serde_json::to_value(&answer).unwrap())
    }

    async fn version(&self, story: &Story) -> Option<u64> {
        self.views.get(&story.key).await.unwrap().map(|asset| asset.version)
    }

    async fn parked(&self) -> usize {
        self.views.parked(&ledger::id::Tenant::default(), 99).await.unwrap().len()
    }
}

#[allow(clippy::unnecessary_wraps, reason = "compared with an answer that may fail")]
fn all_done() -> Result<Value, String> {
    Ok(json!({"batchItemFailures": []}))
}

#[allow(clippy::unnecessary_wraps, reason = "compared with an answer that may fail")]
fn again_from(number: &str) -> Result<Value, String> {
    Ok(json!({"batchItemFailures": [{"itemIdentifier": number}]}))
}

/// A record as DynamoDB Streams passes it to Lambda.
fn record(name: &str, number: &str, pk: &str, version: u64, images: &[(&str, &str)]) -> Value {
    let mut change = json!({
        "ApproximateCreationDateTime": 1_795_420_800.0,
        "Keys": {"pk": {"S": pk}, "sk": {"N": version.to_string()}},
        "SequenceNumber": number, "SizeBytes": 812, "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    for (image, body) in images {
        change[*image] = json!({"pk": {"S": pk}, "sk": {"N": version.to_string()},
            "body": {"S": body}});
    }
    json!({
        "eventID": "f07f8ca4b0b26cb9c4e5e77e69f274ee", "eventName": name, "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "eu-central-1", "dynamodb": change,
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/j/stream/2026",
    })
}

fn insert(number: &str, story: &Story, version: usize) -> Value {
    let body = &story.lines[version - 1].body;
    record("INSERT", number, &story.key.partition(), version as u64, &[("NewImage", body)])
}

fn story(nth: u32) -> Story {
    Story::begin("main", nth).received().uploaded()
}

#[tokio::test]
async fn a_batch_with_whole_histories_needs_no_journal() {
    let (world, [one, two]) = (world(usize::MAX), [story(1), story(2)]);
    let records = [
        insert("103", &one, 3),
        insert("101", &one, 1),
        insert("104", &two, 1),
        insert("102", &one, 2),
        insert("102", &one, 2),
    ];
    assert_eq!(world.send(&records).await, all_done());
    assert_eq!((world.version(&one).await, world.version(&two).await), (Some(3), Some(1)));
    assert_eq!(world.send(&records[..2]).await, again_from("101"), "a hole needs the journal");
}

#[tokio::test]
async fn holes_and_records_without_image_are_filled_from_the_journal() {
    let (world, [one, two]) = (world(0), [story(1), story(2)]);
    one.append_to(&*world.journal).await;
    two.append_to(&*world.journal).await;
    let bare = record("INSERT", "101", &two.key.partition(), 2, &[]);
    assert_eq!(world.send(&[insert("100", &one, 3), bare]).await, all_done());
    assert_eq!((world.version(&one).await, world.version(&two).await), (Some(3), Some(3)));
    assert_eq!(world.parked().await, 0);
}

#[tokio::test]
async fn the_lowest_failed_number_is_answered_and_only_that() {
    let (world, [one, two, three]) = (world(2), [story(1), story(2), story(3)]);
    one.append_to(&*world.journal).await;
    two.append_to(&*world.journal).await;
    // As text, the first of these is the lowest; as numbers, the last.
    let records = [insert("1000", &one, 3), insert("200", &two, 2), insert("99", &three, 1)];
    assert_eq!(world.send(&records).await, again_from("200"));
    assert_eq!(world.version(&three).await, Some(1), "a neighbour goes on");
    assert_eq!(world.send(&records[..2]).await, all_done(), "given again, it is done");
    assert_eq!((world.version(&one).await, world.version(&two).await), (Some(3), Some(3)));
}

#[tokio::test]
async fn every_record_of_a_failed_asset_is_given_again() {
    let (world, story) = (world(1), story(1));
    story.append_to(&*world.journal).await;
    let records = [insert("102", &story, 3), insert("101", &story, 2)];
    assert_eq!(world.send(&records).await, again_from("101"));
}

#[tokio::test]
async fn a_record_without_a_number_fails_the_invocation_before_anything_is_done() {
    let (world, [one, two]) = (world(0), [story(1), story(2)]);
    for number in [Value::Null, json!("")] {
        let mut unnumbered = insert("x", &two, 1);
        unnumbered["dynamodb"]["SequenceNumber"] = number;
        let told = world.send(&[insert("100", &one, 1), unnumbered]).await;
        assert_eq!(told, Err("record 1 of the batch has no sequence number".to_owned()));
        assert_eq!(world.version(&one).await, None);
    }
}

#[tokio::test]
async fn poison_is_parked_and_holds_up_nobody() {
    let (world, [good, poisoned]) = (world(0), [story(1), story(2)]);
    let pk = poisoned.key.partition();
    let unknown = poisoned.lines[0].body.replace("\"created\"", "\"invented\"");
    for (version, body) in [(1, unknown.as_str()), (7, "not an event"), (0, "")] {
        let poison = record("INSERT", "100", &pk, version, &[("NewImage", body)]);
        assert_eq!(world.send(&[poison, insert("101", &good, 1)]).await, all_done());
        assert_eq!(world.parked().await, 1, "{body}");
    }
    assert_eq!(world.version(&good).await, Some(1));
}

#[tokio::test]
async fn a_change_of_the_journal_raises_the_alarm_and_the_asset_is_projected_again() {
    let (world, [good, changed]) = (world(0), [story(1), story(2)]);
    let (pk, old) = (changed.key.partition(), &changed.lines[1]);
    let new = old.body.replace("anonymous", "somebody");
    let records = [
        record("MODIFY", "100", &pk, 2, &[("OldImage", &old.body), ("NewImage", &new)]),
        record("REMOVE", "101", &pk, 2, &[("OldImage", &old.body)]),
        record("INSERT", "102", "no#asset", 1, &[("NewImage", "{}")]),
        insert("103", &good, 1),
    ];
    let (logs, metrics, answer) = {
        let (lines, _guard) = logged();
        let (metrics, answer) = counted(world.send(&records)).await;
        (lines.text(), metrics, answer)
    };
    assert_eq!(answer, all_done());
    assert_eq!(world.version(&good).await, Some(1));
    // The journal has no event of the changed asset: the images are not used.
    assert_eq!((world.version(&changed).await, world.parked().await), (None, 1));
    assert_eq!(metrics["asset_ledger_tamper"], 3);
    let after = ledger::chain::Hash::of(new.as_bytes());
    for told in [pk.as_str(), &old.hash().to_string(), &after.to_string(), "MODIFY", "REMOVE"] {
        assert!(logs.contains(told), "{told}: {logs}");
    }
    assert!(!logs.contains("somebody"), "an image may be anything: {logs}");
}

#[tokio::test]
async fn an_asset_whose_event_was_changed_is_as_the_journal_now_has_it() {
    let (world, changed) = (world(0), story(1));
    changed.append_to(world.journal.inner()).await;
    let (pk, body) = (changed.key.partition(), &changed.lines[0].body);
    let removed = record("REMOVE", "100", &pk, 1, &[("OldImage", body)]);
    assert_eq!(world.send(&[removed]).await, all_done());
    assert_eq!(world.version(&changed).await, Some(changed.version()));
    assert_eq!(world.parked().await, 0);
}

#[tokio::test]
async fn what_a_batch_came_to_is_counted() {
    let (world, [one, two]) = (world(0), [story(1), story(2)]);
    let poison = record("INSERT", "102", &two.key.partition(), 1, &[("NewImage", "{}")]);
    let records = [insert("100", &one, 1), insert("101", &one, 2), poison];
    let (metrics, _) = counted(world.send(&records)).await;
    assert_eq!(metrics["asset_ledger_assets_parked"], 1);
    let lag = Clock::default().0 - one.at(2).updated_at;
    let lag = f64::from(i32::try_from(lag.num_milliseconds()).unwrap());
    assert_eq!(metrics["asset_ledger_visible_lag_ms"], json!([lag]));
    let (metrics, _) = counted(world.send(&records[..2])).await;
    assert_eq!(metrics["asset_ledger_rows_stale"], 1);
    assert_eq!(metrics["asset_ledger_visible_lag_ms"], Value::Null, "nothing became visible");
}

#[tokio::test]
async fn an_empty_batch_is_done() {
    assert_eq!(world(0).send(&[]).await, all_done());
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_before_its_invocation_and_the_rest_is_given_again() {
    // Sixteen are read at once: the next ones would take all of the time.
    let world = slow(Duration::from_secs(15));
    let stories: Vec<_> = (0..20).map(story).collect();
    let mut records = Vec::new();
    // In an order that is not that of their ids.
    for (number, story) in (100..).zip(stories.iter().rev()) {
        story.append_to(world.journal.inner()).await;
        records.push(insert(&format!("{number}"), story, 3));
    }
    let started = tokio::time::Instant::now();
    assert_eq!(world.send(&records).await, again_from("116"), "the first ones are begun first");
    assert!(started.elapsed() <= Duration::from_secs(50), "{:?}", started.elapsed());
    assert_eq!(world.version(&stories[19]).await, Some(3), "what was read in time is written");
    assert_eq!(world.version(&stories[0]).await, None);
    assert_eq!(world.send(&records[16..]).await, all_done());
    assert_eq!(world.version(&stories[0]).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_is_over_waits_for_nothing() {
    let (world, story) = (slow(Duration::from_secs(1)), story(1));
    story.append_to(world.journal.inner()).await;
    let batch: Event =
        serde_json::from_value(json!({"Records": [insert("7", &story, 3)]})).unwrap();
    let late = Clock::default().0 - TimeDelta::seconds(1);
    let answer = world.projector.receive(&batch, late.into()).await.unwrap();
    assert_eq!(Ok(serde_json::to_value(&answer).unwrap()), again_from("7"));
}
