//! The progress of a replay, for display.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// The phase of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Checking for another replay, and for its progress.
    Beginning,
    /// Reading the journal and writing rows.
    Filling,
    /// Comparing the new rows with those that are read.
    Comparing,
    /// Switching to the new generation.
    Switching,
}

/// Counts of the work done.
#[derive(Debug)]
pub struct ReplayTally {
    phase: watch::Sender<Phase>,
    events: AtomicU64,
    assets: AtomicU64,
    compared: AtomicU64,
}

/// A snapshot of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TallySnapshot {
    /// The phase.
    pub phase: Phase,
    /// Events read, including those of earlier replays that this one continues.
    pub events: u64,
    /// Assets whose rows were built.
    pub assets: u64,
    /// Rows compared.
    pub compared: u64,
}

impl Default for ReplayTally {
    fn default() -> Self {
        let phase = watch::Sender::new(Phase::Beginning);
        Self { phase, events: 0.into(), assets: 0.into(), compared: 0.into() }
    }
}

impl ReplayTally {
    /// The counts so far.
    pub fn seen(&self) -> TallySnapshot {
        let [events, assets, compared] =
            [&self.events, &self.assets, &self.compared].map(|count| count.load(Ordering::Relaxed));
        TallySnapshot { phase: *self.phase.borrow(), events, assets, compared }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    pub(super) fn filled(&self, events: u64, assets: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
        self.assets.fetch_add(assets, Ordering::Relaxed);
    }

    pub(super) fn compared(&self, rows: u64) {
        self.compared.fetch_add(rows, Ordering::Relaxed);
    }
}
