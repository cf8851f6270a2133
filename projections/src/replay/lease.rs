//! Holding on to a generation: signs of life, and how far it came.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledger::StoreError;
use ledger::error::StoreErrorKind;
use tokio::time::sleep;

use super::{Replay, ReplayError};
use crate::generations::{GenerationsError, ReplayProgress};

/// How often a replay gives a sign of life, and saves how far it came: what is lost by a kill is
/// the work of a second.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How often the end is said, where the answer is lost.
const RELEASE_TRIES: u32 = 5;

/// A replay's hold on the generation that it makes.
pub(super) struct ReplayLease {
    replay: Replay,
    /// How far it came.
    progress: Mutex<ReplayProgress>,
    /// What is saved of that.
    saved: tokio::sync::Mutex<ReplayProgress>,
}

impl ReplayLease {
    pub(super) fn new(replay: Replay, begun: ReplayProgress) -> Self {
        let saved = tokio::sync::Mutex::new(begun.clone());
        Self { replay, progress: Mutex::new(begun), saved }
    }

    /// How far it came.
    pub(super) fn progress(&self) -> ReplayProgress {
        self.lock().clone()
    }

    /// Notes how far it came.
    pub(super) fn note(&self, progress: &ReplayProgress) {
        self.lock().clone_from(progress);
    }

    /// Gives signs of life for as long as nobody else has taken over.
    pub(super) async fn renew(&self) -> ReplayError {
        loop {
            sleep(HEARTBEAT).await;
            if let Err(lost) = self.save(false).await {
                return lost;
            }
        }
    }

    /// Says that nobody is at work any more. Where that cannot be said, the next one waits.
    pub(super) async fn let_go(&self) {
        for _ in 0..RELEASE_TRIES {
            match self.save(true).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(lost) => tracing::debug!(%lost, "cannot release the lease"),
            }
        }
    }

    /// Saves how far it came; `false` if it is not known to be saved.
    async fn save(&self, stopped: bool) -> Result<bool, ReplayError> {
        let mut saved = self.saved.lock().await;
        let at = self.replay.effects.now();
        let next = ReplayProgress { at, stopped, ..self.progress() };
        let answer = self.replay.table.save(Some(&saved), &next).await;
        if answer.as_ref().is_ok_and(|saved| *saved) {
            *saved = next;
            return Ok(true);
        }
        // Refused, or the answer was lost: what is there tells. It is tried again at the next beat.
        match self.replay.table.progress().await {
            Ok(Some(there)) if there.run == next.run => {
                *saved = there;
                Ok(*saved == next)
            }
            Ok(Some(_)) => Err(ReplayError::TakenOver(next.generation)),
            // The rows were thrown away: they were of another journal.
            Ok(None) => Err(GenerationsError::Gone(next.generation).into()),
            Err(error) => pass(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReplayProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store that is away for a while takes nothing from anybody.
fn pass(error: StoreError) -> Result<bool, ReplayError> {
    match error.kind {
        StoreErrorKind::Throttled | StoreErrorKind::Unavailable => Ok(false),
        StoreErrorKind::Corrupt | StoreErrorKind::Newer | StoreErrorKind::Misconfigured => {
            Err(error.into())
        }
    }
}
