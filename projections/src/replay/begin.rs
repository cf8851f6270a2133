//! Decides whether to begin, to continue, or to leave it to a running replay.

use std::time::Duration;

use chrono::TimeDelta;
use ledger::StoreError;
use tokio::time::sleep;

use super::throttle::persist;
use super::{Phase, Replay, ReplayError};
use crate::generations::{Building, Generation, GenerationList, ReplayProgress, SegmentProgress};

/// The lease of a replay without a heartbeat expires after this time: ten heartbeats.
pub(super) const LEASE_TIMEOUT: TimeDelta = TimeDelta::seconds(10);
/// Added to the lease of a list, for clocks that run at slightly different rates. Together they are
/// shorter than a lease without a heartbeat.
const LEASE_MARGIN: Duration = Duration::from_secs(1);
/// The interval of checks for a heartbeat.
const LEASE_POLL: Duration = Duration::from_millis(500);

impl Replay {
    /// The progress to continue from, which this replay owns.
    pub(super) async fn begin(&self) -> Result<ReplayProgress, ReplayError> {
        self.tally.enter(Phase::Beginning);
        let run = format!("{:032x}", self.effects.random());
        loop {
            let (list, saved) = (self.list().await?, self.saved().await?);
            let Some(building) = &list.building else {
                if let Some(begun) = self.announce(&list, saved.as_ref(), &run).await? {
                    return Ok(begun);
                }
                continue;
            };
            self.listen(building, saved.as_ref()).await?;
            let usable =
                saved.filter(|it| it.generation == building.generation && it.broken_count == 0);
            match usable {
                Some(saved) if !self.options.fresh && !self.options.accept_restored => {
                    if let Some(ours) = self.take_over(&saved, &run).await? {
                        return Ok(ours);
                    }
                }
                _ => self.give_up().await?,
            }
        }
    }

    /// Progress at the beginning of the journal.
    pub(super) async fn begun(
        &self,
        of: Generation,
        run: String,
    ) -> Result<ReplayProgress, StoreError> {
        let segments = self.journal.segments(self.options.segments).await?;
        let stretch =
            |segment| SegmentProgress { segment, place: None, done: false, events: 0, assets: 0 };
        Ok(ReplayProgress {
            generation: of,
            run,
            at: self.effects.now(),
            stopped: false,
            stretches: segments.into_iter().map(stretch).collect(),
            broken: Vec::new(),
            broken_count: 0,
            unknown: Vec::new(),
            unknown_count: 0,
        })
    }

    /// Gives up the generation that is being built.
    pub(super) async fn give_up(&self) -> Result<(), ReplayError> {
        let now = self.effects.now();
        self.change(|list| Ok(list.given_up(now))).await.map(drop)
    }

    /// Announces a new generation; `None` if another process was faster.
    async fn announce(
        &self,
        list: &GenerationList,
        saved: Option<&ReplayProgress>,
        run: &str,
    ) -> Result<Option<ReplayProgress>, ReplayError> {
        let next = list.announced(run, self.effects.now())?;
        // The list shows whether this announcement or another one succeeded: a reply may be lost.
        persist(|| self.table.replace(list, &next)).await?;
        let announced = self.list().await?.building;
        let Some(ours) = announced.filter(|building| building.run == run) else { return Ok(None) };
        self.outwait_lists().await;
        let begun = self.begun(ours.generation, run.to_owned()).await?;
        persist(|| self.table.save(saved, &begun)).await?;
        match self.saved().await? {
            Some(there) if there.run == run => Ok(Some(begun)),
            _ => Err(ReplayError::Busy(ours.generation)),
        }
    }

    /// Waits until no runner uses a list from before the announcement. There is no progress to
    /// continue from before that, so a replay that continues need not wait.
    async fn outwait_lists(&self) {
        let lease = self.table.list_lease();
        if !lease.is_zero() {
            sleep(lease + LEASE_MARGIN).await;
        }
    }

    async fn take_over(
        &self,
        saved: &ReplayProgress,
        run: &str,
    ) -> Result<Option<ReplayProgress>, ReplayError> {
        let (at, run) = (self.effects.now(), run.to_owned());
        let ours = ReplayProgress { run, at, stopped: false, ..saved.clone() };
        persist(|| self.table.save(Some(saved), &ours)).await?;
        Ok(self.saved().await?.filter(|there| *there == ours))
    }

    /// Waits for a heartbeat of the replay that is building, until its lease expires.
    pub(super) async fn listen(
        &self,
        building: &Building,
        saved: Option<&ReplayProgress>,
    ) -> Result<(), ReplayError> {
        let generation = building.generation;
        let saved = saved.filter(|saved| saved.generation == generation);
        if saved.is_some_and(|saved| saved.stopped) {
            return Ok(());
        }
        // A replay that was just announced has no heartbeat yet.
        let heard = saved.map_or(building.at, |saved| saved.at);
        let silent = (self.effects.now() - heard).max(TimeDelta::zero());
        let mut left = (LEASE_TIMEOUT - silent).to_std().unwrap_or_default();
        while !left.is_zero() {
            sleep(LEASE_POLL).await;
            left = left.saturating_sub(LEASE_POLL);
            let now = self.saved().await?.filter(|now| now.generation == generation);
            if now.as_ref() != saved {
                return Err(ReplayError::Busy(generation));
            }
        }
        Ok(())
    }
}
