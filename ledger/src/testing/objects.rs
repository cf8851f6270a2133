//! A versioned bucket in memory, with the semantics of S3 and none of its bytes.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::chain::Hash;
use crate::error::StoreError;
use crate::id::Key;
use crate::objects::{CurrentObject, ObjectInventory, ObjectVersion, Objects};

/// A versioned bucket in memory. Like S3's, its notifications only say where a change happened. The
/// test delivers them late, twice, in another order, or not at all.
#[derive(Debug, Default)]
pub struct MemoryBucket(Mutex<Contents>);

#[derive(Debug, Default)]
struct Contents {
    by_key: HashMap<Key, Vec<Held>>,
    notifications: Vec<Told>,
    /// Versions that exist but are hidden: the bucket is being restored or replicated.
    hidden: HashSet<String>,
    ever: u64,
}

/// S3's notification of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The key that changed.
    pub key: Key,
    /// The version that was removed permanently, if one was.
    pub removed: Option<String>,
}

/// One version of a key. The last of its key is the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Bytes(ObjectVersion),
    DeleteMarker(String),
}

impl Held {
    fn id(&self) -> &str {
        match self {
            Self::Bytes(version) => &version.version_id,
            Self::DeleteMarker(id) => id,
        }
    }
}

impl Contents {
    /// Like those of S3, ids are opaque and never reused.
    fn next_id(&mut self) -> String {
        self.ever += 1;
        Hash::of(&self.ever.to_be_bytes()).to_string()[..32].to_owned()
    }

    fn push(&mut self, key: &Key, held: Held) -> String {
        let id = held.id().to_owned();
        self.by_key.entry(key.clone()).or_default().push(held);
        self.notifications.push(Told { key: key.clone(), removed: None });
        id
    }
}

impl MemoryBucket {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uploads `bytes`, replacing the current version; returns the new version's id.
    pub fn put(&self, key: &Key, bytes: &[u8]) -> String {
        let mut contents = self.contents();
        let sha256 = Hash::of(bytes).to_string();
        let version = ObjectVersion {
            version_id: contents.next_id(),
            size: bytes.len() as u64,
            etag: sha256[..32].to_owned(),
            sha256: Some(sha256),
        };
        contents.push(key, Held::Bytes(version))
    }

    /// Uploads `bytes` under `If-None-Match: *`: not over bytes, but over a delete marker.
    pub fn put_if_absent(&self, key: &Key, bytes: &[u8]) -> Option<String> {
        let taken = matches!(self.contents().current(key), CurrentObject::Object(_));
        (!taken).then(|| self.put(key, bytes))
    }

    /// Deletes a key without a version: writes a delete marker and returns its id.
    pub fn mark_deleted(&self, key: &Key) -> String {
        let mut contents = self.contents();
        let marker = Held::DeleteMarker(contents.next_id());
        contents.push(key, marker)
    }

    /// Deletes one version or delete marker for any caller; returns whether it existed.
    pub fn remove(&self, key: &Key, version_id: &str) -> bool {
        let mut contents = self.contents();
        if contents.hidden.contains(version_id) {
            return false;
        }
        let Some(versions) = contents.by_key.get_mut(key) else { return false };
        let before = versions.len();
        versions.retain(|held| held.id() != version_id);
        let removed = versions.len() < before;
        if removed {
            let told = Told { key: key.clone(), removed: Some(version_id.to_owned()) };
            contents.notifications.push(told);
        }
        removed
    }

    /// Hides an existing version until [`MemoryBucket::reveal`].
    pub fn hide(&self, version_id: &str) {
        self.contents().hidden.insert(version_id.to_owned());
    }

    /// Shows all hidden versions.
    pub fn reveal(&self) {
        self.contents().hidden.clear();
    }

    /// The ids of all versions of `key` and of its delete markers, oldest first.
    #[must_use]
    pub fn ids(&self, key: &Key) -> Vec<String> {
        self.contents().ids(key)
    }

    /// The current version of `key`.
    #[must_use]
    pub fn shows(&self, key: &Key) -> CurrentObject {
        self.contents().current(key)
    }

    /// Whether `version_id` of `key` exists and has bytes.
    #[must_use]
    pub fn holds(&self, key: &Key, version_id: &str) -> bool {
        self.contents().holds(key, version_id)
    }

    /// The notifications that were not taken yet.
    #[must_use]
    pub fn take_notifications(&self) -> Vec<Told> {
        std::mem::take(&mut self.contents().notifications)
    }
}

impl Contents {
    fn current(&self, key: &Key) -> CurrentObject {
        match self.shown(key).next_back() {
            None => CurrentObject::Absent,
            Some(Held::Bytes(version)) => CurrentObject::Object(version.clone()),
            Some(Held::DeleteMarker(id)) => CurrentObject::DeleteMarker { version_id: id.clone() },
        }
    }

