//! Assets with a mismatch on the first read: they are read again until they match or time out.

use std::time::Duration;

use futures::future::try_join_all;
use ledger::id::Key;
use ledger::journal::scan::Chain;
use ledger::{Backoff, StoreError};
use tokio::time::{Instant, sleep};

use super::judge::{ObservedRow, RowVerdict};
use super::{AT_ONCE, AuditWalk};

/// Assets that a segment collects before it reads them again.
const MOST: usize = 10_000;
/// The waits before the third read and later ones.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));

/// An asset to be read again.
pub(super) struct Suspect {
    pub(super) key: Key,
    /// Its history as the walk read it, if only a walk can read it.
    pub(super) strange: Option<Chain>,
    /// The version of the history, which the row must reach.
    due: u64,
    /// The version of the row.
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

    /// Whether a late row has reached the version that the history had at first. The row of an
    /// asset that changes continuously is always late.
    fn arrived(&self, seen: &ObservedRow) -> bool {
        self.due > 0 && seen.version() >= self.due
    }
}

/// A set of suspects.
#[derive(Default)]
pub(super) struct Suspects(Vec<Suspect>);

impl Suspects {
    pub(super) fn add(&mut self, more: impl IntoIterator<Item = Suspect>) {
        self.0.extend(more);
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Reads all of them until none is waiting. While rows advance, more may follow.
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

    /// Reads each once; `late`: for the last time. Returns whether a row has advanced.
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
