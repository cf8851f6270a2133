//! The port to the notes about missing pinned versions.
//!
//! A bucket that is being restored or replicated shows a version late. So a missing version is not
//! yet gone: only a second observation, long after the first, decides it. Until then the first
//! observation is stored here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::error::StoreError;
use crate::id::Key;

/// How long a note is kept. A later absence of the same version is noted anew.
pub const NOTE_TTL: TimeDelta = TimeDelta::days(30);

/// A pinned version that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// The asset.
    pub key: Key,
    /// The version of the object.
    pub version_id: String,
    /// The asset's version. A note is void after any later event of the asset.
    pub asset_version: u64,
}

/// Notes about missing pinned versions, at most one an asset.
///
/// # Contract
/// * `missed` returns the time of the first note of the same absence that has not ended: `at`, if
///   there is none. Another version of the object or of the asset is another absence and replaces
///   the note.
/// * A time returned by `missed` survives a crash of this process.
/// * `ended` removes the note. Without a note it does nothing.
#[async_trait]
pub trait Absences: Send + Sync {
    /// Notes that the version was missing at `at`, and returns the time of the first note.
    async fn missed(
        &self,
        absence: &Absence,
        at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError>;

    /// Notes that the pinned version of `key` exists.
    async fn ended(&self, key: &Key) -> Result<(), StoreError>;
}

/// Notes in memory, for tests and for a single run.
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
