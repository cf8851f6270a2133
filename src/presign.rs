//! The port to signed URLs: how a client reaches the bytes without any credentials.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::asset::Declaration;
use ledger::id::Key;

/// A request that is signed already. Whoever holds it may make it: it is never stored or logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// The request's method.
    pub method: String,
    /// Where to send it.
    pub url: String,
    /// The headers that are in the signature: exactly what the client must set. `Host` and
    /// `Content-Length` are not among them, though signed: every client sends them of itself.
    pub headers: BTreeMap<String, String>,
    /// When the signature ends.
    pub expires_at: DateTime<Utc>,
    /// Seconds until then, counted from the signing.
    pub expires_in: u64,
}

/// Signs URLs of the bucket that files are in.
///
/// # Contract
/// * An upload URL of a plain declaration is signed for `host` only.
/// * An upload URL of any other declaration never replaces an object that is there, and takes only
///   the bytes that were declared; `headers` then holds what the client must send.
/// * A download URL is for one version, and tells browsers to save the file, never to show it. It
///   says itself how the bytes are encoded (not at all), in which language, and how long they may
///   be kept (by their reader, until the URL ends): no word of the uploader's counts.
/// * A URL may end earlier than asked, with the credentials that signed it; the answer says so.
#[async_trait]
pub trait Presigner: Send + Sync {
    /// A URL that takes the bytes of `key`.
    async fn upload(
        &self,
        key: &Key,
        declared: &Declaration,
        expires_in: Duration,
    ) -> Result<Presigned, StoreError>;

    /// A URL that gives one version of `key`, under a name and as a type where they are known.
    async fn download(
        &self,
        key: &Key,
        version_id: &str,
        filename: Option<&str>,
        content_type: Option<&str>,
        expires_in: Duration,
    ) -> Result<Presigned, StoreError>;
}
