//! The port to what was noted of pinned versions that a look did not find.
//!
//! A bucket that is being restored or replicated shows a version late. So a version that is missing
//! is not gone yet: only a second look, long after the first, tells one from the other, and the
//! first is noted here until then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::error::StoreError;
use crate::id::Key;

/// How long an absence is remembered. A later one of the same version begins anew.
pub const NOTE_TTL: TimeDelta = TimeDelta::days(30);

/// A pinned version that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// Whose.
    pub key: Key,
    /// The version of the object.
    pub version_id: String,
    /// The asset's own version. Whatever was recorded since, an older absence says nothing of it.
    pub asset_version: u64,
}

/// Notes of what is missing, one an asset.
///
/// # Contract
/// * `missed` answers when this very absence was first noted and not ended since: `at`, if it was
///   not. Another version of the object or of the asset is another absence, and takes its place.
/// * What `missed` answered survives a crash of this process.
/// * `ended` forgets; of an asset of which nothing is noted, it does nothing.
#[async_trait]
pub trait Absences: Send + Sync {
    /// Notes that the version was missing at `at`, and answers since when that is known.
    async fn missed(
        &self,
        absence: &Absence,
        at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError>;

    /// The pinned version of `key` is there.
    async fn ended(&self, key: &Key) -> Result<(), StoreError>;
}

#[async_trait]
impl<T: Absences + ?Sized> Absences for Arc<T> {
    async fn missed(
        &self,
        absence: &Absence,
        at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError> {
        (**self).missed(absence, at).await
    }

    async fn ended(&self, key: &Key) -> Result<(), StoreError> {
        (**self).ended(key).await
    }
}

/// Notes in memory, for tests and for whoever looks once.
#[derive(Debug, Default)]
pub struct MemoryAbsences(Mutex<BTreeMap<Key, (Absence, DateTime<Utc>)>>);

#[async_trait]
impl Absences for MemoryAbsences {
    async fn missed(
        &self,
        absence: &Absence,
        at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = all.entry(absence.key.clone()).or_insert_with(|| (absence.clone(), at));
        if noted.0 != *absence || at - noted.1 > NOTE_TTL {
            *noted = (absence.clone(), at);
        }
        Ok(noted.1)
    }

    async fn ended(&self, key: &Key) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(())
    }
}
