//! What an asset is: the fold of what happened to it.

use chrono::{DateTime, Utc};

use super::declaration::Declaration;
use super::event::Event;
use crate::chain::Hash;
use crate::id::Key;
use crate::objects::ObjectVersion;
use crate::record::EventRecord;

/// An asset as its first `version` events made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Whose asset, and which.
    pub key: Key,
    /// How many events it has had.
    pub version: u64,
    /// The hash of the last of them.
    pub head: Hash,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When the last event happened.
    pub updated_at: DateTime<Utc>,
    /// What was declared of the file.
    pub declared: Declaration,
    /// The version of the object that is the asset's content.
    pub pin: Option<ObjectVersion>,
    /// Whether the upload was confirmed, which freezes the pin.
    pub confirmed: bool,
    /// Whether it is to be seen, and if not, how far its end has come.
    pub life: Life,
}

/// Whether an asset is to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// To be seen.
    Live,
    /// Hidden; its bytes stay.
    Deleted {
        /// Why, if that was said.
        reason: Option<String>,
    },
    /// Its bytes are being destroyed.
    Purging,
    /// Its bytes are gone.
    Purged,
}

/// Where an asset stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssetStatus {
    /// Announced; no bytes yet.
    Created,
    /// Bytes are there.
    Received,
    /// Bytes are there and confirmed.
    Uploaded,
    /// Hidden.
    Deleted,
    /// Being destroyed; shown as deleted.
    Purging,
    /// Gone but for its history.
    Purged,
}

impl AssetStatus {
    /// The name that clients see.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Received => "RECEIVED",
            Self::Uploaded => "UPLOADED",
            Self::Deleted | Self::Purging => "DELETED",
            Self::Purged => "PURGED",
        }
    }
}

/// An event that cannot have happened to this asset: the history was written by something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to an asset that is {status}")]
pub struct ImpossibleEvent {
    /// The event's type.
    pub event: &'static str,
    /// What the asset was.
    pub status: &'static str,
}

impl Asset {
    /// The asset that a first event makes.
    pub fn begin(key: Key, record: &EventRecord, hash: Hash) -> Result<Self, ImpossibleEvent> {
        let Event::Created(declared) = &record.event else {
            return Err(ImpossibleEvent { event: record.event.kind(), status: "not created" });
        };
        Ok(Self {
            key,
            version: record.version,
            head: hash,
            created_at: record.at,
            updated_at: record.at,
            declared: declared.clone(),
            pin: None,
            confirmed: false,
            life: Life::Live,
        })
    }

    /// The asset after one more event. Facts are taken as they are: only what no version of this
    /// program could have written is refused, so that tomorrow's rules can read yesterday's log.
    pub fn apply(&mut self, record: &EventRecord, hash: Hash) -> Result<(), ImpossibleEvent> {
        let impossible = matches!(record.event, Event::Created(_)) || self.life == Life::Purged;
        if impossible {
            let status = self.status().shown();
            return Err(ImpossibleEvent { event: record.event.kind(), status });
        }
        match &record.event {
            Event::Created(_) => {}
            Event::Received(version) => self.pin = Some(version.clone()),
            Event::Uploaded => self.confirmed = true,
            Event::SoftDeleted { reason } => self.life = Life::Deleted { reason: reason.clone() },
            Event::Restored => self.life = Life::Live,
            Event::PurgeRequested => self.life = Life::Purging,
            Event::Purged => self.life = Life::Purged,
        }
        self.version = record.version;
        self.head = hash;
        self.updated_at = record.at;
        Ok(())
    }

    /// Where the asset stands.
    #[must_use]
    pub fn status(&self) -> AssetStatus {
        match self.life {
            Life::Purged => AssetStatus::Purged,
            Life::Purging => AssetStatus::Purging,
            Life::Deleted { .. } => AssetStatus::Deleted,
            Life::Live if self.confirmed => AssetStatus::Uploaded,
            Life::Live if self.pin.is_some() => AssetStatus::Received,
            Life::Live => AssetStatus::Created,
        }
    }

    /// Whether `version_id` is the version of the object that is the asset's content.
    #[must_use]
    pub fn is_pinned(&self, version_id: &str) -> bool {
        self.pin.as_ref().is_some_and(|pin| pin.version_id == version_id)
    }
}
