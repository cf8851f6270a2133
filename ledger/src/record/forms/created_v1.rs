//! `created`, schema 1: the declaration of a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{SpelledText, StoredForm};
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

    fn read_spelled(text: &mut SpelledText<'_>) -> Option<Self> {
        let form = Self {
            upload: match text.text(r#"{"upload":""#)? {
                "plain" => UploadKindV1::Plain,
                "declared" => UploadKindV1::Declared,
                _ => return None,
            },
            filename: text.text(r#","filename":""#).map(str::to_owned),
            content_type: text.text(r#","content_type":""#).map(str::to_owned),
            size: text.number(r#","size":"#),
            sha256: text.text(r#","sha256":""#).map(str::to_owned),
            tags: read_spelled_tags(text)?,
        };
        text.take("}")?;
        Some(form)
    }

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

/// The tags, by rising name; none if there is no such field.
fn read_spelled_tags(text: &mut SpelledText<'_>) -> Option<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    let (mut before, mut last) = (r#","tags":{""#, None);
    while let Some(name) = text.text(before) {
        let value = text.text(r#":""#)?;
        if last.is_some_and(|last| last >= name) {
            return None;
        }
        tags.insert(name.to_owned(), value.to_owned());
        (before, last) = (r#",""#, Some(name));
    }
    if last.is_some() {
        text.take("}")?;
    }
    Some(tags)
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
