//! Commands, a stream in shards, and the environments that project its batches.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledger::journal::Arrivals;
use projections::replay::{Replay, ReplayError, ReplayOptions, ReplayOutcome, ReplayTally};
use projections::runner::{ProjectionHint, Runner};
use projections::testing::Story;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::cloud::{Cloud, Connection, ProcessClock, Units};

/// Records of a batch.
const BATCH: usize = 100;
/// The interval at which Lambda asks an idle shard for records.
const POLL: Duration = Duration::from_millis(250);
/// Seconds between two events of an asset, about: they are in different batches.
const APART: u64 = 6;
/// Records in a thousand that a shard delivers before their predecessor.
const SWAPPED: u64 = 30;
/// A crash comes within this time.
const CRASH_MS: u64 = 40;

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fleet {
    pub(crate) seed: u64,
    pub(crate) events_per_second: u64,
    pub(crate) seconds: u64,
    /// Batches that are read at once: shards times the parallelization factor.
    pub(crate) pollers: usize,
    /// Processes that batches are given to, one at a time.
    pub(crate) environments: usize,
    /// The time in which a batch is gathered.
    pub(crate) window: Duration,
    /// Requests in a thousand that are throttled, and that lose their reply.
    pub(crate) faults: u64,
    /// Batches in a thousand whose process crashes.
    pub(crate) crashes: u64,
    /// Whether a replay runs meanwhile.
    pub(crate) replay: bool,
}

/// The result of a run.
pub(crate) struct FleetRun {
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) stories: Vec<Story>,
    pub(crate) events: u64,
    pub(crate) units: Units,
    /// The mean time from an append to the end of the batch that projected it.
    pub(crate) lag: Duration,
    pub(crate) crashes: u64,
    pub(crate) replayed: Option<ReplayOutcome>,
}

#[derive(Clone)]
struct StreamRecord {
    hint: ProjectionHint,
    at: Instant,
}

/// The state of the stream and its readers.
struct Running {
    fleet: Fleet,
    cloud: Arc<Cloud>,
    shards: Vec<Mutex<VecDeque<StreamRecord>>>,
    idle: Mutex<Vec<Runner>>,
    over: AtomicBool,
    lags: Mutex<(Duration, u64)>,
    crashes: Mutex<u64>,
}

impl Fleet {
    pub(crate) fn run(self) -> FleetRun {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(self.running())
    }

    async fn running(self) -> FleetRun {
        let cloud = Arc::new(Cloud::new(self.seed, self.faults));
        let running = Arc::new(Running {
            fleet: self,
            idle: Mutex::new((0..self.environments).map(|_| environment(&cloud)).collect()),
            cloud,
            shards: (0..self.pollers).map(|_| Mutex::default()).collect(),
            over: AtomicBool::new(false),
            lags: Mutex::default(),
            crashes: Mutex::default(),
        });
        let stories = running.begun().await;
        let before = stories.len() as u64;
        let mut pollers = JoinSet::new();
        for shard in 0..self.pollers {
            pollers.spawn(running.clone().poll(shard));
        }
        let replay = self.replay.then(|| tokio::spawn(running.clone().replay()));
        let stories = running.commands(stories).await;
        running.over.store(true, Ordering::Relaxed);
        let replayed = match replay {
            Some(replay) => Some(replay.await.unwrap()),
            None => None,
        };
        while let Some(ended) = pollers.join_next().await {
            ended.unwrap();
        }
        let cloud = running.cloud.clone();
        cloud.calm();
        let (lag, events) = *running.lags.lock().unwrap();
        let lag = lag / u32::try_from(events.max(1)).unwrap();
        let events = *cloud.journal.latest().borrow() - before;
        let (units, crashes) = (cloud.spent(), *running.crashes.lock().unwrap());
        FleetRun { cloud, stories, events, units, lag, crashes, replayed }
    }
}

/// A new process: it remembers nothing.
fn environment(cloud: &Arc<Cloud>) -> Runner {
    let connection = Arc::new(Connection(cloud.clone()));
    Runner::new(connection.clone(), connection, Arc::new(ProcessClock::new(cloud.clone())))
}

impl Running {
    /// Assets that exist before the run, projected by one process. They cost nothing.
    async fn begun(&self) -> Vec<Story> {
        let count = u32::try_from(APART * self.fleet.events_per_second).unwrap();
        let stories: Vec<_> = (0..count).map(|nth| Story::begin("main", nth)).collect();
        let runner = environment(&self.cloud);
        for batch in stories.chunks(BATCH) {
            let mut hints = Vec::new();
            for Story { key, lines, .. } in batch {
                self.cloud.command(key, lines[0].clone()).await;
                hints.push(ProjectionHint { key: key.clone(), version: 1, lines: lines.clone() });
            }
            while !hints.is_empty() {
                let failed = runner.project(&hints).await.failed;
                hints = failed.iter().map(|failed| hints[failed.hint].clone()).collect();
            }
        }
        self.cloud.forget_units();
        stories
    }

