//! Generations of rows: a view made anew beside the one that is read, and then read instead.
//!
//! A generation is a part of the read table's key. The list of generations says which one is read,
//! which one a replay is making, and which one is kept to go back to. Whoever projects writes all
//! that are listed, so a generation that was announced before a scan of the journal began lacks
//! nothing that the scan did not see.

mod list;
mod progress;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use serde::{Deserialize, Serialize};

use crate::feed::Lanes;
use crate::rows::Rows;

pub use list::{
    Building, DROP_GRACE, DroppedGeneration, GenerationList, GenerationsError, KeptGeneration,
};
pub use progress::{BrokenHistory, ReplayProgress, SegmentProgress};

/// The number of a generation. Numbers rise and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(u32);

impl Generation {
    /// The one that a new read table begins with.
    pub const FIRST: Self = Self(1);

    /// The number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The number after it.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Lets go of what is kept no longer, and removes the rows that nobody can be reading any more;
/// how many those were. Anybody may do it, also two at once.
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
/// * `generations` and `progress` see every change that was answered before they were called.
/// * `replace` and `save` change nothing unless what is there is what the caller had seen: of two
///   that saw the same, one is told that it came second.
/// * `rows` of two generations never meet: neither sees, replaces or drops the other's. What was
///   set aside is not of a generation; a row voids it for whoever asks through that generation.
/// * `remove` takes away every row of a generation that was there when it was called, and no other
///   generation's.
/// * A call that fails may have taken effect; repeating it is safe. After `replace` or `save`,
///   look whether what is there is what was to be.
#[async_trait]
pub trait Generations: Send + Sync {
    /// Which generations there are; of a new read table, the first.
    async fn generations(&self) -> Result<GenerationList, StoreError>;

    /// Replaces the list by `list` if it still is `seen`; whether it was.
    async fn replace(
        &self,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> Result<bool, StoreError>;

    /// How far a replay has come, if one was begun.
    async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError>;

    /// Saves how far a replay has come, if what is saved still is `seen`; whether it was.
    async fn save(
        &self,
        seen: Option<&ReplayProgress>,
        to: &ReplayProgress,
    ) -> Result<bool, StoreError>;

    /// The rows of one generation.
    fn rows(&self, of: Generation) -> Arc<dyn Rows>;

    /// Where the feed is kept, if that is beside the rows: because the journal does not know in
    /// which order it took its events. Whoever writes rows then announces there first.
    fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        None
    }

    /// Removes the rows of a generation, and says how many those were.
    async fn remove(&self, generation: Generation) -> Result<u64, StoreError>;
}
