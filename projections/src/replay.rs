//! Replay: builds a new generation of rows from the journal while commands continue, compares it
//! with the current one, and switches to it.
//!
//! An interruption at any moment leaves the current generation unchanged. The progress is saved
//! with the rows, and the next replay continues from there.

mod begin;
mod compare;
mod fill;
mod lease;
mod tally;
mod throttle;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use ledger::id::Tenant;
use ledger::journal::Journal;
use ledger::{Effects, StoreError};
use tokio::sync::watch;

use crate::generations::{
    BrokenHistory, Generation, GenerationList, Generations, GenerationsError, ReplayProgress,
    SegmentProgress,
};
use crate::rows::Rows;
use crate::runner::Runner;
use crate::totals::TenantSums;

pub use compare::{Difference, Differences};
pub use tally::{Phase, ReplayTally, TallySnapshot};

use fill::Filled;
use lease::ReplayLease;
use throttle::persist;

/// The options of a replay.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The tenant whose rows are compared; all tenants if `None`. The rows of all tenants of the
    /// journal are built in either case.
    pub tenant: Option<Tenant>,
    /// Parts of the journal that are read concurrently.
    pub segments: u32,
    /// Write units a second at most: a row, or each KiB of it, takes one unit.
    pub rate: Option<u32>,
    /// How long the previous generation is kept; `None` drops it.
    pub keep: Option<TimeDelta>,
    /// Whether to switch although a history does not verify or rows contradict the journal.
    pub accept_broken: bool,
    /// Whether to switch although rows contradict the journal, because an operator restored it to
    /// an earlier time. The current rows are then kept as evidence.
    pub accept_restored: bool,
    /// Whether to start over instead of continuing an earlier replay.
    pub fresh: bool,
}

/// The findings of a replay.
#[derive(Debug, Clone, Default)]
pub struct ReplayReport {
    /// Events read.
    pub events: u64,
    /// Assets whose rows were built.
    pub assets: u64,
    /// Histories that do not verify, up to a maximum.
    pub broken: Vec<BrokenHistory>,
    /// Their number.
    pub broken_count: u64,
    /// Histories with an event of a newer version of this program, up to a maximum. They have no
    /// rows until the program is updated, and do not stop the switch.
    pub unknown: Vec<BrokenHistory>,
    /// Their number.
    pub unknown_count: u64,
    /// The differences between the new rows and the current ones.
    pub differences: Differences,
}

impl ReplayReport {
    /// Whether rows built from this journal could hide that it was tampered with.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.broken_count > 0 || self.differences.speak_against_the_journal()
    }
}

/// The result of a replay.
#[derive(Debug, Clone)]
pub enum ReplayOutcome {
    /// The new generation is current.
    Switched(Generation, ReplayReport),
    /// The journal is doubtful: the new generation was given up, and the old one stays current.
    Refused(ReplayReport),
    /// It was stopped; the next replay continues from there.
    Stopped,
}

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A store failed repeatedly.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Only one replay can run at a time.
    #[error("another replay is making generation {0} at this moment; wait for it")]
    Busy(Generation),
    /// This replay missed so many heartbeats that another one took over.
    #[error("another replay took over generation {0}")]
    TakenOver(Generation),
    /// The list of generations does not allow it.
    #[error(transparent)]
    NotSo(#[from] GenerationsError),
    /// A part of the replay panicked.
    #[error("a part of the replay ended before its time")]
    Cut,
}

/// A replay of a journal.
#[derive(Clone)]
pub struct Replay {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The read table.
    pub table: Arc<dyn Generations>,
    /// The clock and randomness.
    pub effects: Arc<dyn Effects>,
    /// The options.
    pub options: ReplayOptions,
    /// The progress, for display.
    pub tally: Arc<ReplayTally>,
    /// Turns true when it must stop at the next consistent position.
    pub stop: watch::Receiver<bool>,
}

impl Replay {
    /// Builds a new generation, or continues the one that was begun, and switches to it.
    pub async fn run(&self) -> Result<ReplayOutcome, ReplayError> {
        let hold = ReplayLease::new(self.clone(), self.begin().await?);
        // A replay without a heartbeat for long is considered dead.
        let outcome = tokio::select! {
            outcome = self.build(&hold) => outcome,
            lost = hold.renew() => Err(lost),
        };
        hold.let_go().await;
        outcome
    }

    /// The changes that a replay would make; `None` if it was stopped. It writes only to `scratch`,
    /// an empty table.
    pub async fn rehearse(
        &self,
        scratch: &dyn Generations,
    ) -> Result<Option<ReplayReport>, ReplayError> {
        let mut rehearsal = self.clone();
        rehearsal.options.accept_broken = true;
        let rows = scratch.rows(Generation::FIRST);
        let begun = self.begun(Generation::FIRST, String::new()).await?;
        let filled = rehearsal.fill(rows.clone(), begun, |_| ()).await?;
        Ok(rehearsal.compared(rows, filled, None).await?.map(|(report, _)| report))
    }

    /// Switches back to the generation that is kept, and returns it.
    pub async fn roll_back(&self) -> Result<Generation, ReplayError> {
        Ok(self.change(GenerationList::rolled_back).await?.current)
    }

