//! The weeks of a feed with retention, one case at a time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ledger::id::Tenant;
use ledger::testing::MemoryJournal;
use ledger::{Effects, StoreError};
use projections::feed::{
    Announcement, Announcer, Feed as _, FeedCursor, FeedError, FeedLane, FeedPage, FeedQuery,
    FeedRetention, FeedWeek, LaneEntry, LaneWrite, LanedFeed, Lanes,
};
use projections::testing::{MemoryLanes, Story};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A clock that a test moves: seconds since the begin of a week.
#[derive(Default)]
struct Hand(AtomicI64);

impl Effects for Hand {
    fn now(&self) -> DateTime<Utc> {
        week(2970) + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }

    fn random(&self) -> u128 {
        4
    }
}

fn week(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(7 * number)
}

struct World {
    lanes: Arc<MemoryLanes>,
    journal: Arc<MemoryJournal>,
    clock: Arc<Hand>,
    announcer: Announcer,
    feed: LanedFeed,
}

/// A feed that keeps events for seven days.
fn world() -> World {
    let world = World::of(Arc::default(), Arc::default());
    world.keep(7);
    world
}

impl World {
    fn of(lanes: Arc<MemoryLanes>, clock: Arc<Hand>) -> Self {
        let journal = Arc::<MemoryJournal>::default();
        let announcer = Announcer::new(lanes.clone(), clock.clone());
        let feed = LanedFeed::new(lanes.clone(), journal.clone(), clock.clone());
        Self { lanes, journal, clock, announcer, feed }
    }

    fn keep(&self, days: u16) {
        self.lanes.keep(FeedRetention::of_days(days));
    }

    fn at(&self, seconds: i64) {
        self.clock.0.store(seconds, Ordering::Relaxed);
    }

    fn expire(&self) {
        self.lanes.expire(self.clock.now(), || true);
    }

    async fn happens_by(&self, announcer: &Announcer, nth: u32) {
        let story = Story::begin("main", nth);
        story.append_to(&*self.journal).await;
        let failed = announcer.announce(vec![Announcement::of(&story.history(), 0)]).await;
        assert!(failed.is_empty(), "{failed:?}");
    }

    async fn happens(&self, nth: u32) {
        self.happens_by(&self.announcer, nth).await;
    }

    async fn page(&self, after: Option<&FeedCursor>) -> Result<FeedPage, FeedError> {
        let (tenant, after) = (Tenant::default(), after.cloned());
        self.feed.page(&FeedQuery { tenant, after, limit: 100, kind: None, actor: None }).await
    }

    /// The number of events of all pages, and the last cursor.
    async fn walk(&self, after: Option<&FeedCursor>) -> (usize, FeedCursor) {
        let mut page = self.page(after).await.unwrap();
        let mut events = page.events.len();
        while page.more {
            page = self.page(Some(&page.next)).await.unwrap();
            events += page.events.len();
        }
        (events, page.next)
    }

    async fn texts(&self, number: Option<i64>) -> Vec<String> {
        let lane = FeedLane::of(&Story::begin("main", 4).key);
        let lane = lane.in_week(number.map(|number| FeedWeek::of(week(number))));
        let found = self.lanes.places(&lane, 1, 100).await.unwrap();
        found.into_iter().map(|entry| entry.text).collect()
    }
}

fn is_expired(page: &Result<FeedPage, FeedError>) -> bool {
    matches!(page, Err(FeedError::Expired))
}

#[tokio::test]
async fn a_week_is_closed_in_its_last_hour_and_left_after_it() {
    let world = world();
    world.happens(4).await;
    assert_eq!(world.texts(None).await, ["next week 2970 7"]);
    assert_eq!(world.texts(Some(2970)).await.len(), 1);
    world.at(7 * DAY + 59);
    world.happens(8).await;
    assert_eq!(world.texts(Some(2970)).await[1..], ["next week 2971 7"]);
    assert_eq!(world.texts(Some(2971)).await.len(), 1);
    world.at(14 * DAY + HOUR);
    world.happens(12).await;
    assert_eq!(world.texts(Some(2971)).await.len(), 1);
    assert_eq!(world.texts(Some(2972)).await.len(), 1);
    world.keep(30);
    assert_eq!(world.walk(None).await.0, 3);
}

#[tokio::test]
async fn a_writer_whose_clock_is_slow_follows_the_one_who_closed_the_week() {
    let world = world();
    let slow = World::of(world.lanes.clone(), Arc::default());
    world.happens(4).await;
    world.happens_by(&slow.announcer, 8).await;
    let (_, before) = world.walk(None).await;
    world.at(7 * DAY + 1);
    world.happens(12).await;
    slow.at(7 * DAY - 60);
    world.happens_by(&slow.announcer, 16).await;
    assert_eq!(world.texts(Some(2970)).await.len(), 3);
    assert_eq!(world.texts(Some(2971)).await.len(), 2);
    assert_eq!(world.walk(Some(&before)).await.0, 2);
}

#[tokio::test]
async fn a_reader_does_not_leave_a_week_in_which_a_slow_clock_still_writes() {
    let world = world();
    let slow = World::of(world.lanes.clone(), Arc::default());
    world.happens(4).await;
    world.at(7 * DAY + HOUR - 1);
    let (_, before) = world.walk(None).await;
    slow.at(7 * DAY - 60);
    world.happens_by(&slow.announcer, 8).await;
    assert_eq!(world.walk(Some(&before)).await.0, 1);
}

