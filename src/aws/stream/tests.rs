//! Scripted shards.

mod on_an_engine;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ledger::error::{StoreError, StoreErrorKind};
use ledger::journal::Journal;
use ledger::testing::{Faulty, InjectedFault, MemoryJournal};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use projections::runner::ProjectionHint;
use projections::testing::{Clock, MemoryViews, Story};
use projections::{Runner, Views};
use serde_dynamo::Item;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;

/// One answer of a scripted shard.
type Answer = Result<Vec<ItemChange>, StreamError>;

#[derive(Default)]
struct Script {
    stream: String,
    shards: Vec<StreamShard>,
    answers: BTreeMap<String, VecDeque<Answer>>,
    /// Shards that end when their answers do.
    closed: Vec<String>,
    /// The calls, in order.
    asked: Vec<String>,
    /// The error of the next listing.
    failing: Option<StoreError>,
}

/// A stream with scripted answers.
#[derive(Default)]
struct Scripted(Mutex<Script>);

impl Scripted {
    fn shard(&self, id: &str, parent: Option<&str>, answers: impl IntoIterator<Item = Answer>) {
        let mut script = self.0.lock().unwrap();
        script.shards.push(StreamShard { id: id.to_owned(), parent: parent.map(str::to_owned) });
        script.answers.insert(id.to_owned(), answers.into_iter().collect());
    }

    fn close(&self, id: &str) {
        self.0.lock().unwrap().closed.push(id.to_owned());
    }

