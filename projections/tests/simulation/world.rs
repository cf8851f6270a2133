//! The parts of a run: stores, faulty connections to them, and the observations.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use ledger::chain::Hash;
use ledger::history::History;
use ledger::id::{AssetId, Key, Tenant};
use ledger::journal::{Arrival, Arrivals, Journal};
use ledger::record::EventSource;
use ledger::service::{Caller, LedgerService};
use ledger::testing::{Chance, Faults, Faulty, MemoryBucket, TestEffects};
use projections::feed::{FeedCursor, Lanes};
use projections::position::Positions;
use projections::{CurrentGeneration, Generations, Reader, Rows, Runner};

/// A journal with arrival order.
pub(crate) trait SimulatedStore: Journal + Arrivals + 'static {}
impl<T: Journal + Arrivals + 'static> SimulatedStore for T {}

/// A read table with its follower's position.
pub(crate) trait SimulatedTable: Generations + Positions + 'static {}
impl<T: Generations + Positions + 'static> SimulatedTable for T {}

/// How rows are projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SimulatedFeed {
    /// By several runners, from the stream.
    Stream,
    /// By followers of the arrival order, with a position.
    Follower,
    /// By both at once.
    Both,
}

/// A run's outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CommandOutcome {
    /// Violated checks.
    pub(crate) violations: Vec<String>,
    pub(crate) assets: u64,
    pub(crate) events: u64,
    pub(crate) acknowledged: u64,
    pub(crate) crashes: u64,
    /// Events that the listener received, including duplicates.
    pub(crate) told: u64,
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    /// The heads of all assets: equal seeds give equal heads.
    pub(crate) heads: Vec<Hash>,
    /// Assets of one tenant with the id of another's.
    pub(crate) namesakes: u64,
}

impl CommandOutcome {
    pub(crate) fn add(&mut self, other: &Self) {
        self.assets += other.assets;
        self.events += other.events;
        self.acknowledged += other.acknowledged;
        self.crashes += other.crashes;
        self.told += other.told;
        self.namesakes += other.namesakes;
        for (kind, count) in &other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
    }
}

impl fmt::Display for CommandOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { assets, events, acknowledged, crashes, told, kinds, .. } = self;
        write!(f, "{assets} assets, {events} events {kinds:?}, ")?;
        write!(f, "{acknowledged} changes acknowledged, {told} told, {crashes} crashes")
    }
}

/// Observations of the run.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) violations: Vec<String>,
    /// Assets known to clients.
    pub(crate) known: Vec<AssetId>,
    /// The acknowledged versions and heads.
    pub(crate) acknowledged: Vec<(Key, u64, Hash)>,
    /// Versions of objects that were deleted without the ledger.
    pub(crate) removed: HashSet<(Key, String)>,
    /// Those of them that were missing while their key had no bytes.
    pub(crate) unreplaced: HashSet<String>,
    /// The number of restore requests.
    pub(crate) restores: u64,
    /// The newest row of each asset that was read.
    pub(crate) rows: BTreeMap<Key, u64>,
    /// How many of each asset's events the listener has received, and its cursor.
    pub(crate) heard: BTreeMap<Key, u64>,
    pub(crate) listened: Option<FeedCursor>,
    /// How many events it received, including duplicates.
    pub(crate) told: u64,
    pub(crate) crashes: u64,
}

pub(crate) struct Simulation<J, V> {
    pub(crate) chance: Chance,
    pub(crate) effects: Arc<TestEffects>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) journal: Arc<J>,
    pub(crate) views: Arc<V>,
    pub(crate) lanes: Arc<dyn Lanes>,
    pub(crate) bucket: Arc<MemoryBucket>,
    pub(crate) tenant: Tenant,
    pub(crate) service: LedgerService,
    pub(crate) reader: Reader,
    pub(crate) feed: SimulatedFeed,
    pub(crate) seen: Mutex<Seen>,
}

impl<J: SimulatedStore, V: SimulatedTable> Simulation<J, V> {
    pub(crate) fn new(seed: u64, journal: Arc<J>, views: Arc<V>, lanes: Arc<dyn Lanes>) -> Self {
        let tenant = format!("seed-{seed}").parse().unwrap();
        Self::of(tenant, seed, (journal, views, lanes, Arc::default()))
    }

