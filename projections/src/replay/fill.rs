//! Fills a generation: the journal's segments are read concurrently, folded and written. In each
//! segment, histories are read and rows written while others are folded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures::stream::{StreamExt, TryStreamExt, iter};
use ledger::StoreError;
use ledger::asset::Asset;
use ledger::error::chain;
use ledger::history::fold_lines;
use ledger::journal::Journal;
use ledger::journal::scan::{Chain, Chains, ScanPosition, Segment};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::throttle::{RateLimit, RetryBudget, persist};
use super::{Phase, Replay, ReplayError};
use crate::generations::{BrokenHistory, ReplayProgress, SegmentProgress};
use crate::row::expires_at;
use crate::rows::Rows;
use crate::views::Parked;

/// Assets between two saved positions, and the events after which there are fewer.
const BATCH: usize = 256;
const BATCH_EVENTS: usize = 8_192;
/// Batches that wait for being folded, in each segment, beside those that are read, folded and
/// written at present.
const AHEAD: usize = 1;
/// Folded batches that wait for being written, in each segment: a store may pause for its disk.
/// They are then written together.
const WAITING: usize = 4;
/// Rows that wait for the rate limit concurrently, in each segment.
const AT_ONCE: usize = 64;
/// Histories that are named if they do not verify; the rest is counted.
const NAMED: usize = 100;
/// Bytes kept of an error message: a forged event may make it long.
const WHY_MAX: usize = 200;

/// The extent to which a generation was filled.
pub(super) enum Filled {
    /// Completely.
    Whole(ReplayProgress),
    /// Until it was stopped.
    Part,
}

/// The state that all segments share.
struct FillContext {
    replay: Replay,
    to: Arc<dyn Rows>,
    pace: RateLimit,
    /// Whether a history does not verify and this was not accepted. Then no more rows are written,
    /// and the rest is only read to name such histories.
    in_vain: AtomicBool,
}

/// The progress of a segment.
struct SegmentUpdate {
    number: usize,
    stretch: SegmentProgress,
    aside: Unfolded,
}

/// Histories without a row.
#[derive(Default)]
struct Unfolded {
    /// Histories that do not verify.
    broken: Vec<BrokenHistory>,
    /// Histories with an event of a newer version.
    unknown: Vec<BrokenHistory>,
}

/// The result of folding a history.
enum FoldOutcome {
    Row(Box<Asset>),
    /// An expired tombstone.
    Omitted,
    Broken(BrokenHistory, u64),
    /// An event of a newer version, as far as can be determined.
    Unknown(BrokenHistory, u64),
    /// A partition that belongs to no asset: it is skipped, as everywhere.
    Foreign,
}

impl Replay {
    /// Builds the rows of every asset, from the end of `begun`. `note` receives the progress.
    pub(super) async fn fill(
        &self,
        to: Arc<dyn Rows>,
        begun: ReplayProgress,
        note: impl Fn(&ReplayProgress),
    ) -> Result<Filled, ReplayError> {
        self.tally.enter(Phase::Filling);
        let (pace, in_vain) = (RateLimit::new(self.options.rate), AtomicBool::new(false));
        let work = Arc::new(FillContext { replay: self.clone(), to, pace, in_vain });
        let (mut workers, mut progress) = (JoinSet::new(), begun);
        let (said, mut heard) = mpsc::channel(progress.stretches.len().max(1));
        for (number, stretch) in progress.stretches.iter().cloned().enumerate() {
            self.tally.filled(stretch.events, stretch.assets);
            if !stretch.done {
                workers.spawn(work.clone().segment(number, stretch, said.clone()));
            }
        }
        drop(said);
        loop {
            tokio::select! {
                Some(news) = heard.recv() => {
                    take(&mut progress, news);
                    // Without rows there is no progress to go on from: a later run may accept
                    // broken histories. It is known as soon as one is in the progress.
                    if progress.broken_count > 0 || !work.in_vain.load(Ordering::Relaxed) {
                        note(&progress);
                    }
                }
                Some(ended) = workers.join_next() => ended.map_err(|_| ReplayError::Cut)??,
                else => break,
            }
        }
        let whole = progress.stretches.iter().all(|stretch| stretch.done);
        Ok(if whole { Filled::Whole(progress) } else { Filled::Part })
    }
}

