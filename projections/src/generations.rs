//! Generations of rows: a view that is built beside the current one and then replaces it.
//!
//! A generation is a part of the read table's key. The list of generations names the current one,
//! the one that a replay is building, and the one that is kept for a rollback. A projector writes
//! all listed generations. So a generation that was announced before a scan of the journal began
//! has every event that the scan did not see.

mod lease;
mod list;
mod progress;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use serde::{Deserialize, Serialize};

use crate::feed::Lanes;
use crate::rows::Rows;

pub(crate) use lease::LeasedList;
pub use list::{
    Building, DROP_GRACE, DroppedGeneration, GenerationList, GenerationsError, KeptGeneration,
};
pub use progress::{BrokenHistory, ReplayProgress, SegmentProgress};

/// How long a runner uses a list of generations that is dear to read.
pub const LIST_LEASE: Duration = Duration::from_secs(5);

/// The number of a generation. Numbers increase and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(u32);

impl Generation {
    /// The first generation of a new read table.
    pub const FIRST: Self = Self(1);

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The next number.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Unlists expired generations, and removes the rows that no reader can be using any more; returns
/// their number. Any process may do it, also concurrently.
pub async fn tidy(table: &dyn Generations, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let list = table.generations().await?;
    let expired = list.expired(now);
    if expired != list {
        table.replace(&list, &expired).await?;
    }
    let mut rows = 0;
    for generation in expired.removable(now) {
        rows += table.remove(generation).await?;
        let list = table.generations().await?;
        table.replace(&list, &list.removed(generation)).await?;
    }
    Ok(rows)
}

/// The generations of a read table.
///
/// # Contract
/// * `generations` and `progress` see every change that completed before the call.
/// * `replace` and `save` change nothing unless the stored value is the one that the caller has
///   seen: if two callers saw the same, one of them fails.
/// * `rows` of two generations are separate: neither sees, replaces or drops the other's. Parked
///   assets do not belong to a generation; a row unparks its asset for readers of that generation.
/// * `remove` removes every row that a generation had at the call, and no row of another one.
/// * A call that fails may have taken effect; repeating it is safe. After `replace` or `save`,
///   check whether the stored value is the intended one.
#[async_trait]
pub trait Generations: Send + Sync {
    /// The list of generations; for a new read table, the first one.
    async fn generations(&self) -> Result<GenerationList, StoreError>;

    /// How long a runner may use a list after it began to read it. A replay waits for longer than
    /// this between announcing its generation and reading the journal, so all users of a table must
    /// know the same time. Zero if reading the list is cheap: it is then read for each batch.
    fn list_lease(&self) -> Duration {
        Duration::ZERO
    }

    /// Replaces the list by `list` if it is still `seen`; returns whether it was.
    async fn replace(
        &self,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> Result<bool, StoreError>;

    /// The progress of a replay, if one was begun.
    async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError>;

    /// Saves the progress of a replay if the saved one is still `seen`; returns whether it was.
    async fn save(
        &self,
        seen: Option<&ReplayProgress>,
        to: &ReplayProgress,
    ) -> Result<bool, StoreError>;

    /// The rows of one generation.
    fn rows(&self, of: Generation) -> Arc<dyn Rows>;

    /// The lanes of the feed, if they are stored with the rows because the journal has no order of
    /// arrival. A writer of rows announces there first.
    fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        None
    }

    /// Removes the rows of a generation, and returns their number.
    async fn remove(&self, generation: Generation) -> Result<u64, StoreError>;
}
