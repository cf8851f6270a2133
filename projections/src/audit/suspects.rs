//! Assets whose row did not fit at first sight: looked at again until it does, or for long enough.

use std::time::Duration;

use futures::future::try_join_all;
use ledger::id::Key;
use ledger::journal::scan::Chain;
use ledger::{Backoff, StoreError};
use tokio::time::{Instant, sleep};

use super::judge::{ObservedRow, RowVerdict};
use super::{AT_ONCE, AuditWalk};

/// Assets that a segment keeps in mind before it looks at them again.
const MOST: usize = 10_000;
/// The waits before a third look and later ones.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));

/// An asset to be looked at again.
pub(super) struct Suspect {
    pub(super) key: Key,
    /// Its history as the walk found it, where only a walk can read it.
    pub(super) strange: Option<Chain>,
    /// How far the history had come, and the row must.
    due: u64,
    /// How far the row has come.
    reached: u64,
}

impl Suspect {
    pub(super) fn new(key: Key, found: Chain) -> Self {
        let due = found.lines.last().map_or(0, |line| line.version);
        let strange = (!found.strays.is_empty()).then_some(found);
        Self { key, strange, due, reached: 0 }
    }

    pub(super) fn of(key: Key) -> Self {
        Self { key, strange: None, due: 0, reached: 0 }
    }

    /// Whether a row that waits has come as far as the history had when it was first seen. Of an
    /// asset that changes all the time, a row is always behind.
    fn arrived(&self, seen: &ObservedRow) -> bool {
        self.due > 0 && seen.version() >= self.due
    }
}

/// Some of them.
#[derive(Default)]
pub(super) struct Suspects(Vec<Suspect>);

impl Suspects {
    pub(super) fn add(&mut self, more: impl IntoIterator<Item = Suspect>) {
        self.0.extend(more);
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Looks at all of them until nothing is left to wait for. While rows come, more may.
    pub(super) async fn settle(&mut self, walk: &AuditWalk) -> Result<(), StoreError> {
        let (mut moved, mut waits) = (Instant::now(), 0);
        while !self.0.is_empty() {
            let late = moved.elapsed() >= walk.audit.patience;
            if self.look(walk, late).await? {
                moved = Instant::now();
            }
            if !self.0.is_empty() {
                sleep(BACKOFF.pause(waits)).await;
                waits += 1;
            }
        }
        Ok(())
    }

    /// Looks once at each; `late`: for the last time. Whether a row has moved.
    async fn look(&mut self, walk: &AuditWalk, late: bool) -> Result<bool, StoreError> {
        let (mut left, mut moved) = (Vec::new(), false);
        let mut suspects = std::mem::take(&mut self.0).into_iter();
        loop {
            let some: Vec<_> = suspects.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                break;
            }
            let looks = try_join_all(some.iter().map(|suspect| walk.look(suspect))).await?;
            for (mut suspect, (seen, verdict)) in some.into_iter().zip(looks) {
                moved |= seen.version() > suspect.reached;
                suspect.reached = seen.version();
                match verdict {
                    RowVerdict::Waiting(_) if suspect.arrived(&seen) => {}
                    RowVerdict::Waiting(_) if !late => left.push(suspect),
                    verdict => walk.mend(&suspect.key, verdict.findings()).await?,
                }
            }
        }
        self.0 = left;
        Ok(moved)
    }
}
