//! The lease on a generation: heartbeats, and the saved progress.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger::StoreError;
use ledger::error::StoreErrorKind;
use tokio::time::sleep;

use super::{Replay, ReplayError};
use crate::generations::{GenerationsError, ReplayProgress};

/// The period of heartbeats, which also save the progress: a kill loses the work of a second.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Attempts to release the lease if the reply is lost.
const RELEASE_TRIES: u32 = 5;

/// A replay's lease on the generation that it builds.
pub(super) struct ReplayLease {
    replay: Replay,
    /// The progress.
    progress: Mutex<ReplayProgress>,
    /// The saved progress.
    saved: tokio::sync::Mutex<ReplayProgress>,
}

impl ReplayLease {
    pub(super) fn new(replay: Replay, begun: ReplayProgress) -> Self {
        let saved = tokio::sync::Mutex::new(begun.clone());
        Self { replay, progress: Mutex::new(begun), saved }
    }

    /// The progress.
    pub(super) fn progress(&self) -> ReplayProgress {
        self.lock().clone()
    }

    /// Stores the progress, for the next heartbeat.
    pub(super) fn note(&self, progress: &ReplayProgress) {
        self.lock().clone_from(progress);
    }

    /// Sends heartbeats until another replay has taken over.
    pub(super) async fn renew(&self) -> ReplayError {
        loop {
            sleep(HEARTBEAT).await;
            if let Err(lost) = self.save(false).await {
                return lost;
            }
        }
    }

    /// Releases the lease. If this fails, the next replay waits until the lease expires.
    pub(super) async fn let_go(&self) {
        for _ in 0..RELEASE_TRIES {
            match self.save(true).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(lost) => tracing::debug!(%lost, "cannot release the lease"),
            }
        }
    }

    /// Saves the progress; `false` if it may not be saved.
    async fn save(&self, stopped: bool) -> Result<bool, ReplayError> {
        let mut saved = self.saved.lock().await;
        let at = self.replay.effects.now();
        let next = ReplayProgress { at, stopped, ..self.progress() };
        let answer = self.replay.table.save(Some(&saved), &next).await;
        if answer.as_ref().is_ok_and(|saved| *saved) {
            *saved = next;
            return Ok(true);
        }
        // Refused, or a lost reply: the stored progress shows it. The next heartbeat retries.
        match self.replay.table.progress().await {
            Ok(Some(there)) if there.run == next.run => {
                *saved = there;
                Ok(*saved == next)
            }
            Ok(Some(_)) => Err(ReplayError::TakenOver(next.generation)),
            // The rows were deleted: they were of another journal.
            Ok(None) => Err(GenerationsError::Gone(next.generation).into()),
            Err(error) => pass(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReplayProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store that is unavailable for a while does not end the lease.
fn pass(error: StoreError) -> Result<bool, ReplayError> {
    match error.kind {
        StoreErrorKind::Throttled | StoreErrorKind::Unavailable => Ok(false),
        StoreErrorKind::Corrupt | StoreErrorKind::Newer | StoreErrorKind::Misconfigured => {
            Err(error.into())
        }
    }
}
