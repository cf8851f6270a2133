//! The rules: which event may happen next.
//!
//! A decision takes the asset as loaded and an observation of S3 made after that load. It returns
//! the event to append, nothing (no change is needed), or the rule that forbids the command.

use super::declaration::{Declaration, Reason};
use super::event::{Event, UploadKind};
use super::state::{Asset, AssetStatus, Life};
use crate::objects::{CurrentObject, ObjectVersion};

/// A command on an existing asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Record what S3 shows.
    Observe(ObservedObject),
    /// Declare the pinned bytes to be the final content.
    Confirm,
    /// Hide the asset.
    Delete(Option<Reason>),
    /// Restore a deleted asset.
    Restore {
        /// Whether the pinned version exists, observed after the load.
        pin_exists: bool,
    },
    /// Destroy the asset's bytes.
    Purge,
}

/// An observation of S3, made after the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedObject {
    /// The key, and the state of the pinned version.
    Key {
        /// The key's current version.
        current: CurrentObject,
        /// [`PinnedVersion::There`] if nothing is pinned.
        pin: PinnedVersion,
    },
    /// Every version was deleted, and this many were listed afterwards.
    Swept {
        /// Versions and delete markers left.
        left: usize,
    },
}

/// The state of the pinned version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinnedVersion {
    /// It exists.
    There,
    /// It is missing. It may come back: a bucket that is being restored shows it late.
    Missing,
    /// It is gone permanently: it was removed, or it has been missing for long.
    Gone,
}

/// The rule that forbids a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such asset, or it was purged.
    #[error("there is no such asset")]
    NotFound,
    /// The asset was purged. Only its history is left.
    #[error("the asset was purged")]
    Purged,
    /// Confirming needs received bytes.
    #[error("the asset is {}, not received", .0.shown())]
    NotReceived(AssetStatus),
    /// The bytes do not match the declaration.
    #[error("the {field} of the object is not the one that was declared")]
    Mismatch {
        /// Which declared field differs.
        field: &'static str,
    },
    /// Restoring and purging need a deleted asset.
    #[error("the asset is {}, not deleted", .0.shown())]
    NotDeleted(AssetStatus),
    /// The bytes are being destroyed, which cannot be undone.
    #[error("the asset is being purged")]
    BeingPurged,
    /// The bytes that a restore would show are gone.
    #[error("the pinned version of the object is gone")]
    PinGone,
    /// An upload URL needs an asset without bytes.
    #[error("the asset is {}, not created", .0.shown())]
    NotAwaitingUpload(AssetStatus),
    /// A download needs confirmed bytes.
    #[error("the asset is {}, not uploaded", .0.shown())]
    NotDownloadable(AssetStatus),
    /// The asset has the maximum number of events. Only events that end it are accepted.
    #[error(
        "the asset has as many events as an asset may have ({}, the last {} of them for its \
         deletion and purge): create a new asset for what comes; this one can be read, deleted and \
         purged",
        EVENTS_MAX,
        ENDING_MAX
    )]
    Full,
    /// The last event has the last time that can be recorded, or the clock is past that time.
    #[error("the event would be at a time that cannot be recorded")]
    OutOfTime,
    /// The asset is not at the version that the caller named.
    #[error("the asset is at version {actual}")]
    VersionConflict {
        /// The asset's version.
        actual: u64,
    },
}

/// The maximum number of events of one asset: every command loads the whole history.
pub const EVENTS_MAX: u64 = 10_000;
/// The number of these reserved for the asset's end: deletion, purge request, purge.
const ENDING_MAX: u64 = 3;

/// Refuses an event beyond the maximum number of events.
pub fn has_room(asset: &Asset, event: &Event) -> Result<(), Rejection> {
    let ends = matches!(event, Event::SoftDeleted { .. } | Event::PurgeRequested | Event::Purged);
    let most = if ends { EVENTS_MAX } else { EVENTS_MAX - ENDING_MAX };
    if asset.version < most { Ok(()) } else { Err(Rejection::Full) }
}

/// Decides the effect of a command on an asset.
pub fn decide(asset: &Asset, command: &Command) -> Result<Option<Event>, Rejection> {
    match command {
        Command::Observe(sight) => Ok(observe(asset, sight)),
        Command::Confirm => confirm(asset),
        Command::Delete(reason) => delete(asset, reason.as_ref()),
        Command::Restore { pin_exists } => restore(asset, *pin_exists),
        Command::Purge => purge(asset),
    }
}

