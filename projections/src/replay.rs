//! Replay: a new generation of rows made from the journal while commands go on, compared with the
//! one that is read, and then read instead.
//!
//! Whatever stops it, at any moment, leaves the generation that is read as it was. How far it came
//! is saved beside the rows, and the next one goes on from there.

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

pub use compare::{Difference, Differences};
pub use tally::{Phase, ReplayTally, TallySnapshot};

use fill::Filled;
use lease::ReplayLease;
use throttle::persist;

/// How a replay is done.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Whose rows are compared; every tenant's without one. The rows of every tenant of the journal
    /// are made.
    pub tenant: Option<Tenant>,
    /// Parts that the journal is read in at once.
    pub segments: u32,
    /// Write units a second at most: a unit is a row, or each KiB of one.
    pub rate: Option<u32>,
    /// How long the generation before is kept; `None` drops it.
    pub keep: Option<TimeDelta>,
    /// Whether to switch although a history does not verify or rows speak against the journal.
    pub accept_broken: bool,
    /// Whether to switch although rows speak against the journal, because a person restored it to
    /// an earlier moment. The rows that are read now are then kept as evidence.
    pub accept_restored: bool,
    /// Whether to begin anew where an earlier replay left off.
    pub fresh: bool,
}

/// What a replay found.
#[derive(Debug, Clone, Default)]
pub struct ReplayReport {
    /// Events read.
    pub events: u64,
    /// Assets whose rows were made.
    pub assets: u64,
    /// Histories that do not verify, as many as are named.
    pub broken: Vec<BrokenHistory>,
    /// How many there are of them.
    pub broken_count: u64,
    /// Histories with an event of a newer version of this program, as many as are named. They have
    /// no rows, wait for a newer program, and keep no other rows from being read.
    pub unknown: Vec<BrokenHistory>,
    /// How many there are of them.
    pub unknown_count: u64,
    /// How the new rows differ from those that are read.
    pub differences: Differences,
}

impl ReplayReport {
    /// Whether rows made from this journal could hide that it was tampered with.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.broken_count > 0 || self.differences.speak_against_the_journal()
    }
}

/// How a replay ended.
#[derive(Debug, Clone)]
pub enum ReplayOutcome {
    /// The new generation is read.
    Switched(Generation, ReplayReport),
    /// The journal is doubtful: the new generation was given up, and the old one is read.
    Refused(ReplayReport),
    /// It was told to stop; the next one goes on from there.
    Stopped,
}

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A store did not answer, again and again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One at a time.
    #[error("another replay is making generation {0} at this moment; wait for it")]
    Busy(Generation),
    /// This one was silent for so long that another went on with its work.
    #[error("another replay took over generation {0}")]
    TakenOver(Generation),
    /// The list of generations does not allow it.
    #[error(transparent)]
    NotSo(#[from] GenerationsError),
    /// A part of the work panicked.
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
    /// The clock, and chance.
    pub effects: Arc<dyn Effects>,
    /// How it is done.
    pub options: ReplayOptions,
    /// What can be seen of it meanwhile.
    pub tally: Arc<ReplayTally>,
    /// Turns true when it is to stop at the next clean place.
    pub stop: watch::Receiver<bool>,
}

impl Replay {
    /// Makes a new generation, or goes on with the one that was begun, and switches to it.
    pub async fn run(&self) -> Result<ReplayOutcome, ReplayError> {
        let hold = ReplayLease::new(self.clone(), self.begin().await?);
        // Whoever is silent for long is taken to be dead.
        let outcome = tokio::select! {
            outcome = self.build(&hold) => outcome,
            lost = hold.renew() => Err(lost),
        };
        hold.let_go().await;
        outcome
    }

    /// What a replay would change; `None` if it was told to stop. It writes nothing but to
    /// `scratch`, an empty table.
    pub async fn rehearse(
        &self,
        scratch: &dyn Generations,
    ) -> Result<Option<ReplayReport>, ReplayError> {
        let mut rehearsal = self.clone();
        rehearsal.options.accept_broken = true;
        let rows = scratch.rows(Generation::FIRST);
        let begun = self.begun(Generation::FIRST, String::new()).await?;
        let filled = rehearsal.fill(rows.clone(), begun, |_| ()).await?;
        rehearsal.compared(rows, filled, None).await
    }

    /// Goes back to the generation that is kept; which that is.
    pub async fn roll_back(&self) -> Result<Generation, ReplayError> {
        Ok(self.change(GenerationList::rolled_back).await?.current)
    }

    /// Gives up the generation that an earlier replay left unfinished, the one that is kept, and
    /// those that are kept as evidence.
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
        let Some(report) = self.compared(rows, filled, self.announcing().as_ref()).await? else {
            return Ok(ReplayOutcome::Stopped);
        };
        let accepted = self.options.accept_restored && report.broken_count == 0;
        if report.is_doubtful() && !self.options.accept_broken && !accepted {
            self.give_up().await?;
            return Ok(ReplayOutcome::Refused(report));
        }
        self.switch(generation).await?;
        if self.options.accept_restored {
            self.forgive(generation).await?;
        }
        Ok(ReplayOutcome::Switched(generation, report))
    }

    /// Who tells the feed of what the rows lack, where it is kept beside them.
    fn announcing(&self) -> Option<Runner> {
        let (journal, table) = (self.journal.clone(), self.table.clone());
        table.lanes().map(|_| Runner::new(journal, table, self.effects.clone()))
    }

    /// What was found, or `None` if it was told to stop before it was all.
    async fn compared(
        &self,
        built: Arc<dyn Rows>,
        filled: Filled,
        runner: Option<&Runner>,
    ) -> Result<Option<ReplayReport>, ReplayError> {
        let Filled::Whole(progress) = filled else { return Ok(None) };
        // Rows were no longer written: there is nothing to compare, and nothing to switch to.
        let useless = progress.broken_count > 0 && !self.options.accept_broken;
        let differences = if useless {
            Some(Differences::default())
        } else {
            let list = self.list().await?;
            self.compare(self.table.rows(list.current), built, runner).await?
        };
        Ok(differences.map(|differences| report(progress, differences)))
    }

    async fn list(&self) -> Result<GenerationList, StoreError> {
        persist(|| self.table.generations()).await
    }

    async fn saved(&self) -> Result<Option<ReplayProgress>, StoreError> {
        persist(|| self.table.progress()).await
    }

    /// Changes the list, whatever others do to it meanwhile; what it is then.
    async fn change(
        &self,
        change: impl Fn(&GenerationList) -> Result<GenerationList, GenerationsError>,
    ) -> Result<GenerationList, ReplayError> {
        loop {
            let list = self.list().await?;
            let next = change(&list)?;
            // If the answer is lost, what is there tells: to change it twice would be wrong.
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

    /// The rows that contradicted the journal are read no more, so nothing is contradicted.
    async fn forgive(&self, read: Generation) -> Result<(), ReplayError> {
        let rows = self.table.rows(read);
        for tenant in self.tenants(&[&rows]).await? {
            for parked in persist(|| rows.contradicted(&tenant, usize::MAX)).await? {
                persist(|| rows.let_go(&parked)).await?;
            }
        }
        Ok(())
    }

    /// Whose rows are compared.
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
