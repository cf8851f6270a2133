//! Lanes in memory, for the simulation and for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;

use crate::feed::{FeedLane, FeedRetention, LaneEntry, LaneWrite, Lanes};

type Entries = BTreeMap<FeedLane, BTreeMap<u64, LaneEntry>>;

/// Lanes that exist as long as the process.
#[derive(Debug, Default)]
pub struct MemoryLanes {
    entries: Mutex<Entries>,
    retention: Mutex<Option<FeedRetention>>,
}

impl MemoryLanes {
    /// The retention from now on.
    pub fn keep(&self, retention: Option<FeedRetention>) {
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner) = retention;
    }

    /// Removes those of the expired entries that `removed` selects.
    pub fn expire(&self, now: DateTime<Utc>, mut removed: impl FnMut() -> bool) {
        for entries in self.entries().values_mut() {
            entries.retain(|_, it| it.expires_at.is_none_or(|at| now < at) || !removed());
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Lanes for MemoryLanes {
    fn retention(&self) -> Option<FeedRetention> {
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn last(&self, lane: &FeedLane) -> Result<Option<LaneEntry>, StoreError> {
        let entries = self.entries();
        let last = entries.get(lane).and_then(|entries| entries.last_key_value());
        Ok(last.map(|(_, entry)| entry.clone()))
    }

    async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError> {
        let mut entries = self.entries();
        let entries = entries.entry(lane.clone()).or_default();
        if let Some(held) = entries.get(&place.number) {
            return Ok(LaneWrite::Taken(held.text.clone()));
        }
        entries.insert(place.number, place.clone());
        Ok(LaneWrite::Written)
    }

    async fn places(
        &self,
        lane: &FeedLane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LaneEntry>, StoreError> {
        let entries = self.entries();
        let entries = entries.get(lane).into_iter().flat_map(|entries| entries.range(from..));
        Ok(entries.take(limit).map(|(_, entry)| entry.clone()).collect())
    }
}