    /// Gives up the generation of an unfinished replay, the one that is kept, and those that are
    /// kept as evidence.
    pub async fn abandon(&self) -> Result<(), ReplayError> {
        if let Some(building) = self.list().await?.building {
            self.listen(&building, self.saved().await?.as_ref()).await?;
        }
        let now = self.effects.now();
        let drop_all = |list: &GenerationList| list.given_up(now).unkept(now).without_evidence(now);
        self.change(|list| Ok(drop_all(list))).await.map(drop)
    }

    async fn build(&self, hold: &ReplayLease) -> Result<ReplayOutcome, ReplayError> {
        let begun = hold.progress();
        let generation = begun.generation;
        let rows = self.table.rows(generation);
        let filled = self.fill(rows.clone(), begun, |progress| hold.note(progress)).await?;
        let compared = self.compared(rows.clone(), filled, self.announcing().as_ref()).await?;
        let Some((report, sums)) = compared else { return Ok(ReplayOutcome::Stopped) };
        let accepted = self.options.accept_restored && report.broken_count == 0;
        if report.is_doubtful() && !self.options.accept_broken && !accepted {
            self.give_up().await?;
            return Ok(ReplayOutcome::Refused(report));
        }
        for sums in sums {
            persist(|| sums.store(&*rows)).await?;
        }
        self.switch(generation).await?;
        if self.options.accept_restored {
            self.forgive(generation).await?;
        }
        Ok(ReplayOutcome::Switched(generation, report))
    }

    /// The runner that announces missing events, if the feed is stored with the rows.
    fn announcing(&self) -> Option<Runner> {
        let (journal, table) = (self.journal.clone(), self.table.clone());
        table.lanes().map(|_| Runner::new(journal, table, self.effects.clone()))
    }

    /// The findings, and the sums of the new rows; `None` if it was stopped before the end.
    async fn compared(
        &self,
        built: Arc<dyn Rows>,
        filled: Filled,
        runner: Option<&Runner>,
    ) -> Result<Option<(ReplayReport, Vec<TenantSums>)>, ReplayError> {
        let Filled::Whole(progress) = filled else { return Ok(None) };
        // Writing of rows was stopped: there is nothing to compare or to switch to.
        let useless = progress.broken_count > 0 && !self.options.accept_broken;
        let compared = if useless {
            Some((Differences::default(), Vec::new()))
        } else {
            let list = self.list().await?;
            self.compare(self.table.rows(list.current), built, runner).await?
        };
        Ok(compared.map(|(differences, sums)| (report(progress, differences), sums)))
    }

    async fn list(&self) -> Result<GenerationList, StoreError> {
        persist(|| self.table.generations()).await
    }

    async fn saved(&self) -> Result<Option<ReplayProgress>, StoreError> {
        persist(|| self.table.progress()).await
    }

    /// Changes the list, also with concurrent changes; returns the new list.
    async fn change(
        &self,
        change: impl Fn(&GenerationList) -> Result<GenerationList, GenerationsError>,
    ) -> Result<GenerationList, ReplayError> {
        loop {
            let list = self.list().await?;
            let next = change(&list)?;
            // After a lost reply the stored list decides: a second change would be wrong.
            let replaced = next == list || persist(|| self.table.replace(&list, &next)).await?;
            if replaced || self.list().await? == next {
                return Ok(next);
            }
        }
    }

    async fn switch(&self, to: Generation) -> Result<(), ReplayError> {
        self.tally.enter(Phase::Switching);
        let (keep, now) = (self.options.keep, self.effects.now());
        if self.options.accept_restored {
            return self.change(|list| list.accepted(to, now)).await.map(drop);
        }
        self.change(|list| list.switched(to, keep, now)).await.map(drop)
    }

    /// The contradicting rows are not current any more, so no asset is contradicted.
    async fn forgive(&self, read: Generation) -> Result<(), ReplayError> {
        let rows = self.table.rows(read);
        for tenant in self.tenants(&[&rows]).await? {
            for parked in persist(|| rows.contradicted(&tenant, usize::MAX)).await? {
                persist(|| rows.let_go(&parked)).await?;
            }
        }
        Ok(())
    }

    /// The tenants whose rows are compared.
    async fn tenants(&self, of: &[&Arc<dyn Rows>]) -> Result<BTreeSet<Tenant>, StoreError> {
        if let Some(tenant) = &self.options.tenant {
            return Ok([tenant.clone()].into());
        }
        let mut all = BTreeSet::new();
        for rows in of {
            all.extend(persist(|| rows.tenants()).await?);
        }
        Ok(all)
    }
}

fn report(progress: ReplayProgress, differences: Differences) -> ReplayReport {
    let sum = |of: fn(&SegmentProgress) -> u64| progress.stretches.iter().map(of).sum();
    let (events, assets) = (sum(|it| it.events), sum(|it| it.assets));
    let ReplayProgress { broken, broken_count, unknown, unknown_count, .. } = progress;
    ReplayReport { events, assets, broken, broken_count, unknown, unknown_count, differences }
}

#[cfg(test)]
mod tests;