    fn ids(&self, key: &Key) -> Vec<String> {
        self.shown(key).map(|held| held.id().to_owned()).collect()
    }

    /// The versions of a key that are not hidden, oldest first.
    fn shown(&self, key: &Key) -> impl DoubleEndedIterator<Item = &Held> {
        let versions = self.by_key.get(key).map(Vec::as_slice).unwrap_or_default();
        versions.iter().filter(|held| !self.hidden.contains(held.id()))
    }

    fn holds(&self, key: &Key, version_id: &str) -> bool {
        self.shown(key).any(|held| matches!(held, Held::Bytes(v) if v.version_id == version_id))
    }
}

#[async_trait]
impl Objects for MemoryBucket {
    async fn current(&self, key: &Key) -> Result<CurrentObject, StoreError> {
        Ok(self.shows(key))
    }

    async fn exists(&self, key: &Key, version_id: &str) -> Result<bool, StoreError> {
        Ok(self.holds(key, version_id))
    }

    async fn versions(&self, key: &Key) -> Result<Vec<String>, StoreError> {
        Ok(self.ids(key))
    }

    async fn delete(&self, key: &Key, version_id: &str) -> Result<(), StoreError> {
        self.remove(key, version_id);
        Ok(())
    }
}

#[async_trait]
impl ObjectInventory for MemoryBucket {
    async fn version(&self, key: &Key, id: &str) -> Result<Option<ObjectVersion>, StoreError> {
        let contents = self.contents();
        Ok(contents.shown(key).find_map(|held| match held {
            Held::Bytes(version) if version.version_id == id => Some(version.clone()),
            Held::Bytes(_) | Held::DeleteMarker(_) => None,
        }))
    }

    /// Of the uploaded bytes. The bucket keeps only their hash.
    async fn digest(&self, key: &Key, id: &str) -> Result<Option<(u64, Hash)>, StoreError> {
        let version = self.version(key, id).await?;
        Ok(version.and_then(|version| Some((version.size, version.sha256?.parse().ok()?))))
    }

    async fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let contents = self.contents();
        let held = contents.by_key.keys().filter(|key| contents.shown(key).next().is_some());
        let mut names: Vec<_> = held.map(Key::object).collect();
        names.retain(|name| name.starts_with(prefix) && after.is_none_or(|after| **name > *after));
        names.sort();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::AssetId;
    use chrono::DateTime;

    fn key() -> Key {
        Key { tenant: "main".parse().unwrap(), asset: AssetId::new(DateTime::UNIX_EPOCH, 1) }
    }

    fn shown(bucket: &MemoryBucket) -> Option<String> {
        match bucket.shows(&key()) {
            CurrentObject::Object(version) => Some(version.version_id),
            _ => None,
        }
    }

    #[test]
    fn a_delete_marker_hides_and_removing_it_shows_again() {
        let bucket = MemoryBucket::default();
        let first = bucket.put(&key(), b"one");
        let marker = bucket.mark_deleted(&key());
        assert_eq!(shown(&bucket), None);
        assert!(bucket.holds(&key(), &first) && !bucket.holds(&key(), &marker));
        assert!(bucket.remove(&key(), &marker));
        assert_eq!(shown(&bucket), Some(first));
    }

    #[test]
    fn the_version_before_is_current_again_once_a_newer_one_is_removed() {
        let bucket = MemoryBucket::default();
        let first = bucket.put(&key(), b"one");
        let second = bucket.put(&key(), b"two");
        assert_eq!(shown(&bucket), Some(second.clone()));
        assert!(bucket.remove(&key(), &second) && !bucket.remove(&key(), &second));
        assert_eq!(shown(&bucket), Some(first));
    }

    #[test]
    fn if_none_match_looks_at_the_current_version_only() {
        let bucket = MemoryBucket::default();
        assert!(bucket.put_if_absent(&key(), b"one").is_some());
        assert_eq!(bucket.put_if_absent(&key(), b"two"), None);
        bucket.mark_deleted(&key());
        assert!(bucket.put_if_absent(&key(), b"three").is_some());
    }

    #[test]
    fn every_change_is_notified_and_a_removal_of_nothing_is_none() {
        let bucket = MemoryBucket::default();
        let id = bucket.put(&key(), b"one");
        bucket.mark_deleted(&key());
        bucket.remove(&key(), &id);
        bucket.remove(&key(), &id);
        let told = |removed| Told { key: key(), removed };
        assert_eq!(bucket.take_notifications(), [told(None), told(None), told(Some(id))]);
        assert_eq!(bucket.take_notifications(), vec![]);
    }
}
