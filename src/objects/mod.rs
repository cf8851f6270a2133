//! The bucket through the AWS SDK, for S3 and for the local endpoint. Only this module uses
//! `aws_sdk_s3`.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{BucketVersioningStatus, ChecksumMode, EncodingType};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ledger::Effects;
use ledger::error::{StoreError, StoreErrorKind};
use ledger::id::Key;
use ledger::objects::{CurrentObject, ObjectVersion, Objects};

mod client;
mod disposition;
mod failure;
mod inventory;
mod presign;
mod url_signer;

pub use client::Connection;

use crate::percent;
use failure::{describe, is_gone, raw};
use url_signer::UrlSigner;

/// The header of a 404 answer that reports a delete marker.
const MARKER: &str = "x-amz-delete-marker";

/// A bucket behind the S3 API.
#[derive(Clone)]
pub struct S3Objects {
    client: Client,
    signer: Arc<UrlSigner>,
    bucket: String,
    effects: Arc<dyn Effects>,
}

impl S3Objects {
    /// `bucket`, through `connection`.
    #[must_use]
    pub fn new(connection: Connection, bucket: &str, effects: Arc<dyn Effects>) -> Self {
        let signer = Arc::new(UrlSigner::new(&connection, bucket));
        Self { client: connection.client, signer, bucket: bucket.to_owned(), effects }
    }

    /// Whether the bucket is reachable and keeps versions, without which an upload could replace a
    /// pinned object.
    ///
    /// # Errors
    /// `Misconfigured` without versioning; otherwise as the calls of [`Objects`].
    pub async fn ready(&self) -> Result<(), StoreError> {
        let answer = self.client.get_bucket_versioning().bucket(&self.bucket).send().await;
        let status =
            answer.map_err(|error| describe(self.context("GetBucketVersioning"), error))?.status;
        if status == Some(BucketVersioningStatus::Enabled) {
            return Ok(());
        }
        let text = format!("bucket {} has no versioning: enable it", self.bucket);
        Err(StoreError::new(StoreErrorKind::Misconfigured, text))
    }

    fn context(&self, call: &str) -> String {
        format!("S3 {call} in bucket {}", self.bucket)
    }
}

#[async_trait]
impl Objects for S3Objects {
    async fn current(&self, key: &Key) -> Result<CurrentObject, StoreError> {
        let request = self.client.head_object().bucket(&self.bucket).key(key.object());
        match request.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => version(head).map(CurrentObject::Object),
            Err(error) => match raw(&error) {
                Some((404, answer)) if answer.headers().get(MARKER) == Some("true") => {
                    let id = answer.headers().get("x-amz-version-id").unwrap_or("null");
                    Ok(CurrentObject::DeleteMarker { version_id: id.to_owned() })
                }
                Some((404, _)) => Ok(CurrentObject::Absent),
                _ => Err(describe(self.context("HeadObject"), error)),
            },
        }
    }

    async fn exists(&self, key: &Key, version_id: &str) -> Result<bool, StoreError> {
        let request = self.client.head_object().bucket(&self.bucket).key(key.object());
        match request.version_id(version_id).send().await {
            Ok(_) => Ok(true),
            Err(error) => match raw(&error) {
                Some((405, _)) => Ok(false), // a delete marker has no bytes
                // An answer to HEAD has no body: a missing bucket answers 404 too. A purge is
                // recorded permanently, so the bucket is checked.
                Some((404, _)) => self.ready().await.map(|()| false),
                _ => Err(describe(self.context("HeadObject"), error)),
            },
        }
    }

    async fn versions(&self, key: &Key) -> Result<Vec<String>, StoreError> {
        let name = key.object();
        let request = self.client.list_object_versions().bucket(&self.bucket).prefix(&name);
        // A key may contain characters that XML cannot represent.
        let request = request.encoding_type(EncodingType::Url);
        let mut ids = Vec::new();
        let (mut key_marker, mut version_marker) = (None, None);
        loop {
            let page = request.clone().set_key_marker(key_marker);
            let page = page.set_version_id_marker(version_marker).send().await;
            let page = page.map_err(|error| describe(self.context("ListObjectVersions"), error))?;
            let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
            let markers = page.delete_markers().iter().map(|m| (m.key(), m.version_id()));
            // A prefix also finds longer keys.
            let ours = versions
                .chain(markers)
                .filter(|(key, _)| key.map(percent::decode_form_lossy).as_ref() == Some(&name));
            ids.extend(ours.filter_map(|(_, id)| id.map(str::to_owned)));
            if page.is_truncated() != Some(true) || page.next_key_marker.is_none() {
                return Ok(ids);
            }
            key_marker = page.next_key_marker.as_deref().map(percent::decode_form_lossy);
            version_marker = page.next_version_id_marker;
        }
    }

    async fn delete(&self, key: &Key, version_id: &str) -> Result<(), StoreError> {
        let request = self.client.delete_object().bucket(&self.bucket).key(key.object());
        match request.version_id(version_id).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(describe(self.context("DeleteObject"), error)),
        }
    }
}

fn version(head: HeadObjectOutput) -> Result<ObjectVersion, StoreError> {
    let missing =
        |what: &str| StoreError::new(StoreErrorKind::Corrupt, format!("HEAD told no {what}"));
    let size = head.content_length().and_then(|size| u64::try_from(size).ok());
    Ok(ObjectVersion {
        // Without versioning S3 returns no version, and an asset could not pin the upload.
        version_id: head.version_id.ok_or_else(|| missing("version: is versioning on?"))?,
        size: size.ok_or_else(|| missing("length"))?,
        sha256: head.checksum_sha256.as_deref().and_then(hex_of),
        etag: head.e_tag.ok_or_else(|| missing("tag"))?.trim_matches('"').to_owned(),
    })
}

/// `None` also for the checksum of checksums of an upload in parts: it is not the SHA-256 of the
/// bytes.
fn hex_of(checksum: &str) -> Option<String> {
    let bytes = STANDARD.decode(checksum).ok()?;
    (bytes.len() == 32).then(|| hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sha256_of_the_whole_is_one() {
        let whole = STANDARD.encode([7; 32]);
        assert_eq!(hex_of(&whole), Some("07".repeat(32)));
        assert_eq!(hex_of(&format!("{whole}-3")), None);
        assert_eq!(hex_of("AAAA"), None);
    }
}
