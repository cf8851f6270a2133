//! The bucket as a whole: a version's metadata, the hash of its bytes, and all names.

use async_trait::async_trait;
use aws_sdk_s3::types::{ChecksumMode, EncodingType};
use ledger::chain::Hash;
use ledger::error::{StoreError, StoreErrorKind};
use ledger::id::Key;
use ledger::objects::{ObjectInventory, ObjectVersion};
use sha2::{Digest, Sha256};

use super::failure::{describe, is_gone, raw};
use super::{S3Objects, version};
use crate::percent;

#[async_trait]
impl ObjectInventory for S3Objects {
    async fn version(&self, key: &Key, id: &str) -> Result<Option<ObjectVersion>, StoreError> {
        let request = self.client.head_object().bucket(&self.bucket).key(key.object());
        let request = request.version_id(id).checksum_mode(ChecksumMode::Enabled);
        match request.send().await {
            Ok(head) => version(head).map(Some),
            Err(error) => match raw(&error) {
                Some((405, _)) => Ok(None), // a delete marker has no bytes
                // An answer to HEAD has no body: a missing bucket answers 404 too.
                Some((404, _)) => self.ready().await.map(|()| None),
                _ => Err(describe(self.context("HeadObject"), error)),
            },
        }
    }

    async fn digest(&self, key: &Key, id: &str) -> Result<Option<(u64, Hash)>, StoreError> {
        let request = self.client.get_object().bucket(&self.bucket).key(key.object());
        let mut body = match request.version_id(id).send().await {
            Ok(answer) => answer.body,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(describe(self.context("GetObject"), error)),
        };
        let (mut size, mut sha256) = (0, Sha256::new());
        while let Some(bytes) = body.next().await {
            let context = || self.context("GetObject");
            let cut = |error| StoreError::caused(StoreErrorKind::Unavailable, context(), error);
            let bytes = bytes.map_err(cut)?;
            size += bytes.len() as u64;
            sha256.update(&bytes);
        }
        Ok(Some((size, Hash::finished(sha256))))
    }

    async fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let request = self.client.list_object_versions().bucket(&self.bucket).prefix(prefix);
        let request = request.encoding_type(EncodingType::Url);
        let mut request = request.set_key_marker(after.map(str::to_owned));
        loop {
            let page = request.clone().send().await;
            let page = page.map_err(|error| describe(self.context("ListObjectVersions"), error))?;
            let versions = page.versions().iter().filter_map(|version| version.key());
            let markers = page.delete_markers().iter().filter_map(|marker| marker.key());
            let mut names: Vec<_> =
                versions.chain(markers).map(percent::decode_form_lossy).collect();
            names.sort();
            names.dedup();
            // A page may end amid the versions of a key; the next page then repeats the name.
            names.retain(|name| after.is_none_or(|after| name != after));
            if !names.is_empty() || page.is_truncated() != Some(true) {
                return Ok(names);
            }
            request = request
                .set_key_marker(page.next_key_marker.as_deref().map(percent::decode_form_lossy))
                .set_version_id_marker(page.next_version_id_marker);
        }
    }
}
