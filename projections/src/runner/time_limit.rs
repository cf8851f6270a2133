//! The time limits of a batch's steps, for a process that is ended at a known time.

use std::collections::BTreeMap;

use ledger::StoreError;
use ledger::error::StoreErrorKind;
use tokio::time::{Instant, timeout_at};

use super::ProjectedAsset;
use crate::feed::FeedLane;

/// When each step of a batch ends; never if `None`. Each has a part of the time, so that what was
/// folded is also announced and written: if all of the time went into folds, the same batch would
/// fail for ever.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TimeLimit {
    folds: Option<Instant>,
    announces: Option<Instant>,
    writes: Option<Instant>,
}

impl TimeLimit {
    /// All steps end at `end`; folds after half of the time, announcements after three quarters.
    pub(super) fn until(end: Instant) -> Self {
        let quarter = end.saturating_duration_since(Instant::now()) / 4;
        let (folds, announces) = (end - 2 * quarter, end - quarter);
        Self { folds: Some(folds), announces: Some(announces), writes: Some(end) }
    }

    pub(super) async fn fold<T>(
        &self,
        fold: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        within(self.folds, fold).await.unwrap_or_else(|| Err(time_is_up()))
    }

    /// All of `lanes` fail if the announcement does not end in time.
    pub(super) async fn announce(
        &self,
        announce: impl Future<Output = BTreeMap<FeedLane, StoreError>>,
        lanes: impl IntoIterator<Item = FeedLane>,
    ) -> BTreeMap<FeedLane, StoreError> {
        let failed = || lanes.into_iter().map(|lane| (lane, time_is_up())).collect();
        within(self.announces, announce).await.unwrap_or_else(failed)
    }

    pub(super) async fn write(
        &self,
        write: impl Future<Output = ProjectedAsset>,
    ) -> ProjectedAsset {
        let failed = || ProjectedAsset::Failed(time_is_up());
        within(self.writes, write).await.unwrap_or_else(failed)
    }
}

/// The step's result, if it ends in time. A step that is dropped may have taken effect, like one
/// whose reply was lost.
async fn within<T>(end: Option<Instant>, step: impl Future<Output = T>) -> Option<T> {
    match end {
        None => Some(step.await),
        Some(end) => timeout_at(end, step).await.ok(),
    }
}

fn time_is_up() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the time of the batch is up")
}
