//! `received`, schema 1: the object version that is the content from this event on.

use serde::{Deserialize, Serialize};

use super::{SpelledText, StoredForm};
use crate::asset::{Event, InvalidField};
use crate::objects::ObjectVersion;
use crate::record::limits::{check_sha256, check_text};

/// Bytes of an S3 version id: S3's own limit.
const VERSION_ID_MAX: usize = 1024;
/// Bytes of an entity tag: S3's have 35 or a few more.
const ETAG_MAX: usize = 256;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceivedV1 {
    version_id: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    etag: String,
}

impl StoredForm for ReceivedV1 {
    const KIND: &'static str = "received";
    const SCHEMA: u32 = 1;

    fn read_spelled(text: &mut SpelledText<'_>) -> Option<Self> {
        let form = Self {
            version_id: text.text(r#"{"version_id":""#)?.to_owned(),
            size: text.number(r#","size":"#)?,
            sha256: text.text(r#","sha256":""#).map(str::to_owned),
            etag: text.text(r#","etag":""#)?.to_owned(),
        };
        text.take("}")?;
        Some(form)
    }

    fn within_limits(&self) -> Result<(), InvalidField> {
        check_text("version_id", &self.version_id, VERSION_ID_MAX)?;
        check_text("etag", &self.etag, ETAG_MAX)?;
        self.sha256.as_deref().map_or(Ok(()), check_sha256)
    }
}

impl From<&ObjectVersion> for ReceivedV1 {
    fn from(version: &ObjectVersion) -> Self {
        let ObjectVersion { version_id, size, sha256, etag } = version.clone();
        Self { version_id, size, sha256, etag }
    }
}

impl From<ReceivedV1> for Event {
    fn from(form: ReceivedV1) -> Self {
        let ReceivedV1 { version_id, size, sha256, etag } = form;
        Self::Received(ObjectVersion { version_id, size, sha256, etag })
    }
}
