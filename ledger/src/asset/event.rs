//! The events of an asset. [`record`](crate::record) defines their stored form.

use super::declaration::Declaration;
use crate::objects::ObjectVersion;

/// An event of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client declared a file and received an upload URL.
    Created(Declaration),
    /// Bytes arrived. This version of the object is the asset's content from here on.
    Received(ObjectVersion),
    /// A client confirmed its upload: the pinned version is final.
    Uploaded,
    /// The asset is hidden from readers. The bytes stay.
    SoftDeleted {
        /// The reason, as given by the caller.
        reason: Option<String>,
    },
    /// The asset has the state from before the soft delete.
    Restored,
    /// A caller requested that the bytes are destroyed.
    PurgeRequested,
    /// Reconciling found no bytes left.
    Purged,
}

/// How the upload URL is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadKind {
    /// Signs `host` only: any bytes, by any client, also `curl --upload-file`.
    Plain,
    /// Signs the declared values, and never replaces an existing object.
    Declared,
}

impl Event {
    /// Every name that [`Event::kind`] returns, in the order of an asset's life.
    pub const KINDS: [&str; 7] = [
        "created",
        "received",
        "uploaded",
        "soft_deleted",
        "restored",
        "purge_requested",
        "purged",
    ];

    /// The event's name, which its stored forms use as their type.
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
