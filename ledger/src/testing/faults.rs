//! Stores that fail before the effect, fail after it, or are slow.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::effects::Chance;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::{Key, PartitionKey};
use crate::journal::scan::{ScanPosition, Scanned, Segment};
use crate::journal::{Appended, Arrival, Arrivals, Journal, Scan};
use crate::objects::{CurrentObject, Objects};
use crate::record::StoredLine;

/// Calls after which [`persist`] gives up on a store that fails half of them: 2^64 to one.
const PATIENCE: u32 = 64;

/// The rate and the kinds of faults. All stores of one world share it.
#[derive(Debug)]
pub struct Faults {
    chance: Chance,
    per_mille: AtomicU64,
    latency_ms: u64,
}

impl Faults {
    /// Faults drawn from `seed`: `per_mille` of the calls fail, and every call takes up to
    /// `latency_ms` of tokio's time.
    #[must_use]
    pub const fn new(seed: u64, per_mille: u64, latency_ms: u64) -> Self {
        Self { chance: Chance::new(seed), per_mille: AtomicU64::new(per_mille), latency_ms }
    }

    /// Stops all faults.
    pub fn stop(&self) {
        self.per_mille.store(0, Ordering::Relaxed);
    }

    /// Makes a call, or fails it before or after its effect.
    pub async fn around<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.wait().await;
        if !self.chance.happens(self.per_mille.load(Ordering::Relaxed)) {
            return call.await;
        }
        match self.chance.below(3) {
            0 => Err(StoreError::new(StoreErrorKind::Unavailable, "the request was lost")),
            1 => Err(StoreError::new(StoreErrorKind::Throttled, "too many requests")),
            _ => {
                call.await?;
                self.wait().await;
                Err(StoreError::new(StoreErrorKind::Unavailable, "the reply was lost"))
            }
        }
    }

    async fn wait(&self) {
        if self.latency_ms > 0 {
            let ms = self.chance.below(self.latency_ms + 1);
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}

/// Retries a call while its error says that the same call may succeed later.
pub async fn persist<T, C>(mut call: impl FnMut() -> C) -> Result<T, StoreError>
where
    C: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 1;
    loop {
        match call().await {
            Err(StoreError {
                kind: StoreErrorKind::Unavailable | StoreErrorKind::Throttled,
                ..
            }) if tries < PATIENCE => {
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// A store with faults as [`Faults`] defines them.
#[derive(Debug)]
pub struct FaultyJournal<S> {
    store: S,
    faults: Arc<Faults>,
}

impl<S> FaultyJournal<S> {
    /// `store` with faults.
    #[must_use]
    pub const fn new(store: S, faults: Arc<Faults>) -> Self {
        Self { store, faults }
    }
}

#[async_trait]
impl<S: Journal> Journal for FaultyJournal<Arc<S>> {
    async fn history_of(&self, partition: &PartitionKey) -> Result<Vec<StoredLine>, StoreError> {
        self.faults.around(self.store.history_of(partition)).await
    }

    async fn events_after(
        &self,
        partition: &PartitionKey,
        version: u64,
        limit: usize,
    ) -> Result<Vec<StoredLine>, StoreError> {
        self.faults.around(self.store.events_after(partition, version, limit)).await
    }

    async fn last_of(&self, partition: &PartitionKey) -> Result<Option<StoredLine>, StoreError> {
        self.faults.around(self.store.last_of(partition)).await
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        self.faults.around(self.store.append_to(partition, line)).await
    }
}

#[async_trait]
impl<S: Scan> Scan for FaultyJournal<Arc<S>> {
    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError> {
        self.faults.around(self.store.segments(count)).await
    }

    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        self.faults.around(self.store.page(segment, after)).await
    }
}

#[async_trait]
impl<S: Arrivals> Arrivals for FaultyJournal<Arc<S>> {
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
        self.faults.around(self.store.arrivals(after, limit)).await
    }

    fn latest(&self) -> watch::Receiver<u64> {
        self.store.latest()
    }
}

#[async_trait]
impl<S: Objects> Objects for FaultyJournal<Arc<S>> {
    async fn current(&self, key: &Key) -> Result<CurrentObject, StoreError> {
        self.faults.around(self.store.current(key)).await
    }

    async fn exists(&self, key: &Key, version_id: &str) -> Result<bool, StoreError> {
        self.faults.around(self.store.exists(key, version_id)).await
    }

    async fn versions(&self, key: &Key) -> Result<Vec<String>, StoreError> {
        self.faults.around(self.store.versions(key)).await
    }

    async fn delete(&self, key: &Key, version_id: &str) -> Result<(), StoreError> {
        self.faults.around(self.store.delete(key, version_id)).await
    }
}