#[tokio::test]
async fn a_put_that_is_late_is_repeated_where_readers_are() {
    /// Lanes in which a put takes an hour.
    struct Slow(Arc<MemoryLanes>, Arc<Hand>, Mutex<bool>);

    #[async_trait]
    impl Lanes for Slow {
        fn retention(&self) -> Option<FeedRetention> {
            self.0.retention()
        }
        async fn last(&self, lane: &FeedLane) -> Result<Option<LaneEntry>, StoreError> {
            self.0.last(lane).await
        }
        async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError> {
            if std::mem::take(&mut *self.2.lock().unwrap()) {
                self.1.0.fetch_add(HOUR, Ordering::Relaxed);
            }
            self.0.put(lane, place).await
        }
        async fn places(
            &self,
            lane: &FeedLane,
            from: u64,
            limit: usize,
        ) -> Result<Vec<LaneEntry>, StoreError> {
            self.0.places(lane, from, limit).await
        }
    }

    let world = world();
    world.happens(4).await;
    world.at(7 * DAY - 60);
    let slow = Slow(world.lanes.clone(), world.clock.clone(), Mutex::new(true));
    let announcer = Announcer::new(Arc::new(slow), world.clock.clone());
    world.happens_by(&announcer, 8).await;
    assert_eq!(world.texts(Some(2970)).await.len(), 3);
    assert_eq!(world.texts(Some(2971)).await.len(), 1);
}

#[tokio::test]
async fn a_reader_who_polls_a_silent_feed_for_a_year_misses_nothing() {
    let world = world();
    world.happens(4).await;
    let (_, mut cursor) = world.walk(None).await;
    for day in (0..400).step_by(6) {
        world.at(day * DAY);
        world.expire();
        let (events, next) = world.walk(Some(&cursor)).await;
        assert_eq!(events, 0);
        cursor = next;
    }
    world.happens(8).await;
    assert_eq!(world.walk(Some(&cursor)).await.0, 1);
}

#[tokio::test]
async fn a_reader_who_was_off_for_longer_is_told_and_begins_with_what_is_kept() {
    let world = world();
    world.happens(4).await;
    let (_, cursor) = world.walk(None).await;
    // The first week, seven days and one are over then.
    let end = 7 * DAY + 8 * DAY;
    world.at(10 * DAY);
    world.happens(8).await;
    world.at(end - 1);
    world.expire();
    assert_eq!(world.walk(Some(&cursor)).await.0, 1);
    world.at(end);
    assert!(is_expired(&world.page(Some(&cursor)).await));
    assert_eq!(world.walk(None).await.0, 1);
}

#[tokio::test]
async fn what_was_there_before_the_retention_is_heard_until_its_first_week_expires() {
    let world = World::of(Arc::default(), Arc::default());
    world.happens(4).await;
    let (_, cursor) = world.walk(None).await;
    assert!(cursor.0.starts_with("l1.") && !cursor.0.contains(':'), "{cursor}");
    world.keep(30);
    world.happens(8).await;
    assert_eq!(world.walk(None).await.0, 2);
    assert_eq!(world.walk(Some(&cursor)).await.0, 1);
    // A cursor that names no retention is judged by the first one there was, if it is shorter.
    world.keep(90);
    world.at(7 * DAY + 31 * DAY - 1);
    assert_eq!(world.walk(Some(&cursor)).await.0, 1);
    world.at(7 * DAY + 31 * DAY);
    assert!(is_expired(&world.page(Some(&cursor)).await));
    assert_eq!(world.walk(None).await.0, 1);
    world.at(7 * DAY + 90 * DAY);
    assert_eq!(world.walk(None).await.0, 0);
}

#[tokio::test]
async fn a_process_without_the_retention_writes_where_readers_are() {
    let world = world();
    world.happens(4).await;
    let (_, cursor) = world.walk(None).await;
    world.lanes.keep(None);
    let other = World::of(world.lanes.clone(), world.clock.clone());
    world.happens_by(&other.announcer, 8).await;
    assert_eq!(world.texts(None).await, ["next week 2970 7"]);
    let (events, next) = world.walk(Some(&cursor)).await;
    assert!(events == 1 && next.0.starts_with("m7-"), "{events} {next}");
    world.at(15 * DAY);
    assert!(is_expired(&world.page(Some(&next)).await));
}

#[tokio::test]
async fn a_cursor_is_not_valid_for_longer_than_the_entries_it_was_issued_with() {
    let world = world();
    world.happens(4).await;
    world.keep(90);
    let (_, cursor) = world.walk(None).await;
    assert!(cursor.0.starts_with("m7-"), "{cursor}");
    world.happens(8).await;
    world.at(7 * DAY + 8 * DAY);
    world.expire();
    assert!(is_expired(&world.page(Some(&cursor)).await));
}

#[tokio::test]
async fn a_cursor_of_other_lanes_is_refused_in_a_week_too() {
    let (one, other) = (world(), world());
    one.happens(4).await;
    let (_, cursor) = one.walk(None).await;
    let answer = other.page(Some(&cursor)).await;
    assert!(matches!(answer, Err(FeedError::Foreign)), "{answer:?}");
    let ahead = FeedCursor(cursor.0.replace("2970:", "2972:"));
    assert!(matches!(one.page(Some(&ahead)).await, Err(FeedError::Foreign)));
}
