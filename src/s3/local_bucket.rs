//! The local bucket without its endpoint: for the process that serves it, and for commands beside
//! that process or without one. They share only SQLite and files that never change under their
//! final name.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ledger::Effects;
use ledger::chain::Hash;
use ledger::error::StoreError;
use ledger::id::Key;
use ledger::objects::{CurrentObject, ObjectInventory, ObjectVersion, Objects};
use sha2::{Digest, Sha256};
use stores::sqlite::OpenMode;

use super::event::NotificationSource;
use super::folder::broken;
use super::rows::{Content, Version, VersionCursor};
use super::store::ObjectStore;

/// Versions that are listed at a time.
const PAGE: usize = 1000;
/// Bytes read from disk at a time.
const BLOCK: usize = 128 * 1024;

/// A bucket in a folder, without its endpoint.
pub struct LocalBucket {
    store: Arc<ObjectStore>,
}

impl LocalBucket {
    /// The bucket in `dir`, which must exist.
    ///
    /// # Errors
    /// As [`stores::sqlite::Database::open`].
    pub fn open(
        dir: &Path,
        bucket: &str,
        effects: Arc<dyn Effects>,
        open: OpenMode,
    ) -> Result<Self, StoreError> {
        Ok(Self { store: Arc::new(ObjectStore::beside(dir, bucket, effects, open)?) })
    }

    /// The bucket that this process serves.
    pub(super) fn of(store: Arc<ObjectStore>) -> Self {
        Self { store }
    }

    async fn named(&self, key: &Key, id: &str) -> Result<Option<(Version, Content)>, StoreError> {
        let version = self.store.named(&key.object(), id).await?;
        Ok(version.and_then(|version| version.content.clone().map(|content| (version, content))))
    }

    /// A version's bytes; `None` if there is no file, even if the version is listed.
    async fn bytes(&self, of: &Version, content: &Content) -> Result<Option<File>, StoreError> {
        if self.store.folder.read(&of.id).await?.is_none() {
            return Ok(None);
        }
        self.store.bytes(of, content.size).await
    }
}

#[async_trait]
impl Objects for LocalBucket {
    async fn current(&self, key: &Key) -> Result<CurrentObject, StoreError> {
        let Some(version) = self.store.current(&key.object()).await? else {
            return Ok(CurrentObject::Absent);
        };
        Ok(match version.content {
            Some(content) => CurrentObject::Object(described(version.id, &content)),
            None => CurrentObject::DeleteMarker { version_id: version.id },
        })
    }

    /// By the list, without the file: reconciling records a version that does not exist as purged,
    /// permanently, and a missing file may be restored.
    async fn exists(&self, key: &Key, version_id: &str) -> Result<bool, StoreError> {
        Ok(self.named(key, version_id).await?.is_some())
    }

    async fn versions(&self, key: &Key) -> Result<Vec<String>, StoreError> {
        let name = key.object();
        let (mut ids, mut after) = (Vec::new(), VersionCursor::default());
        loop {
            let page = self.store.list(name.clone(), after, PAGE).await?;
            let full = page.len() == PAGE;
            // A prefix also finds longer names.
            let ours = page.iter().filter(|(version, _)| version.key == name);
            ids.extend(ours.map(|(version, _)| version.id.clone()));
            match page.into_iter().last() {
                Some((last, _)) if full => {
                    after = VersionCursor { key: last.key, change: Some(last.change) };
                }
                _ => return Ok(ids),
            }
        }
    }

    async fn delete(&self, key: &Key, version_id: &str) -> Result<(), StoreError> {
        let caller = NotificationSource {
            request_id: format!("{:016X}", self.store.effects.random() >> 64),
            source_ip: "127.0.0.1".to_owned(),
        };
        self.store.remove(&key.object(), version_id, &caller).await.map(drop)
    }
}

#[async_trait]
impl ObjectInventory for LocalBucket {
    async fn version(&self, key: &Key, id: &str) -> Result<Option<ObjectVersion>, StoreError> {
        let Some((version, content)) = self.named(key, id).await? else { return Ok(None) };
        // With another length it is `Corrupt`.
        let file = self.bytes(&version, &content).await?;
        Ok(file.map(|_| described(version.id, &content)))
    }

    async fn digest(&self, key: &Key, id: &str) -> Result<Option<(u64, Hash)>, StoreError> {
        let Some((version, content)) = self.named(key, id).await? else { return Ok(None) };
        let Some(file) = self.bytes(&version, &content).await? else { return Ok(None) };
        let hashed = tokio::task::spawn_blocking(move || hash(file)).await;
        let hashed = hashed.unwrap_or_else(|cut| Err(io::Error::other(cut)));
        hashed.map(Some).map_err(|error| broken("an object", error))
    }

    async fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let after = VersionCursor { key: after.unwrap_or_default().to_owned(), change: None };
        let page = self.store.list(prefix.to_owned(), after, PAGE).await?;
        let names: BTreeSet<_> = page.into_iter().map(|(version, _)| version.key).collect();
        Ok(names.into_iter().collect())
    }

    async fn unlisted(&self) -> Result<Vec<String>, StoreError> {
        let astray = self.store.strays().await?.into_iter().map(|id| format!("s3/objects/{id}"));
        let lost =
            self.store.folder.lost().await?.into_iter().map(|name| format!("s3/lost/{name}"));
        Ok(astray.chain(lost).collect())
    }
}

fn described(version_id: String, content: &Content) -> ObjectVersion {
    let sha256 = Some(hex::encode(content.sha256));
    ObjectVersion { version_id, size: content.size, sha256, etag: content.etag() }
}

fn hash(mut file: File) -> io::Result<(u64, Hash)> {
    let (mut size, mut sha256, mut block) = (0, Sha256::new(), vec![0; BLOCK]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok((size, Hash::finished(sha256))),
            read => {
                size += read as u64;
                sha256.update(&block[..read]);
            }
        }
    }
}