    fn remove(&self, id: &str) {
        self.0.lock().unwrap().shards.retain(|shard| shard.id != id);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

#[async_trait]
impl JournalStream for Scripted {
    async fn shards(&self) -> Result<Listing, StoreError> {
        let mut script = self.0.lock().unwrap();
        if let Some(error) = script.failing.take() {
            return Err(error);
        }
        Ok(Listing { stream: script.stream.clone(), shards: script.shards.clone() })
    }

    async fn iterator(&self, shard: &str, place: &ShardPosition) -> Result<String, StreamError> {
        let place = match place {
            ShardPosition::Oldest => "oldest".to_owned(),
            ShardPosition::After(sequence) => format!("after {sequence}"),
        };
        self.0.lock().unwrap().asked.push(format!("{shard} {place}"));
        Ok(shard.to_owned())
    }

    async fn records(&self, iterator: &str) -> Result<ShardRecords, StreamError> {
        let mut script = self.0.lock().unwrap();
        let answers = script.answers.get_mut(iterator).unwrap();
        let records = answers.pop_front().unwrap_or(Ok(Vec::new()))?;
        let ended = answers.is_empty() && script.closed.contains(&iterator.to_owned());
        Ok(ShardRecords { records, next: (!ended).then(|| iterator.to_owned()) })
    }
}

/// The journal's keys, a few in each page.
struct Keys(Vec<Story>);

#[async_trait]
impl JournalInventory for Keys {
    async fn page(
        &self,
        after: Option<&InventoryCursor>,
    ) -> Result<(Vec<ProjectionHint>, Option<InventoryCursor>), StoreError> {
        let from = after.map_or(0, |after| after.version);
        let place = usize::try_from(from).unwrap();
        let hints = self.0[place..].iter().take(2).map(|story| ProjectionHint {
            key: story.key.clone(),
            version: story.version(),
            lines: Vec::new(),
        });
        let more = place + 2 < self.0.len();
        let next = InventoryCursor { partition: String::new(), version: from + 2 };
        Ok((hints.collect(), more.then_some(next)))
    }
}

struct World {
    stream: Arc<Scripted>,
    journal: Arc<MemoryJournal>,
    views: Arc<Faulty<MemoryViews>>,
    stories: Vec<Story>,
    follower: StreamFollower,
}

/// A journal with some stories, an empty stream, and no rows.
async fn world(stories: u32) -> World {
    world_with(stories, |_| None).await
}

async fn world_with(
    stories: u32,
    fault: impl FnMut(&'static str) -> Option<InjectedFault> + Send + 'static,
) -> World {
    let (stream, journal) = (Arc::new(Scripted::default()), Arc::new(MemoryJournal::default()));
    let views = Arc::new(Faulty::planned(MemoryViews::default(), fault));
    let stories: Vec<_> =
        (1..=stories).map(|nth| Story::begin("main", nth).received().uploaded()).collect();
    for story in &stories {
        story.append_to(&*journal).await;
    }
    let follower = follower(&stream, &journal, &views, &stories);
    World { stream, journal, views, stories, follower }
}

fn follower(
    stream: &Arc<Scripted>,
    journal: &Arc<MemoryJournal>,
    views: &Arc<Faulty<MemoryViews>>,
    stories: &[Story],
) -> StreamFollower {
    let clock = Arc::new(Clock::default());
    let runner = Runner::new(journal.clone(), views.clone(), clock.clone());
    StreamFollower::new(stream.clone(), Arc::new(Keys(stories.to_vec())), runner, clock)
}

impl World {
    /// Runs rounds until there is no new record.
    async fn settle(&mut self) {
        while self.follower.round().await.unwrap() {}
    }

    async fn rows(&self) -> Vec<bool> {
        let mut rows = Vec::new();
        for story in &self.stories {
            let row = self.views.inner().get(&story.key).await.unwrap();
            rows.push(row == Some(story.asset()));
        }
        rows
    }
}

/// An item of the journal as in its stream.
fn image(pk: &str, version: u64, body: &str) -> Item {
    let image = json!({"pk": {"S": pk}, "sk": {"N": version.to_string()}, "body": {"S": body}});
    serde_json::from_value(image).unwrap()
}

/// The record of an event, with its own sequence number.
fn record(story: &Story, version: u64) -> ItemChange {
    let line = &story.lines[usize::try_from(version).unwrap() - 1];
    let new = image(&story.key.partition(), version, &line.body);
    ItemChange {
        sequence: Some(format!("{}/{version}", story.key.asset.last_byte())),
        at: Some(Clock::default().0),
        kind: "INSERT".to_owned(),
        keys: serde_json::from_value(json!({"pk": new["pk"], "sk": new["sk"]})).unwrap(),
        old: Item::default(),
        new,
    }
}

fn records(story: &Story) -> Vec<ItemChange> {
    (1..=story.version()).map(|version| record(story, version)).collect()
}

fn store_error(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "as the test asked")
}

#[tokio::test]
async fn every_shard_is_read_from_its_oldest_record() {
    let mut world = world(2).await;
    let [a, b] = [0, 1].map(|at| records(&world.stories[at]));
    world.stream.shard("s1", None, [Ok(vec![]), Ok(a), Ok(vec![])]);
    world.stream.shard("s2", None, [Ok(b.clone()), Ok(b)]);
    world.settle().await;
    world.settle().await;
    assert_eq!(world.rows().await, [true, true]);
    assert_eq!(world.stream.asked(), ["s1 oldest", "s2 oldest"]);
}

#[tokio::test]
async fn a_child_waits_for_its_parent_to_end() {
    let mut world = world(2).await;
    let [a, b] = [0, 1].map(|at| records(&world.stories[at]));
    world.stream.shard("child", Some("parent"), [Ok(b)]);
    world.stream.shard("parent", Some("forgotten"), [Ok(vec![]), Ok(a)]);
    world.settle().await;
    assert_eq!(world.stream.asked(), ["parent oldest"]);
    world.settle().await;
    assert_eq!(world.rows().await, [true, false]);
    world.stream.close("parent");
    world.settle().await;
    world.settle().await;
    assert_eq!(
        (world.rows().await, world.stream.asked()),
        (vec![true; 2], vec!["child oldest".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn new_shards_are_found_and_ended_ones_forgotten() {
    let mut world = world(2).await;
    let [a, b] = [0, 1].map(|at| records(&world.stories[at]));
    world.stream.shard("s1", None, [Ok(a)]);
    world.stream.close("s1");
    world.settle().await;
    world.stream.remove("s1");
    world.stream.shard("s2", Some("s1"), [Ok(b)]);
    tokio::time::advance(Duration::from_secs(11)).await;
    world.settle().await;
    assert_eq!(world.rows().await, [true, true]);
    assert_eq!(world.stream.asked(), ["s1 oldest", "s2 oldest"]);
}

#[tokio::test]
async fn an_expired_iterator_is_made_again_where_it_stood() {
    let mut world = world(2).await;
    let [a, b] = [0, 1].map(|at| records(&world.stories[at]));
    let last = a[2].sequence.clone().unwrap();
    world.stream.shard(
        "s1",
        None,
        [Err(StreamError::Expired), Ok(a), Err(StreamError::Expired), Ok(b)],
    );
    world.settle().await;
    assert_eq!(world.rows().await, [true, true]);
    let after = format!("s1 after {last}");
    assert_eq!(world.stream.asked(), ["s1 oldest", "s1 oldest", &after]);
}

#[tokio::test]
async fn what_was_trimmed_is_found_in_the_journal() {
    let mut world = world(5).await;
    let a = records(&world.stories[0]);
    world.stream.shard("s1", None, [Ok(a), Err(StreamError::Trimmed), Ok(vec![])]);
    world.settle().await;
    assert_eq!(world.rows().await, [true; 5]);
    assert_eq!(world.stream.asked(), ["s1 oldest", "s1 oldest"]);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_goes_unread_is_made_up_for_from_the_journal() {
    let mut world = world(3).await;
    world.stream.shard("s1", None, []);
    world.settle().await;
    assert_eq!(world.rows().await, [false; 3]);
    world.stream.remove("s1");
    tokio::time::advance(Duration::from_secs(11)).await;
    world.settle().await;
    assert_eq!(world.rows().await, [true; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_off_for_a_while_is_made_up_for_from_the_journal() {
    let mut world = world(3).await;
    world.stream.shard("s1", None, [Ok(vec![])]);
    world.stream.close("s1");
    world.settle().await;
    world.stream.remove("s1");
    world.stream.0.lock().unwrap().stream = "another".to_owned();
    world.stream.shard("t1", None, []);
    tokio::time::advance(Duration::from_secs(11)).await;
    world.settle().await;
    assert_eq!(world.rows().await, [true; 3]);
}

#[tokio::test]
async fn after_a_long_absence_the_whole_journal_is_gone_through() {
    let mut world = world(5).await;
    world.follower = world.follower.catching_up();
    let status = world.follower.status();
    world.stream.shard("s1", None, []);
    world.follower.round().await.unwrap();
    assert_eq!(status.borrow().as_of, None);
    world.settle().await;
    assert_eq!(world.rows().await, [true; 5]);
    assert_eq!(status.borrow().as_of, Some(Clock::default().0));
}

#[tokio::test]
async fn a_store_that_fails_loses_no_record_and_stops_no_other_shard() {
    let mut failures = 2;
    let mut world = world_with(2, move |name| {
        let fails = name == "put" && failures > 0;
        failures -= i32::from(fails);
        fails.then_some(InjectedFault::Before)
    })
    .await;
    let [a, b] = [0, 1].map(|at| records(&world.stories[at]));
    world.stream.shard(
        "s1",
        None,
        [Ok(a), Err(StreamError::Store(store_error(StoreErrorKind::Throttled)))],
    );
    world.stream.shard(
        "s2",
        None,
        [Err(StreamError::Store(store_error(StoreErrorKind::Unavailable))), Ok(b)],
    );
    let mut errors = 0;
    for _ in 0..8 {
        errors += i32::from(world.follower.round().await.is_err());
    }
    assert_eq!(world.rows().await, [true, true]);
    assert!(errors >= 2, "{errors}");
    // A failed read continues with the same iterator.
    assert_eq!(world.stream.asked(), ["s1 oldest", "s2 oldest"]);
}

#[tokio::test]
async fn two_workers_write_the_same_rows() {
    let mut world = world(3).await;
    let all: Vec<Vec<ItemChange>> = world.stories.iter().map(records).collect();
    world.stream.shard("s1", None, all.concat().into_iter().map(|it| Ok(vec![it])));
    let mut other = follower(&world.stream, &world.journal, &world.views, &world.stories);
    for _ in 0..6 {
        world.follower.round().await.unwrap();
        other.round().await.unwrap();
    }
    assert_eq!(world.rows().await, [true; 3]);
}

#[tokio::test]
async fn the_lag_is_what_is_not_read_yet() {
    let mut world = world(1).await;
    let status = world.follower.status();
    let mut first = record(&world.stories[0], 1);
    let written = Clock::default().0 - chrono::TimeDelta::minutes(5);
    first.at = Some(written);
    world.stream.shard("s1", None, [Ok(vec![first])]);
    assert_eq!(*status.borrow(), FollowerStatus { as_of: None, idle: false });
    world.follower.round().await.unwrap();
    assert_eq!(*status.borrow(), FollowerStatus { as_of: Some(written), idle: false });
    world.settle().await;
    assert_eq!(*status.borrow(), FollowerStatus { as_of: Some(Clock::default().0), idle: true });
}

#[tokio::test]
async fn empty_pages_before_records_are_gone_through_without_a_pause_and_promise_nothing() {
    let mut world = world(1).await;
    let status = world.follower.status();
    let mut all = records(&world.stories[0]);
    let written = Clock::default().0 - chrono::TimeDelta::minutes(5);
    all[2].at = Some(written);
    world.stream.shard("s1", None, [Ok(vec![]), Ok(vec![]), Ok(all)]);
    let mut told = Vec::new();
    for _ in 0..8 {
        world.follower.round().await.unwrap();
        told.push((status.borrow().as_of, status.borrow().idle));
    }
    let (unknown, behind) = ((None, false), (Some(written), false));
    let (now, rows) = ((Some(Clock::default().0), true), world.rows().await);
    let expected = [unknown, unknown, behind, behind, behind, behind, behind, now];
    assert_eq!((told, rows), (expected.to_vec(), vec![true]));
}

#[tokio::test]
async fn empty_pages_of_a_shard_that_is_nearly_read_are_taken_slowly_and_promise_nothing_either() {
    let mut world = world(1).await;
    let status = world.follower.status();
    let mut all = records(&world.stories[0]);
    let written = Clock::default().0 - chrono::TimeDelta::seconds(2);
    all[2].at = Some(written);
    world.stream.shard("s1", None, [Ok(all)]);
    world.follower.round().await.unwrap();
    let mut told = Vec::new();
    for _ in 0..5 {
        world.follower.round().await.unwrap();
        told.push((status.borrow().as_of, status.borrow().idle));
    }
    let (behind, now) = ((Some(written), true), (Some(Clock::default().0), true));
    assert_eq!(told, [behind, behind, behind, behind, now]);
}

#[tokio::test]
async fn an_iterator_that_is_made_again_comes_by_the_same_empty_pages() {
    let mut world = world(1).await;
    let status = world.follower.status();
    let empty = || Ok(vec![]);
    let answers = [empty(), empty(), empty(), empty(), Err(StreamError::Expired), empty(), empty()];
    world.stream.shard("s1", None, answers);
    for _ in 0..7 {
        assert!(world.follower.round().await.unwrap());
        assert_eq!(status.borrow().as_of, None);
    }
}

#[tokio::test]
async fn a_new_shard_is_as_far_as_its_parent_was() {
    let mut world = world(1).await;
    let status = world.follower.status();
    world.stream.shard("s1", None, [Ok(records(&world.stories[0]))]);
    world.stream.close("s1");
    world.follower.round().await.unwrap();
    world.stream.shard("s2", Some("s1"), []);
    world.follower.round().await.unwrap();
    assert_eq!(status.borrow().as_of, Some(Clock::default().0));
    assert_eq!(world.stream.asked(), ["s1 oldest", "s2 oldest"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_off_is_asked_again_until_it_is_mended() {
    let world = world(1).await;
    world.stream.shard("s1", None, [Ok(records(&world.stories[0]))]);
    world.stream.0.lock().unwrap().failing = Some(store_error(StoreErrorKind::Misconfigured));
    let (stop, mut status) = (CancellationToken::new(), world.follower.status());
    let running = tokio::spawn(world.follower.run(stop.clone()));
    status.wait_for(|status| status.idle).await.unwrap();
    stop.cancel();
    running.await.unwrap();
    assert!(world.views.inner().get(&world.stories[0].key).await.unwrap().is_some());
}

/// The hint of a record, and how often it raised the alarm.
fn heard(record: &ItemChange) -> (Option<ProjectionHint>, u64) {
    let recorder = DebuggingRecorder::new();
    let hint = metrics::with_local_recorder(&recorder, || record.hint());
    (hint, alarms(&recorder))
}

fn alarms(recorder: &DebuggingRecorder) -> u64 {
    let counted = recorder.snapshotter().snapshot().into_vec().into_iter();
    let mut alarms = counted.filter(|it| it.0.key().name() == "asset_ledger_tamper");
    alarms.next().map_or(0, |(.., count)| match count {
        DebugValue::Counter(count) => count,
        other => panic!("{other:?}"),
    })
}

#[test]
fn an_event_that_was_changed_is_an_alarm_and_still_a_hint() {
    let story = Story::begin("main", 1).received();
    for kind in ["MODIFY", "REMOVE", "", "of another age"] {
        let mut changed = record(&story, 2);
        (changed.kind, changed.old) = (kind.to_owned(), changed.new.clone());
        // The changed bytes do not fit the history: the journal is read.
        let hint = ProjectionHint { key: story.key.clone(), version: 2, lines: Vec::new() };
        assert_eq!(heard(&changed), (Some(hint), 1), "{kind}");
    }
    assert_eq!(heard(&record(&story, 2)).1, 0);
}

#[test]
fn an_event_of_a_named_stream_is_passed_over_and_a_change_of_one_is_an_alarm() {
    let (stream, lines) = ledger::testing::streams::access(&ledger::id::Tenant::default());
    let mut appended = record(&Story::begin("main", 1), 1);
    appended.new = image(&stream.partition(), 1, &lines[0].body);
    let keys = json!({"pk": appended.new["pk"], "sk": appended.new["sk"]});
    appended.keys = serde_json::from_value(keys).unwrap();
    assert_eq!(heard(&appended), (None, 0));
    let bare = ItemChange { new: Item::default(), ..appended.clone() };
    assert_eq!(heard(&bare), (None, 0), "only keys are streamed");
    for kind in ["MODIFY", "REMOVE"] {
        let changed = ItemChange { kind: kind.to_owned(), ..appended.clone() };
        assert_eq!(heard(&changed), (None, 1), "{kind}");
    }
    let foreign = ItemChange { new: image(&stream.partition(), 1, "{}"), ..appended };
    assert_eq!(heard(&foreign), (None, 1), "it has a stream's name and is no event of one");
}

#[test]
fn what_is_no_assets_is_an_alarm_too_and_passed_over() {
    let story = Story::begin("main", 1);
    let ours = story.key.partition();
    for keys in [
        json!({"pk": {"S": "somebody's"}, "sk": {"N": "1"}}),
        json!({"pk": {"S": ours}, "sk": {"N": "-1"}}),
        json!({}),
    ] {
        for kind in ["INSERT", "MODIFY", "REMOVE"] {
            let mut foreign = record(&story, 1);
            foreign.kind = kind.to_owned();
            foreign.keys = serde_json::from_value(keys.clone()).unwrap();
            assert_eq!(heard(&foreign), (None, 1), "{kind} of {keys}");
        }
    }
}

#[tokio::test]
async fn a_record_without_an_image_leads_to_the_journal() {
    let mut world = world(1).await;
    let mut bare = record(&world.stories[0], 2);
    bare.new = Item::default();
    assert_eq!(heard(&bare).1, 0);
    world.stream.shard("s1", None, [Ok(vec![bare])]);
    world.settle().await;
    assert_eq!(world.rows().await, [true]);
}
