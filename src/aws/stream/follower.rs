//! Reads every shard of a stream, parents before their children, and projects the assets.
//!
//! Rows commute, so reading need not be exact: a process starts at the oldest record that is kept,
//! and several workers may read the same records. Only records that were trimmed before they were
//! read are lost to the stream. Then the journal's keys are scanned.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::{StreamExt, stream};
use ledger::error::{StoreErrorKind, chain};
use ledger::{Backoff, Effects, StoreError};
use projections::Runner;
use projections::runner::ProjectionHint;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::shards::{ShardReader, Shards};
use super::{
    InventoryCursor, ItemChange, JournalInventory, JournalStream, ShardPosition, ShardRecords,
    StreamError, Time,
};

/// Shards that are read concurrently.
const AT_ONCE: usize = 8;
/// The wait without new records: two workers stay below the five reads a second of a shard.
const POLL: Duration = Duration::from_millis(500);
/// The interval of listings of new shards. They appear when their parents close, about every four
/// hours, and when a table grows.
const LOOK: Duration = Duration::from_secs(10);
/// Consecutive empty pages that mean the end of a shard. A page is a part of it, and DynamoDB
/// documents that empty parts may come before others with records, but not how many. At the polling
/// interval this number adds two seconds to the reported lag.
const EMPTY_ENOUGH: u32 = 5;
/// A shard that was read this close to its end has no backlog that would justify reading its empty
/// pages faster, with more reads than a shard allows.
const NEAR: TimeDelta = TimeDelta::seconds(10);
/// The waits after failures: the longest is well within the 15 minutes of an iterator's life.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));

/// The progress of a follower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FollowerStatus {
    /// Everything written before this time is projected; `None` if this is unknown, as at the start
    /// and during a scan of the journal's keys.
    pub as_of: Option<Time>,
    /// Whether the last round found no new record, and more are unlikely to follow at once.
    pub idle: bool,
}

/// Projects the stream of a journal's table.
pub struct StreamFollower {
    stream: Arc<dyn JournalStream>,
    inventory: Arc<dyn JournalInventory>,
    runner: Runner,
    effects: Arc<dyn Effects>,
    shards: Shards,
    looked: Option<Instant>,
    fill: Fill,
    told: watch::Sender<FollowerStatus>,
}

/// Whether the journal's keys are being scanned.
enum Fill {
    Nothing,
    From(Option<InventoryCursor>),
}

/// The result of a step.
enum ShardStep {
    Nothing,
    Moved,
    /// Records were lost: the journal's keys must be scanned.
    Lost,
}

impl StreamFollower {
    /// A follower of `stream`, which uses `inventory` for records that the stream has lost.
    pub fn new(
        stream: Arc<dyn JournalStream>,
        inventory: Arc<dyn JournalInventory>,
        runner: Runner,
        effects: Arc<dyn Effects>,
    ) -> Self {
        let (told, fill) = (watch::Sender::new(FollowerStatus::default()), Fill::Nothing);
        let shards = Shards::default();
        Self { stream, inventory, runner, effects, shards, looked: None, fill, told }
    }

    /// Starts with every asset of the journal, as after more than the 24 hours that a stream keeps.
    #[must_use]
    pub fn catching_up(mut self) -> Self {
        self.fill = Fill::From(None);
        self
    }

