//! The port to signed URLs: clients reach the bytes without credentials.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::asset::Declaration;
use ledger::id::Key;

/// A signed request. Any holder can make it: it is never stored or logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// The request's method.
    pub method: String,
    /// The URL of the request.
    pub url: String,
    /// The signed headers that the client must set. `Host` and `Content-Length` are signed but not
    /// listed, because every client sends them by itself.
    pub headers: BTreeMap<String, String>,
    /// The expiry of the signature.
    pub expires_at: DateTime<Utc>,
    /// Seconds until the expiry, counted from the signing.
    pub expires_in: u64,
}

/// Signs URLs of the bucket with the files.
///
/// # Contract
/// * An upload URL of a plain declaration is signed for `host` only.
/// * An upload URL of any other declaration never replaces an existing object, and accepts only the
///   declared bytes; `headers` then has the headers that the client must send.
/// * A download URL is for one version, and tells browsers to save the file, never to show it. It
///   sets the encoding (none), the language, and the caching (by the reader, until the expiry): the
///   uploader's values have no effect.
/// * A URL may expire earlier than requested, with the credentials that signed it; the answer has
///   the actual expiry.
#[async_trait]
pub trait Presigner: Send + Sync {
    /// A URL that accepts the bytes of `key`.
    async fn upload(
        &self,
        key: &Key,
        declared: &Declaration,
        expires_in: Duration,
    ) -> Result<Presigned, StoreError>;

    /// A URL that returns one version of `key`, with a name and a type if they are known.
    async fn download(
        &self,
        key: &Key,
        version_id: &str,
        filename: Option<&str>,
        content_type: Option<&str>,
        expires_in: Duration,
    ) -> Result<Presigned, StoreError>;
}
