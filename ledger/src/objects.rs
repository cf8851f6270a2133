//! The port to the bytes: the operations of the ledger on a versioned bucket.

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
    /// SHA-256 in lower-case hex, if S3 knows it.
    pub sha256: Option<String>,
    /// The entity tag, without quotes. An MD5 only for single-part uploads under SSE-S3.
    pub etag: String,
}

/// The result of reading a key without a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CurrentObject {
    /// There was never a version, or every version is gone.
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
/// * Every call sees every change that completed before the call (S3's strong consistency).
/// * Deleting a version that is already gone succeeds.
/// * A call that fails may have taken effect; repeating it is safe.
#[async_trait]
pub trait Objects: Send + Sync {
    /// The current version of `key`.
    async fn current(&self, key: &Key) -> Result<CurrentObject, StoreError>;

    /// Whether this version of `key` still exists and has bytes.
    async fn exists(&self, key: &Key, version_id: &str) -> Result<bool, StoreError>;

    /// The ids of every version of `key`, delete markers included.
    async fn versions(&self, key: &Key) -> Result<Vec<String>, StoreError>;

    /// Deletes one version of `key` permanently.
    async fn delete(&self, key: &Key, version_id: &str) -> Result<(), StoreError>;
}

/// The bucket as a whole, for checks of its contents.
///
/// # Contract
/// * `version` and `digest` return `None` for a version that is gone or has no bytes. `Corrupt`
///   means that the stored data are not the version's bytes.
/// * `digest` reads the bytes; `version` need not.
/// * The pages of `names` contain every object that had any version, a delete marker included,
///   during the whole listing.
#[async_trait]
pub trait ObjectInventory: Objects {
    /// The bucket's description of one version of `key`.
    async fn version(
        &self,
        key: &Key,
        version_id: &str,
    ) -> Result<Option<ObjectVersion>, StoreError>;

    /// The size of one version of `key`, and its SHA-256.
    async fn digest(&self, key: &Key, version_id: &str) -> Result<Option<(u64, Hash)>, StoreError>;

    /// Some names that start with `prefix`, in order, after `after`; none at the end.
    async fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError>;

    /// The paths of files in the bucket's storage that belong to no version. Only a bucket in a
    /// folder can have such files.
    async fn unlisted(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