fn take(progress: &mut ReplayProgress, SegmentUpdate { number, stretch, aside }: SegmentUpdate) {
    let Unfolded { broken, unknown } = aside;
    progress.broken_count += broken.len() as u64;
    progress.unknown_count += unknown.len() as u64;
    let room = |named: &Vec<BrokenHistory>| NAMED.saturating_sub(named.len());
    progress.broken.extend(broken.into_iter().take(room(&progress.broken)));
    progress.unknown.extend(unknown.into_iter().take(room(&progress.unknown)));
    if let Some(there) = progress.stretches.get_mut(number) {
        *there = stretch;
    }
}

impl FillContext {
    async fn segment(
        self: Arc<Self>,
        number: usize,
        mut stretch: SegmentProgress,
        say: mpsc::Sender<SegmentUpdate>,
    ) -> Result<(), ReplayError> {
        let (give, mut batches) = mpsc::channel(AHEAD);
        let (mut reader, mut writer) = (JoinSet::new(), JoinSet::new());
        let (hand_over, waiting) = mpsc::channel(WAITING);
        writer.spawn(self.clone().write_all(waiting, say));
        let journal = self.replay.journal.clone();
        reader.spawn(read(journal, stretch.segment.clone(), stretch.place.clone(), give));
        while !stretch.done && !*self.replay.stop.borrow() {
            let Some(batch) = batches.recv().await else { return Err(ReplayError::Cut) };
            let HistoryBatch { chains, events, place, last } = batch?;
            let (rows, aside) = self.fold(chains).await?;
            stretch.events += events;
            stretch.assets += rows.len() as u64;
            stretch.place = place;
            stretch.done = last;
            let update = SegmentUpdate { number, stretch: stretch.clone(), aside };
            if hand_over.send(FoldedBatch { rows, events, update }).await.is_err() {
                break; // the writer failed
            }
        }
        drop(hand_over);
        match writer.join_next().await {
            Some(ended) => Ok(ended.map_err(|_| ReplayError::Cut)??),
            None => Err(ReplayError::Cut),
        }
    }

    /// Writes the batches of a segment in their order, so that the position is never beyond a lost
    /// one, and reports the progress.
    async fn write_all(
        self: Arc<Self>,
        mut waiting: mpsc::Receiver<FoldedBatch>,
        say: mpsc::Sender<SegmentUpdate>,
    ) -> Result<(), StoreError> {
        // With a rate limit, several batches together would take long, and so would those that wait
        // when the replay is stopped.
        let limited = !self.pace.is_free();
        let most = if limited { 1 } else { WAITING };
        let mut some = Vec::with_capacity(most);
        while waiting.recv_many(&mut some, most).await > 0 {
            if limited && *self.replay.stop.borrow() {
                break;
            }
            let (mut rows, mut updates) = (Vec::new(), Vec::with_capacity(WAITING));
            for FoldedBatch { rows: more, events, update } in some.drain(..) {
                updates.push((update, events, more.len() as u64));
                if rows.is_empty() {
                    rows = more;
                } else {
                    rows.extend(more);
                }
            }
            if !self.in_vain.load(Ordering::Relaxed) {
                self.put_all(rows).await?;
            }
            for (update, events, assets) in updates {
                self.replay.tally.filled(events, assets);
                let _ = say.send(update).await;
            }
        }
        Ok(())
    }

    /// Folds some histories to rows; also returns those that did not fold.
    async fn fold(&self, batch: Vec<Chain>) -> Result<(Vec<Asset>, Unfolded), StoreError> {
        let now = self.replay.effects.now();
        let (mut rows, mut aside) = (Vec::new(), Unfolded::default());
        for chain in batch {
            match fold(&chain, now) {
                FoldOutcome::Row(asset) => rows.push(*asset),
                FoldOutcome::Broken(why, version) => {
                    if self.replay.options.accept_broken {
                        self.set_aside(&why, version, now).await?;
                    } else {
                        self.in_vain.store(true, Ordering::Relaxed);
                    }
                    aside.broken.push(why);
                }
                FoldOutcome::Unknown(why, version) => {
                    self.set_aside(&why, version, now).await?;
                    aside.unknown.push(why);
                }
                FoldOutcome::Omitted | FoldOutcome::Foreign => {}
            }
        }
        Ok((rows, aside))
    }

