//! A feed with retention, in months of simulated time: writers and readers with clocks that differ,
//! requests that take seconds or hours, and a store that removes expired entries late and in any
//! order. A reader hears every event in order, or is told that its cursor has expired.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use ledger::asset::Event;
use ledger::error::StoreErrorKind;
use ledger::history::History;
use ledger::id::{AssetId, Tenant};
use ledger::testing::{Chance, MemoryJournal};
use ledger::{Effects, StoreError};
use projections::feed::{
    Announcement, Announcer, Feed as _, FeedCursor, FeedError, FeedEvent, FeedLane, FeedQuery,
    FeedRetention, LaneEntry, LaneWrite, LanedFeed, Lanes,
};
use projections::testing::{MemoryLanes, Story};
use tokio::time::{Instant, sleep};

use crate::{tell, variable};

/// Seeds, unless `ASSET_LEDGER_FLEET_SEEDS` is set.
const SEEDS: u64 = 12;
const DAYS: u64 = 150;
const WRITERS: u64 = 4;
const READERS: u64 = 6;
/// Seconds that a clock is fast or slow at most: two differ by less than half an hour.
const SKEW: u64 = 850;
const DAY: u64 = 24 * 60 * 60;
const WEEK: u64 = 7 * DAY;

struct Clock {
    began: Instant,
    skew: TimeDelta,
}

impl Effects for Clock {
    fn now(&self) -> DateTime<Utc> {
        let passed = TimeDelta::from_std(self.began.elapsed()).unwrap();
        DateTime::UNIX_EPOCH + TimeDelta::days(20_600) + passed + self.skew
    }

    fn random(&self) -> u128 {
        4
    }
}

/// A connection of a process to the lanes.
struct Distant {
    lanes: Arc<MemoryLanes>,
    chance: Arc<Chance>,
    /// Whether this process was given the retention.
    told: bool,
}

impl Distant {
    /// A request; its effect is in the middle of its time.
    async fn request<T>(
        &self,
        effect: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.pause().await;
        let answer = effect.await;
        self.pause().await;
        if self.chance.happens(30) {
            Err(StoreError::new(StoreErrorKind::Unavailable, "the reply was lost"))
        } else {
            answer
        }
    }

    async fn pause(&self) {
        // Milliseconds, some seconds, or hours: of a process that stood still.
        let most = [(900, 50), (95, 5_000), (5, 3_000_000)];
        let mut drawn = self.chance.below(1_000);
        for (share, ms) in most {
            if drawn < share {
                return sleep(Duration::from_millis(self.chance.below(ms))).await;
            }
            drawn -= share;
        }
    }
}

#[async_trait]
impl Lanes for Distant {
    fn retention(&self) -> Option<FeedRetention> {
        self.lanes.retention().filter(|_| self.told)
    }

    async fn last(&self, lane: &FeedLane) -> Result<Option<LaneEntry>, StoreError> {
        self.request(self.lanes.last(lane)).await
    }

    async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError> {
        self.request(self.lanes.put(lane, place)).await
    }

