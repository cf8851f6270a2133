//! `url_granted`, schema 1: a URL that was given out.

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::asset::InvalidField;
use crate::id::AssetId;
use crate::record::forms::stored_time::StoredTime;
use crate::record::limits::{check_end, check_text};
use crate::url_log::{UrlGranted, UrlMethod};

/// Bytes of an S3 version id: S3's own limit.
const VERSION_ID_MAX: usize = 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UrlGrantedV1 {
    asset: AssetId,
    version: u64,
    method: MethodV1,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    expires_at: StoredTime,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum MethodV1 {
    Get,
    Put,
}

impl StoredForm for UrlGrantedV1 {
    const KIND: &'static str = UrlGranted::KIND;
    const SCHEMA: u32 = 1;

    fn within_limits(&self) -> Result<(), InvalidField> {
        let version_id = self.version_id.as_deref();
        version_id.map_or(Ok(()), |it| check_text("version_id", it, VERSION_ID_MAX))?;
        check_end(self.expires_at.0)
    }
}

impl From<&UrlGranted> for UrlGrantedV1 {
    fn from(granted: &UrlGranted) -> Self {
        let UrlGranted { asset, version, method, version_id, expires_at } = granted.clone();
        let method = match method {
            UrlMethod::Get => MethodV1::Get,
            UrlMethod::Put => MethodV1::Put,
        };
        Self { asset, version, method, version_id, expires_at: StoredTime(expires_at) }
    }
}

impl From<UrlGrantedV1> for UrlGranted {
    fn from(form: UrlGrantedV1) -> Self {
        let UrlGrantedV1 { asset, version, method, version_id, expires_at } = form;
        let method = match method {
            MethodV1::Get => UrlMethod::Get,
            MethodV1::Put => UrlMethod::Put,
        };
        Self { asset, version, method, version_id, expires_at: expires_at.0 }
    }
}
