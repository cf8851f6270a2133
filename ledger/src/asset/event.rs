//! What can happen to an asset. How it is stored is the affair of [`record`](crate::record).

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadKind {
    /// For `host` only: any bytes, by any client, also `curl --upload-file`.
    Plain,
    /// For what was declared, and never over an object that is there already.
    Declared,
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

    /// The name of what happened, which its stored forms have as their type.
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
}