    async fn places(
        &self,
        lane: &FeedLane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LaneEntry>, StoreError> {
        self.request(self.lanes.places(lane, from, limit)).await
    }
}

struct World {
    seed: u64,
    chance: Arc<Chance>,
    began: Instant,
    lanes: Arc<MemoryLanes>,
    journal: Arc<MemoryJournal>,
    /// The versions that were announced, each with its time.
    announced: RefCell<BTreeMap<AssetId, Vec<Instant>>>,
    /// The shortest retention that there was.
    shortest: Cell<u64>,
    expired: Cell<u64>,
    violations: RefCell<Vec<String>>,
}

/// A reader, and what it knows.
#[derive(Default)]
struct Reader {
    cursor: Option<FeedCursor>,
    /// The time at which it began without a cursor.
    began: Option<Instant>,
    /// The time of its last page, if that was at the end of the feed.
    at_end: Option<Instant>,
    /// The first and the last version of each asset.
    heard: BTreeMap<AssetId, (u64, u64)>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            chance: Arc::new(Chance::new(seed)),
            began: Instant::now(),
            lanes: Arc::default(),
            journal: Arc::default(),
            announced: RefCell::default(),
            shortest: Cell::new(u64::MAX),
            expired: Cell::default(),
            violations: RefCell::default(),
        }
    }

    fn clock(&self, skewed: bool) -> Arc<Clock> {
        let skew =
            i64::try_from(self.chance.below(2 * SKEW)).unwrap() - i64::try_from(SKEW).unwrap();
        let skew = TimeDelta::seconds(if skewed { skew } else { 0 });
        Arc::new(Clock { began: self.began, skew })
    }

    fn connection(&self, told: bool) -> Arc<Distant> {
        Arc::new(Distant { lanes: self.lanes.clone(), chance: self.chance.clone(), told })
    }

    fn violated(&self, what: String) {
        self.violations.borrow_mut().push(what);
    }

    /// Waits: often until about the end of a week, sometimes for weeks.
    async fn pause(&self, most_days: u64) {
        let passed = self.clock(false).now().timestamp().unsigned_abs() % WEEK;
        let wait = match self.chance.below(10) {
            0..3 => WEEK - passed + self.chance.below(3 * 60 * 60),
            3..5 => (WEEK - passed).saturating_sub(self.chance.below(60 * 60)),
            5..8 => self.chance.below(2 * DAY),
            _ => self.chance.below(most_days * DAY),
        };
        sleep(Duration::from_millis(wait * 1_000 + self.chance.below(1_000))).await;
    }

    fn is_over(&self) -> bool {
        self.began.elapsed() > Duration::from_secs(DAYS * DAY)
    }

    /// Announces its own assets, one version or a few at a time.
    async fn write(&self, writer: u64) {
        let told = writer != 3;
        let new = || Announcer::new(self.connection(told), self.clock(true));
        let (mut announcer, mut stories) = (new(), Vec::<Story>::new());
        let mut nth = u32::try_from(writer).unwrap();
        while !self.is_over() {
            for _ in 0..self.chance.below(4) {
                let known = self.chance.below(stories.len() as u64 + 2);
                let at = usize::try_from(known).unwrap().min(stories.len());
                if at == stories.len() {
                    stories.push(Story::begin("main", nth).received());
                    nth += u32::try_from(WRITERS).unwrap();
                    self.announce(&announcer, &stories[at], 0).await;
                } else if stories[at].version() < 30 {
                    let (story, before) = (stories[at].clone(), stories[at].version());
                    stories[at] = story.deleted().then(Event::Restored);
                    // An event may be announced again.
                    let again = self.chance.below(2).min(before);
                    self.announce(&announcer, &stories[at], before - again).await;
                }
            }
            if self.chance.happens(200) {
                announcer = new();
            }
            // A writer pauses: the feed of this deployment may be silent for weeks.
            self.pause(if self.seed.is_multiple_of(3) { 60 } else { 4 }).await;
        }
    }

    async fn announce(&self, announcer: &Announcer, story: &Story, known: u64) {
        story.append_to(&*self.journal).await;
        let history = History::read(&story.key, story.lines.clone()).unwrap().unwrap();
        while !announcer.announce(vec![Announcement::of(&history, known)]).await.is_empty() {
            sleep(Duration::from_secs(self.chance.below(600))).await;
        }
        let versions = usize::try_from(story.version()).unwrap();
        self.announced
            .borrow_mut()
            .entry(story.key.asset)
            .or_default()
            .resize(versions, Instant::now());
    }

    fn feed(&self, lanes: Arc<dyn Lanes>, skewed: bool) -> LanedFeed {
        LanedFeed::new(lanes, self.journal.clone(), self.clock(skewed))
    }

    async fn read(&self, reader: &mut Reader) {
        let feed = self.feed(self.connection(true), true);
        while !self.is_over() {
            for _ in 0..self.chance.below(6) {
                let limit = 1 + usize::try_from(self.chance.below(9)).unwrap();
                self.page(&feed, reader, limit).await;
            }
            self.pause(60).await;
        }
    }

    /// Reads a page; returns whether there is more.
    async fn page(&self, feed: &LanedFeed, reader: &mut Reader, limit: usize) -> bool {
        let began = Instant::now();
        let (tenant, after) = (Tenant::default(), reader.cursor.clone());
        match feed.page(&FeedQuery { tenant, after, limit, kind: None, actor: None }).await {
            Ok(page) => {
                reader.began.get_or_insert(began);
                reader.at_end = Some(began).filter(|_| !page.more);
                reader.cursor = Some(page.next);
                self.hear(reader, page.events);
                page.more
            }
            Err(FeedError::Expired) => {
                self.expired.set(self.expired.get() + 1);
                // At the end of the feed it is valid for the whole retention. A clock and a slow
                // request take less than the day that is added to it.
                let off = reader.at_end.map(|at| at.elapsed().as_secs());
                if let Some(off) = off.filter(|off| *off < self.shortest.get() * DAY) {
                    self.violated(format!("a cursor expired after {off} seconds"));
                }
                *reader = Reader::default();
                true
            }
            Err(FeedError::Store(_)) => true,
            Err(FeedError::Foreign) => {
                // After the retention was raised, a reader may stand in what the shorter one left.
                if self.retentions() != [7, 30] {
                    self.violated(format!("{:?} is refused", reader.cursor));
                }
                *reader = Reader::default();
                true
            }
        }
    }

    fn hear(&self, reader: &mut Reader, events: Vec<FeedEvent>) {
        for FeedEvent { key, line } in events {
            let version = line.version;
            let (first, last) = reader.heard.entry(key.asset).or_insert((version, version));
            if version > *last + 1 {
                self.violated(format!("{}: {version} was heard after {last}", key.asset));
            }
            (*first, *last) = ((*first).min(version), (*last).max(version));
        }
    }

    /// The days of the retention, first and later.
    fn retentions(&self) -> [u16; 2] {
        [[7, 7], [30, 7], [7, 30], [14, 14]][usize::try_from(self.seed % 4).unwrap()]
    }

    /// Turns the retention on, and may change it.
    async fn operate(&self) {
        let set = |days: u16| {
            self.shortest.set(self.shortest.get().min(days.into()));
            self.lanes.keep(FeedRetention::of_days(days));
        };
        let [one, other] = self.retentions();
        sleep(Duration::from_secs(self.chance.below(30 * DAY))).await;
        set(one);
        sleep(Duration::from_secs(30 * DAY + self.chance.below(30 * DAY))).await;
        set(other);
    }

    /// Removes some of the expired entries, now and then.
    async fn expire(&self) {
        let clock = self.clock(false);
        while !self.is_over() {
            sleep(Duration::from_secs(self.chance.below(DAY))).await;
            let share = [0, 300, 1_000][usize::try_from(self.chance.below(3)).unwrap()];
            self.lanes.expire(clock.now(), || self.chance.happens(share));
        }
    }

    /// A reader has heard all that was announced since it began, and for the retention before.
    fn check(&self, reader: &Reader) {
        let began = reader.began.unwrap();
        let kept = Duration::from_secs(self.shortest.get() * DAY);
        for (asset, versions) in &*self.announced.borrow() {
            let (first, last) = reader.heard.get(asset).copied().unwrap_or((u64::MAX, 0));
            for (version, at) in (1..).zip(versions) {
                let due = began.saturating_duration_since(*at) < kept;
                if due && !(first..=last).contains(&version) {
                    self.violated(format!("{asset}: {version} was not heard"));
                }
            }
        }
    }

    async fn run(self: Rc<Self>) {
        let mut readers: Vec<_> = (0..READERS).map(|_| Reader::default()).collect();
        let writing = join_all((0..WRITERS).map(|writer| self.write(writer)));
        let reading = join_all(readers.iter_mut().map(|reader| self.read(reader)));
        futures::join!(writing, reading, self.operate(), self.expire());
        let feed = self.feed(self.lanes.clone(), false);
        for mut reader in readers {
            let mut pages = 0;
            while self.page(&feed, &mut reader, 7).await {
                pages += 1;
                assert!(pages < 10_000, "seed {}: the feed has no end", self.seed);
            }
            self.check(&reader);
        }
    }
}

#[test]
fn a_reader_of_a_feed_that_expires_hears_every_event_or_is_told() {
    let seeds = variable("ASSET_LEDGER_FLEET_SEEDS").unwrap_or(SEEDS);
    let one = variable("ASSET_LEDGER_FLEET_SEED");
    for seed in one.map_or(0..seeds, |seed| seed..seed + 1) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        let world = runtime.block_on(async {
            let world = Rc::new(World::new(seed));
            world.clone().run().await;
            world
        });
        let events: usize = world.announced.borrow().values().map(Vec::len).sum();
        tell(&format!("expiring {seed}: {events} events, {} cursors expired", world.expired.get()));
        let violations = world.violations.borrow();
        assert!(violations.is_empty(), "seed {seed}:\n{}", violations.join("\n"));
        assert!(events > 50, "seed {seed}: {events}");
    }
}
