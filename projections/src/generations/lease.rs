//! The list of generations, as a runner uses it: for a limited time after the read began.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use ledger::{Effects, StoreError};
use tokio::time::Instant;

use super::{GenerationList, Generations};

/// The list, read again when its lease is over.
pub(crate) struct LeasedList {
    table: Arc<dyn Generations>,
    effects: Arc<dyn Effects>,
    known: Mutex<Option<KnownList>>,
}

struct KnownList {
    list: GenerationList,
    at: Instant,
    wall: DateTime<Utc>,
}

impl LeasedList {
    pub(crate) fn new(table: Arc<dyn Generations>, effects: Arc<dyn Effects>) -> Self {
        Self { table, effects, known: Mutex::default() }
    }

    /// The list, read at most the table's lease ago.
    pub(crate) async fn list(&self) -> Result<GenerationList, StoreError> {
        match self.known() {
            Some(list) => Ok(list),
            None => self.renewed().await,
        }
    }

    /// The present list.
    pub(crate) async fn renewed(&self) -> Result<GenerationList, StoreError> {
        // Before the request: the list may be younger than its age, never older.
        let (at, wall) = (Instant::now(), self.effects.now());
        let list = self.table.generations().await?;
        let known = KnownList { list: list.clone(), at, wall };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(list)
    }

    /// By the clock that has moved more. A process may be frozen between two batches, with its
    /// monotonic clock, and the other clock may be set back.
    fn known(&self) -> Option<GenerationList> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref()?;
        let by_wall = (self.effects.now() - known.wall).to_std().unwrap_or_default();
        let fresh = known.at.elapsed().max(by_wall) < self.table.list_lease();
        fresh.then(|| known.list.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use chrono::TimeDelta;
    use ledger::testing::TestEffects;

    use super::*;
    use crate::generations::{Generation, LIST_LEASE, ReplayProgress};
    use crate::rows::Rows;
    use crate::testing::MemoryViews;

    /// A table that counts the reads of its list.
    #[derive(Default)]
    struct CountedTable(MemoryViews, AtomicU64);

    #[async_trait]
    impl Generations for CountedTable {
        async fn generations(&self) -> Result<GenerationList, StoreError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.generations().await
        }

        fn list_lease(&self) -> Duration {
            LIST_LEASE
        }

        async fn replace(
            &self,
            seen: &GenerationList,
            list: &GenerationList,
        ) -> Result<bool, StoreError> {
            self.0.replace(seen, list).await
        }

        async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError> {
            self.0.progress().await
        }

        async fn save(
            &self,
            seen: Option<&ReplayProgress>,
            to: &ReplayProgress,
        ) -> Result<bool, StoreError> {
            self.0.save(seen, to).await
        }

        fn rows(&self, of: Generation) -> Arc<dyn Rows> {
            self.0.rows(of)
        }

        async fn remove(&self, generation: Generation) -> Result<u64, StoreError> {
            self.0.remove(generation).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_used_for_its_lease_by_the_clock_that_has_moved_more() {
        let (table, effects) = (Arc::<CountedTable>::default(), Arc::new(TestEffects::seeded(1)));
        let leased = LeasedList::new(table.clone(), effects.clone());
        let reads = async || {
            leased.list().await.unwrap();
            table.1.load(Ordering::Relaxed)
        };
        let wall = TimeDelta::from_std(LIST_LEASE).unwrap();
        let little = Duration::from_millis(1);
        assert_eq!((reads().await, reads().await), (1, 1));
        tokio::time::advance(LIST_LEASE.checked_sub(little).unwrap()).await;
        assert_eq!(reads().await, 1);
        tokio::time::advance(little).await;
        assert_eq!(reads().await, 2, "over by the monotonic clock");
        effects.advance(wall - TimeDelta::milliseconds(1));
        assert_eq!(reads().await, 2);
        effects.advance(TimeDelta::milliseconds(1));
        assert_eq!(reads().await, 3, "over by the other clock: the process was frozen");
        effects.advance(-wall * 9);
        assert_eq!(reads().await, 3);
        tokio::time::advance(LIST_LEASE).await;
        assert_eq!(reads().await, 4, "a clock that was set back keeps no list");
    }
}