    /// All in one call; each one that failed, or must wait for the rate limit, on its own.
    async fn put_all(&self, mut rows: Vec<Asset>) -> Result<(), StoreError> {
        if self.pace.is_free() {
            let put = self.to.put_all(&rows).await;
            let mut refused = put.into_iter().map(|it| it.is_err());
            rows.retain(|_| refused.next().unwrap_or(true));
        }
        let put = iter(rows).map(|asset| Ok(self.put(asset)));
        put.try_buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    async fn put(&self, asset: Asset) -> Result<(), StoreError> {
        self.pace.wait(&asset).await;
        persist(|| self.to.put(&asset)).await.map(drop)
    }

    /// A history that does not fold has no row. Its asset is parked.
    async fn set_aside(
        &self,
        broken: &BrokenHistory,
        version: u64,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let key = ledger::id::Key::from_partition(&broken.partition);
        let Some(key) = key else { return Ok(()) };
        let parked = Parked { key, version, error: broken.why.clone(), at, contradicted: false };
        persist(|| self.to.park(&parked)).await
    }
}

/// The rows of a batch of histories, and the progress after them.
struct FoldedBatch {
    rows: Vec<Asset>,
    events: u64,
    update: SegmentUpdate,
}

/// Histories that are written together.
#[derive(Default)]
struct HistoryBatch {
    chains: Vec<Chain>,
    events: u64,
    /// The position after them.
    place: Option<ScanPosition>,
    /// Whether they are the last of their segment.
    last: bool,
}

impl HistoryBatch {
    async fn read(from: &mut Chains<'_>) -> Result<Self, StoreError> {
        let (mut chains, mut budget) = (Vec::with_capacity(BATCH), RetryBudget::default());
        let (mut events, mut last) = (0, false);
        while chains.len() < BATCH && events < BATCH_EVENTS && !last {
            match from.next().await {
                Ok(Some(chain)) => {
                    events += chain.lines.len() + chain.strays.len();
                    chains.push(chain);
                }
                Ok(None) => last = true,
                Err(error) => budget.retry(error).await?,
            }
        }
        Ok(Self { chains, events: events as u64, place: from.place().cloned(), last })
    }
}

/// Reads a segment, until its end, an error, or the end of the receiver.
async fn read(
    journal: Arc<dyn Journal>,
    segment: Segment,
    after: Option<ScanPosition>,
    give: mpsc::Sender<Result<HistoryBatch, StoreError>>,
) {
    let mut chains = Chains::new(&*journal, &segment, after);
    loop {
        let batch = HistoryBatch::read(&mut chains).await;
        let ended = batch.as_ref().map_or(true, |batch| batch.last);
        if give.send(batch).await.is_err() || ended {
            return;
        }
    }
}

fn fold(chain: &Chain, now: DateTime<Utc>) -> FoldOutcome {
    let Some(key) = chain.key() else { return FoldOutcome::Foreign };
    let version = chain.lines.last().map_or(1, |line| line.version);
    let told = |mut why: String| {
        why.truncate(why.floor_char_boundary(WHY_MAX));
        BrokenHistory { partition: key.partition(), why }
    };
    if let Some(stray) = chain.strays.first() {
        return FoldOutcome::Broken(told(stray.to_string()), version);
    }
    match fold_lines(&key, &chain.lines) {
        Ok(Some(asset)) if is_over(&asset, now) => FoldOutcome::Omitted,
        Ok(Some(asset)) => FoldOutcome::Row(Box::new(asset)),
        Ok(None) => FoldOutcome::Omitted,
        Err(error) if error.is_unknown() => {
            FoldOutcome::Unknown(told(self::chain(&error)), version)
        }
        Err(error) => FoldOutcome::Broken(told(self::chain(&error)), version),
    }
}

/// Whether the asset's row is an expired tombstone.
pub(super) fn is_over(asset: &Asset, now: DateTime<Utc>) -> bool {
    expires_at(asset).is_some_and(|at| at <= now)
}