    /// Commands at a mean rate: a third of them creates an asset.
    async fn commands(&self, mut stories: Vec<Story>) -> Vec<Story> {
        let (chance, began) = (&self.cloud.chance, Instant::now());
        let mut waiting: VecDeque<_> = (0..stories.len()).collect();
        let (mut at, mean) = (0.0, 1.0 / self.fleet.events_per_second as f64);
        while at < self.fleet.seconds as f64 {
            let share = (chance.below(1 << 24) + 1) as f64 / f64::from(1 << 24);
            at -= mean * share.ln();
            tokio::time::sleep_until(began + Duration::from_secs_f64(at)).await;
            let nth = match waiting.pop_front() {
                Some(nth) if chance.happens(667) => {
                    let story = stories[nth].clone();
                    stories[nth] =
                        if story.version() == 1 { story.received() } else { story.uploaded() };
                    nth
                }
                other => {
                    waiting.extend(other);
                    stories.push(Story::begin("main", u32::try_from(stories.len()).unwrap()));
                    stories.len() - 1
                }
            };
            if stories[nth].version() < 3 {
                waiting.push_back(nth);
            }
            self.append(&stories[nth]).await;
        }
        stories
    }

    async fn append(&self, story: &Story) {
        let line = story.lines.last().unwrap().clone();
        self.cloud.command(&story.key, line.clone()).await;
        let (key, version) = (story.key.clone(), line.version);
        let shard = usize::from(key.asset.last_byte() / 4) % self.shards.len();
        let hint = ProjectionHint { key, version, lines: vec![line] };
        let mut shard = self.shards[shard].lock().unwrap();
        shard.push_back(StreamRecord { hint, at: Instant::now() });
        let last = shard.len() - 1;
        if last > 0 && self.cloud.chance.happens(SWAPPED) {
            shard.swap(last - 1, last);
        }
    }

    fn take(&self, shard: usize) -> Vec<StreamRecord> {
        let mut shard = self.shards[shard].lock().unwrap();
        let count = shard.len().min(BATCH);
        shard.drain(..count).collect()
    }

    fn waiting(&self, shard: usize) -> usize {
        self.shards[shard].lock().unwrap().len()
    }

    /// Reads a shard until the commands are over and everything is projected.
    async fn poll(self: Arc<Self>, shard: usize) {
        // Pollers do not poll at the same moment.
        sleep(POLL * u32::try_from(shard).unwrap() / u32::try_from(self.shards.len()).unwrap())
            .await;
        loop {
            while self.waiting(shard) == 0 {
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                sleep(POLL).await;
            }
            let first = Instant::now();
            while self.waiting(shard) < BATCH && first.elapsed() < self.fleet.window {
                sleep(POLL.min(self.fleet.window.saturating_sub(first.elapsed()))).await;
            }
            let records = self.take(shard);
            let again = self.invoke(records).await;
            let mut shard = self.shards[shard].lock().unwrap();
            for record in again.into_iter().rev() {
                shard.push_front(record);
            }
        }
    }

    /// Projects a batch in an idle environment, and returns the records to deliver again.
    async fn invoke(&self, records: Vec<StreamRecord>) -> Vec<StreamRecord> {
        let chance = &self.cloud.chance;
        let runner = {
            let mut idle = self.idle.lock().unwrap();
            let some = usize::try_from(chance.below(idle.len() as u64)).unwrap();
            if idle.is_empty() { environment(&self.cloud) } else { idle.swap_remove(some) }
        };
        let hints: Vec<_> = records.iter().map(|record| record.hint.clone()).collect();
        let life = if chance.happens(self.fleet.crashes) {
            Duration::from_millis(chance.below(CRASH_MS))
        } else {
            Duration::from_mins(1)
        };
        let Ok(report) = timeout(life, runner.project(&hints)).await else {
            *self.crashes.lock().unwrap() += 1;
            self.idle.lock().unwrap().push(environment(&self.cloud));
            return records;
        };
        self.idle.lock().unwrap().push(runner);
        let failed = report.failed.first().map_or(records.len(), |failed| failed.hint);
        let mut lags = self.lags.lock().unwrap();
        for record in &records[..failed] {
            lags.0 += record.at.elapsed();
            lags.1 += 1;
        }
        records[failed..].to_vec()
    }

    /// Builds new rows after a third of the time, and repeats this until it is done.
    async fn replay(self: Arc<Self>) -> ReplayOutcome {
        sleep(Duration::from_secs(self.fleet.seconds) / 3).await;
        let connection = Arc::new(Connection(self.cloud.clone()));
        let (_keep, stop) = watch::channel(false);
        let (tenant, rate, keep) = (None, None, None);
        let options = ReplayOptions {
            tenant,
            segments: 4,
            rate,
            keep,
            accept_broken: false,
            accept_restored: false,
            fresh: false,
        };
        let replay = Replay {
            journal: connection.clone(),
            table: connection,
            effects: Arc::new(ProcessClock::new(self.cloud.clone())),
            options,
            tally: Arc::<ReplayTally>::default(),
            stop,
        };
        loop {
            match replay.run().await {
                Ok(outcome) => return outcome,
                // A store failed for longer than a replay waits.
                Err(ReplayError::Store(_)) => sleep(Duration::from_secs(1)).await,
                Err(error) => panic!("the replay failed: {error}"),
            }
        }
    }
}