fn observe(asset: &Asset, sight: &ObservedObject) -> Option<Event> {
    match (asset.status(), sight) {
        (AssetStatus::Purging, ObservedObject::Swept { left: 0 }) => Some(Event::Purged),
        (AssetStatus::Purging | AssetStatus::Purged, _) | (_, ObservedObject::Swept { .. }) => None,
        (status, ObservedObject::Key { current, pin }) => look(asset, status, current, *pin),
    }
}

fn look(
    asset: &Asset,
    status: AssetStatus,
    current: &CurrentObject,
    pin: PinnedVersion,
) -> Option<Event> {
    use AssetStatus as S;
    match (status, current) {
        (S::Created | S::Received, CurrentObject::Object(seen)) => {
            received_unless_pinned(asset, seen)
        }
        // The first object is recorded and pinned, but the asset stays deleted.
        (S::Deleted, CurrentObject::Object(seen)) if asset.pin.is_none() => {
            received_unless_pinned(asset, seen)
        }
        (S::Received | S::Uploaded | S::Deleted, _) if pin == PinnedVersion::Gone => {
            Some(Event::Purged)
        }
        // Nothing is recorded of an asset whose bytes may come back.
        _ if pin == PinnedVersion::Missing => None,
        // S3's own soft delete.
        (S::Received | S::Uploaded, CurrentObject::DeleteMarker { .. }) => {
            Some(Event::SoftDeleted { reason: None })
        }
        _ => None,
    }
}

fn received_unless_pinned(asset: &Asset, seen: &ObjectVersion) -> Option<Event> {
    (!asset.is_pinned(&seen.version_id)).then(|| Event::Received(seen.clone()))
}

fn confirm(asset: &Asset) -> Result<Option<Event>, Rejection> {
    match (asset.status(), &asset.pin) {
        (AssetStatus::Purged, _) => Err(Rejection::NotFound),
        (AssetStatus::Uploaded, _) => Ok(None), // already confirmed: no new event
        (AssetStatus::Received, Some(pin)) => {
            matches_declaration(&asset.declared, pin).map(|()| Some(Event::Uploaded))
        }
        (status, _) => Err(Rejection::NotReceived(status)),
    }
}

/// If S3 does not know the hash of the bytes, they do not match a declared hash.
fn matches_declaration(declared: &Declaration, pin: &ObjectVersion) -> Result<(), Rejection> {
    if declared.size.is_some_and(|size| size != pin.size) {
        return Err(Rejection::Mismatch { field: "size" });
    }
    if declared.sha256.is_some() && declared.sha256 != pin.sha256 {
        return Err(Rejection::Mismatch { field: "sha256" });
    }
    Ok(())
}

fn delete(asset: &Asset, reason: Option<&Reason>) -> Result<Option<Event>, Rejection> {
    match asset.life {
        Life::Purged => Err(Rejection::NotFound),
        Life::Deleted { .. } | Life::Purging => Ok(None),
        Life::Live => Ok(Some(Event::SoftDeleted { reason: reason.map(|r| r.0.clone()) })),
    }
}

fn restore(asset: &Asset, pin_exists: bool) -> Result<Option<Event>, Rejection> {
    match asset.status() {
        AssetStatus::Purged => Err(Rejection::Purged),
        AssetStatus::Purging => Err(Rejection::BeingPurged),
        AssetStatus::Deleted if !pin_exists => Err(Rejection::PinGone),
        AssetStatus::Deleted => Ok(Some(Event::Restored)),
        status => Err(Rejection::NotDeleted(status)),
    }
}

fn purge(asset: &Asset) -> Result<Option<Event>, Rejection> {
    match asset.status() {
        AssetStatus::Purged => Err(Rejection::Purged),
        AssetStatus::Purging => Ok(None),
        AssetStatus::Deleted => Ok(Some(Event::PurgeRequested)),
        status => Err(Rejection::NotDeleted(status)),
    }
}

impl Asset {
    /// Whether a new upload URL may be signed, and of which kind.
    pub fn upload_again(&self) -> Result<UploadKind, Rejection> {
        match self.status() {
            AssetStatus::Created => Ok(self.declared.upload),
            AssetStatus::Purged => Err(Rejection::Purged),
            status => Err(Rejection::NotAwaitingUpload(status)),
        }
    }

    /// The version of the object for which a download URL may be signed.
    pub fn download(&self) -> Result<&ObjectVersion, Rejection> {
        match (self.status(), &self.pin) {
            (AssetStatus::Uploaded, Some(pin)) => Ok(pin),
            (AssetStatus::Purged, _) => Err(Rejection::NotFound),
            (status, _) => Err(Rejection::NotDownloadable(status)),
        }
    }
}

#[cfg(test)]
mod tests;