    /// A tenant's part of a world that others may live in.
    pub(crate) fn of(
        tenant: Tenant,
        seed: u64,
        (journal, views, lanes, bucket): (Arc<J>, Arc<V>, Arc<dyn Lanes>, Arc<MemoryBucket>),
    ) -> Self {
        let chance = Chance::new(seed);
        let faults = Arc::new(Faults::new(chance.draw(), chance.below(200), 5));
        let effects = Arc::new(TestEffects::seeded(chance.draw()));
        let service = LedgerService::new(
            Arc::new(Faulty::new(journal.clone(), faults.clone())),
            Arc::new(Faulty::new(bucket.clone(), faults.clone())),
            effects.clone(),
            "files",
        );
        let feed = [SimulatedFeed::Stream, SimulatedFeed::Follower, SimulatedFeed::Both]
            [usize::try_from(seed % 3).unwrap()];
        let reader = Reader::new(journal.clone(), Arc::new(CurrentGeneration::new(views.clone())));
        Self {
            tenant,
            chance,
            effects,
            faults,
            journal,
            views,
            lanes,
            bucket,
            service,
            reader,
            feed,
            seen: Mutex::default(),
        }
    }

    /// A runner with faulty ports.
    pub(crate) fn runner(&self) -> Runner {
        let journal = Faulty::new(self.journal.clone(), self.faults.clone());
        let runner = Runner::new(Arc::new(journal), Arc::new(self.table()), self.effects.clone());
        runner.announcing(self.announcer())
    }

    /// The current rows, without faults.
    pub(crate) async fn rows(&self) -> Arc<dyn Rows> {
        self.views.rows(self.views.generations().await.unwrap().current)
    }

    /// The read table with a faulty connection.
    pub(crate) fn table(&self) -> Faulty<V, Faults> {
        Faulty::new(self.views.clone(), self.faults.clone())
    }

    pub(crate) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    pub(crate) fn violated(&self, what: String) {
        self.seen().violations.push(what);
    }

    /// The arrivals of the tenant's events.
    pub(crate) async fn arrived(&self) -> Vec<Arrival> {
        self.journal.arrivals_of(&self.tenant, 0, 10_000).await.unwrap()
    }

    pub(crate) fn key(&self, asset: AssetId) -> Key {
        Key { tenant: self.tenant.clone(), asset }
    }

    pub(crate) fn caller(&self, source: EventSource) -> Caller {
        let (tenant, actor) = (self.tenant.clone(), "anonymous".into());
        Caller { tenant, actor, source, request: "simulation".into(), own_only: false }
    }

    /// The history in the journal, without faults.
    pub(crate) async fn history(&self, key: &Key) -> Option<History> {
        let lines = self.journal.history(key).await.unwrap();
        match ledger::service::read(key, lines) {
            Ok(history) => history,
            Err(error) => {
                self.violated(format!("{}: {}", key.asset, ledger::error::chain(&error)));
                None
            }
        }
    }

    /// Moves the clock, sometimes back.
    pub(crate) fn tick(&self) {
        let forward = i64::try_from(self.chance.below(3_000)).unwrap();
        let back = if self.chance.happens(100) { 10_000 } else { 0 };
        self.effects.advance(chrono::TimeDelta::microseconds(forward - back));
    }

    /// Runs `doing` to its end, or sometimes crashes it at a random step.
    pub(crate) async fn mortal<T>(&self, doing: impl Future<Output = T>) -> Option<T> {
        let mut steps = if self.chance.happens(100) { self.chance.below(20) } else { u64::MAX };
        let mut doing = Box::pin(doing);
        let outcome = std::future::poll_fn(|context| {
            if steps == 0 {
                return Poll::Ready(None);
            }
            steps -= 1;
            doing.as_mut().poll(context).map(Some)
        });
        let outcome = outcome.await;
        self.seen().crashes += u64::from(outcome.is_none());
        outcome
    }
}
