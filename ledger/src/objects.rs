//! The port to the bytes: what the ledger needs to see and do in a versioned bucket.

use async_trait::async_trait;

use crate::chain::Hash;
use crate::error::StoreError;
use crate::id::Key;

/// A version of an object, as S3 describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// S3's version id.
    pub version_id: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in lower-case hex, where S3 knows it.
    pub sha256: Option<String>,
    /// The entity tag, without quotes. An MD5 only for single-part uploads under SSE-S3.
    pub etag: String,
}

/// What a key shows to somebody who names no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CurrentObject {
    /// Nothing was ever there, or every version is gone.
    Absent,
    /// A delete marker: S3's own soft delete.
    DeleteMarker {
        /// The marker's version id.
        version_id: String,
    },
    /// Bytes.
    Object(ObjectVersion),
}

/// The bucket that files are uploaded to.
///
/// # Contract
/// * Every call sees every change that was answered before it was made (S3's strong consistency).
/// * Deleting a version that is gone already succeeds.
/// * A call that fails may have taken effect; repeating it is safe.
#[async_trait]
pub trait Objects: Send + Sync {
    /// The current version of `key`.
    async fn current(&self, key: &Key) -> Result<CurrentObject, StoreError>;

    /// Whether this version of `key` still exists and has bytes.
    async fn exists(&self, key: &Key, version_id: &str) -> Result<bool, StoreError>;

    /// The ids of every version of `key`, delete markers included.
    async fn versions(&self, key: &Key) -> Result<Vec<String>, StoreError>;

    /// Deletes one version of `key` for good.
    async fn delete(&self, key: &Key, version_id: &str) -> Result<(), StoreError>;
}

/// The bucket as a whole, for whoever checks what it holds.
///
/// # Contract
/// * `version` and `digest` give `None` for a version that is gone or has no bytes. `Corrupt` means
///   that what should be its bytes is not.
/// * `digest` reads the bytes; `version` need not.
/// * The pages of `names` give the name of every object of which the bucket has any version, a
///   delete marker included, that was there all the while.
#[async_trait]
pub trait ObjectInventory: Objects {
    /// What the bucket says of one version of `key`.
    async fn version(
        &self,
        key: &Key,
        version_id: &str,
    ) -> Result<Option<ObjectVersion>, StoreError>;

    /// How many bytes one version of `key` has, and their SHA-256.
    async fn digest(&self, key: &Key, version_id: &str) -> Result<Option<(u64, Hash)>, StoreError>;

    /// Some names that begin with `prefix`, in order, after `after`; none at the end.
    async fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError>;

    /// Files that are kept beside the bucket's objects and belong to no version, by their paths.
    /// Only a bucket in a folder can have any.
    async fn unlisted(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
