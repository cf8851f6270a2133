//! `created`, schema 1: the declaration of a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::asset::{Declaration, Event, InvalidField, UploadKind, declaration};
use crate::record::limits::{check_characters, check_filename, check_sha256};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreatedV1 {
    upload: UploadKindV1,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UploadKindV1 {
    Plain,
    Declared,
}

impl StoredForm for CreatedV1 {
    const KIND: &'static str = "created";
    const SCHEMA: u32 = 1;

    fn within_limits(&self) -> Result<(), InvalidField> {
        self.filename.as_deref().map_or(Ok(()), check_filename)?;
        self.content_type.as_deref().map_or(Ok(()), declaration::check_content_type)?;
        self.size.map_or(Ok(()), declaration::check_size)?;
        self.sha256.as_deref().map_or(Ok(()), check_sha256)?;
        declaration::check_tag_sizes(&self.tags)?;
        let words = self.tags.iter().flat_map(|(name, value)| [name, value]);
        words.into_iter().try_for_each(|text| check_characters("tags", text))
    }
}

impl From<&Declaration> for CreatedV1 {
    fn from(declared: &Declaration) -> Self {
        let Declaration { upload, filename, content_type, size, sha256, tags } = declared.clone();
        let upload = match upload {
            UploadKind::Plain => UploadKindV1::Plain,
            UploadKind::Declared => UploadKindV1::Declared,
        };
        Self { upload, filename, content_type, size, sha256, tags }
    }
}

impl From<CreatedV1> for Event {
    fn from(form: CreatedV1) -> Self {
        let CreatedV1 { upload, filename, content_type, size, sha256, tags } = form;
        let upload = match upload {
            UploadKindV1::Plain => UploadKind::Plain,
            UploadKindV1::Declared => UploadKind::Declared,
        };
        Self::Created(Declaration { upload, filename, content_type, size, sha256, tags })
    }
}