    /// The follower's progress, for other tasks.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<FollowerStatus> {
        self.told.subscribe()
    }

    /// Follows until `stop`. It may be cut off anywhere: the next process reads the records again.
    pub async fn run(mut self, stop: CancellationToken) {
        let following = async {
            let mut failures = 0;
            loop {
                match self.round().await {
                    Ok(true) => failures = 0,
                    Ok(false) => {
                        failures = 0;
                        sleep(POLL).await;
                    }
                    Err(error) => {
                        failures += 1;
                        sleep(back_off(failures, &error)).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(following).await;
    }

    /// One round over all shards; returns whether there was a new record.
    pub(super) async fn round(&mut self) -> Result<bool, StoreError> {
        self.look().await?;
        let filling = self.fill().await?;
        let began = self.effects.now();
        let read = self.read(began).await;
        let as_of = if filling { None } else { self.shards.as_of(began) };
        let moved = read? || filling;
        self.tell(FollowerStatus { as_of, idle: !moved });
        Ok(moved)
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(());
        }
        if self.shards.update(self.stream.shards().await?) {
            self.lost();
        }
        self.looked = Some(Instant::now());
        Ok(())
    }

    fn lost(&mut self) {
        metrics::counter!("asset_ledger_stream_gaps").increment(1);
        tracing::error!("the stream lost unread records: scanning the whole journal");
        self.fill = Fill::From(None);
    }

    /// Projects the next page of the journal's keys; returns whether there was one.
    async fn fill(&mut self) -> Result<bool, StoreError> {
        let Fill::From(after) = &self.fill else { return Ok(false) };
        let (hints, next) = self.inventory.page(after.as_ref()).await?;
        if let Some(failed) = self.runner.project(&hints).await.failed.into_iter().next() {
            return Err(failed.error);
        }
        if next.is_none() {
            tracing::info!("scanned the whole journal");
        }
        self.fill = next.map_or(Fill::Nothing, |next| Fill::From(Some(next)));
        Ok(true)
    }

    /// Reads each shard; returns whether any had a new record. A failing shard stops no other.
    async fn read(&mut self, began: Time) -> Result<bool, StoreError> {
        let ids = self.shards.ready();
        let desk = ShardContext { stream: &*self.stream, runner: &self.runner, began };
        let mut reads = Vec::new();
        for (id, reading) in self.shards.pick(&ids) {
            reads.push(desk.read(id, reading));
        }
        let steps: Vec<_> = stream::iter(reads).buffer_unordered(AT_ONCE).collect().await;
        let (mut moved, mut failure) = (false, None);
        for step in steps {
            match step {
                Ok(ShardStep::Nothing) => {}
                Ok(ShardStep::Moved) => moved = true,
                Ok(ShardStep::Lost) => {
                    self.lost();
                    self.looked = None;
                    moved = true;
                }
                Err(error) => failure = Some(error),
            }
        }
        // The end of a shard makes its children readable: list the shards again.
        if moved && ids.iter().any(|id| !self.shards.ready().contains(id)) {
            self.looked = None;
        }
        failure.map_or(Ok(moved), Err)
    }

    fn tell(&self, status: FollowerStatus) {
        if let Some(as_of) = status.as_of {
            let lag = (self.effects.now() - as_of).num_milliseconds().max(0);
            #[allow(clippy::cast_precision_loss, reason = "a lag of 2^52 ms is not a lag")]
            metrics::gauge!("asset_ledger_stream_lag_ms").set(lag as f64);
        }
        self.told.send_replace(status);
    }
}

/// The context of reading one shard.
struct ShardContext<'a> {
    stream: &'a dyn JournalStream,
    runner: &'a Runner,
    began: Time,
}

impl ShardContext<'_> {
    async fn read(&self, id: &str, reading: &mut ShardReader) -> Result<ShardStep, StoreError> {
        self.project(reading).await?;
        match self.batch(id, reading).await {
            Ok(Some(batch)) => self.take(reading, batch).await,
            Ok(None) => Ok(ShardStep::Moved),
            Err(StreamError::Expired) => {
                reading.iterator = None;
                Ok(ShardStep::Moved)
            }
            Err(StreamError::Trimmed) => {
                tracing::error!(shard = id, "the stream trimmed unread records");
                (reading.place, reading.iterator) = (Some(ShardPosition::Oldest), None);
                Ok(ShardStep::Lost)
            }
            Err(StreamError::Gone) => {
                tracing::error!(shard = id, "a shard disappeared before it was read to its end");
                (reading.place, reading.iterator) = (None, None);
                Ok(ShardStep::Lost)
            }
            Err(StreamError::Store(error)) => Err(error),
        }
    }

    /// The next records of a shard; `None` if all of it was read before.
    async fn batch(
        &self,
        id: &str,
        reading: &mut ShardReader,
    ) -> Result<Option<ShardRecords>, StreamError> {
        let Some(place) = &reading.place else { return Ok(None) };
        let iterator = if let Some(iterator) = reading.iterator.take() {
            iterator
        } else {
            // It starts after the last record: the empty pages since are counted again.
            reading.empties = 0;
            self.stream.iterator(id, place).await?
        };
        let iterator = reading.iterator.insert(iterator);
        self.stream.records(iterator).await.map(Some)
    }

    async fn take(
        &self,
        reading: &mut ShardReader,
        batch: ShardRecords,
    ) -> Result<ShardStep, StoreError> {
        let ShardRecords { records, next } = batch;
        let step = self.step(reading, &records, next.is_none());
        reading.pending = records.iter().filter_map(ItemChange::hint).collect();
        let last = records.last();
        let place = records.iter().rev().find_map(|record| record.sequence.clone());
        let place = place.map(ShardPosition::After);
        // A batch with records may not be the last: it is complete up to its own records.
        let at_end = next.is_none() || reading.empties >= EMPTY_ENOUGH;
        let as_of = last.map_or(at_end.then_some(self.began), |last| last.at);
        reading.place = next.as_ref().and(place.or_else(|| reading.place.take()));
        reading.iterator = next;
        self.project(reading).await?;
        reading.as_of = as_of.or(reading.as_of);
        Ok(step)
    }

    /// Counts a page, and returns whether to read on at once: after records, and after an empty
    /// page that may have records behind it.
    fn step(&self, reading: &mut ShardReader, records: &[ItemChange], ended: bool) -> ShardStep {
        reading.empties = if records.is_empty() { reading.empties.saturating_add(1) } else { 0 };
        let near = reading.as_of.is_some_and(|as_of| self.began - as_of <= NEAR);
        let more = ended || !records.is_empty();
        if more || (reading.empties < EMPTY_ENOUGH && !near) {
            ShardStep::Moved
        } else {
            ShardStep::Nothing
        }
    }

    /// Projects the records that were read; failed ones wait for the next round.
    async fn project(&self, reading: &mut ShardReader) -> Result<(), StoreError> {
        if reading.pending.is_empty() {
            return Ok(());
        }
        let report = self.runner.project(&reading.pending).await;
        let Some(first) = report.failed.first() else {
            reading.pending.clear();
            return Ok(());
        };
        let left: Vec<ProjectionHint> =
            report.failed.iter().map(|failed| reading.pending[failed.hint].clone()).collect();
        reading.pending = left;
        Err(first.error.clone())
    }
}

fn back_off(failures: u32, error: &StoreError) -> Duration {
    let wait = BACKOFF.pause(failures - 1);
    let (cause, pause_ms) = (chain(error), wait.as_millis());
    match error.kind {
        StoreErrorKind::Throttled | StoreErrorKind::Unavailable => {
            tracing::warn!(cause, pause_ms, "the projection will be retried after a pause");
        }
        StoreErrorKind::Corrupt | StoreErrorKind::Newer | StoreErrorKind::Misconfigured => {
            tracing::error!(cause, pause_ms, "the projection is blocked until the cause is fixed");
        }
    }
    wait
}
