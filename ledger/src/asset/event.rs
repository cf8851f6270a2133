//! What can happen to an asset. `type` and `schema` name a stored form for ever: a new form gets
//! a new number, and reading the old one gives the event as it is known today.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::declaration::Declaration;
use crate::objects::ObjectVersion;

/// Something that happened to an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody announced a file and was given a URL to upload it by.
    Created(Declaration),
    /// Bytes arrived; this version of the object is the asset's content from here on.
    Received(ObjectVersion),
    /// A client confirmed its upload: the pinned version is the content for good.
    Uploaded,
    /// Hidden from readers. The bytes stay.
    SoftDeleted {
        /// Why, in the words of whoever did it.
        reason: Option<String>,
    },
    /// Back as it was before the soft delete.
    Restored,
    /// Somebody asked for the bytes to be destroyed.
    PurgeRequested,
    /// A look found no bytes left.
    Purged,
}

/// How the upload URL is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UploadKind {
    /// For `host` only: any bytes, by any client, also `curl --upload-file`.
    Plain,
    /// For what was declared, and never over an object that is there already.
    Declared,
}

/// Why an event's `type`, `schema` and `data` cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventFormError {
    /// Written by a newer version of this program, or forged.
    #[error("its type or its schema is not known")]
    Unknown,
    /// Not of the form that its type and schema name.
    #[error("the data of {kind:?} is not of its form")]
    Data { kind: String, source: serde_json::Error },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SoftDeletedV1 {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceivedV1 {
    version_id: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    etag: String,
}

impl Event {
    /// Every name that [`Event::kind`] gives, in the order of a life.
    pub const KINDS: [&str; 7] = [
        "created",
        "received",
        "uploaded",
        "soft_deleted",
        "restored",
        "purge_requested",
        "purged",
    ];

    /// The stored name of what happened.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Received(_) => "received",
            Self::Uploaded => "uploaded",
            Self::SoftDeleted { .. } => "soft_deleted",
            Self::Restored => "restored",
            Self::PurgeRequested => "purge_requested",
            Self::Purged => "purged",
        }
    }

    /// The number of the stored form that is written today.
    #[must_use]
    pub fn schema(&self) -> u32 {
        1
    }

    pub(crate) fn data(&self) -> serde_json::Result<Box<RawValue>> {
        use serde_json::value::to_raw_value;
        match self {
            Self::Created(declaration) => to_raw_value(declaration),
            Self::Received(version) => to_raw_value(&ReceivedV1 {
                version_id: version.version_id.clone(),
                size: version.size,
                sha256: version.sha256.clone(),
                etag: version.etag.clone(),
            }),
            Self::SoftDeleted { reason } => to_raw_value(&SoftDeletedV1 { reason: reason.clone() }),
            Self::Uploaded | Self::Restored | Self::PurgeRequested | Self::Purged => {
                to_raw_value(&Nothing {})
            }
        }
    }

    pub(crate) fn read(kind: &str, schema: u32, data: &RawValue) -> Result<Self, EventFormError> {
        fn form<'a, T: Deserialize<'a>>(
            kind: &str,
            data: &'a RawValue,
        ) -> Result<T, EventFormError> {
            serde_json::from_str(data.get())
                .map_err(|source| EventFormError::Data { kind: kind.to_owned(), source })
        }
        match (kind, schema) {
            ("created", 1) => form(kind, data).map(Self::Created),
            ("received", 1) => {
                form(kind, data).map(|ReceivedV1 { version_id, size, sha256, etag }| {
                    Self::Received(ObjectVersion { version_id, size, sha256, etag })
                })
            }
            ("uploaded", 1) => form(kind, data).map(|Nothing {}| Self::Uploaded),
            ("soft_deleted", 1) => {
                form(kind, data).map(|SoftDeletedV1 { reason }| Self::SoftDeleted { reason })
            }
            ("restored", 1) => form(kind, data).map(|Nothing {}| Self::Restored),
            ("purge_requested", 1) => form(kind, data).map(|Nothing {}| Self::PurgeRequested),
            ("purged", 1) => form(kind, data).map(|Nothing {}| Self::Purged),
            _ => Err(EventFormError::Unknown),
        }
    }
}
