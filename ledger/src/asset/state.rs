//! The state of an asset: the fold of its events.

use chrono::{DateTime, Utc};

use super::declaration::Declaration;
use super::event::Event;
use crate::chain::Hash;
use crate::id::Key;
use crate::objects::ObjectVersion;
use crate::record::EventRecord;

/// The state of an asset after its first `version` events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The tenant and the id.
    pub key: Key,
    /// The number of its events.
    pub version: u64,
    /// The hash of the last event.
    pub head: Hash,
    /// The time of the first event.
    pub created_at: DateTime<Utc>,
    /// The time of the last event.
    pub updated_at: DateTime<Utc>,
    /// The subject who created it. Only a row of an older version of this program has none.
    pub owner: Option<String>,
    /// The declaration of the file.
    pub declared: Declaration,
    /// The version of the object that is the asset's content.
    pub pin: Option<ObjectVersion>,
    /// Whether the upload was confirmed. A confirmed pin does not change.
    pub confirmed: bool,
    /// Whether the asset is visible, and if not, the stage of its removal.
    pub life: Life,
}

/// Whether an asset is visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It is visible.
    Live,
    /// It is hidden; its bytes stay.
    Deleted {
        /// The reason, if one was given.
        reason: Option<String>,
    },
    /// Its bytes are being destroyed.
    Purging,
    /// Its bytes are gone.
    Purged,
}

/// The stage of an asset's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssetStatus {
    /// Declared; no bytes yet.
    Created,
    /// Bytes were received.
    Received,
    /// Bytes were received and confirmed.
    Uploaded,
    /// Hidden.
    Deleted,
    /// The bytes are being destroyed; shown as deleted.
    Purging,
    /// Only the history is left.
    Purged,
}

impl AssetStatus {
    /// The name in the API.
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

/// An event that is impossible in the asset's state: another program wrote the history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to an asset that is {status}")]
pub struct ImpossibleEvent {
    /// The event's type.
    pub event: &'static str,
    /// The asset's status.
    pub status: &'static str,
}

/// The last event of an asset after a fold of it.
pub(crate) struct NewHead {
    pub(crate) version: u64,
    pub(crate) hash: Hash,
    pub(crate) at: DateTime<Utc>,
}

impl Asset {
    /// The asset after its first event.
    pub fn begin(key: Key, record: &EventRecord, hash: Hash) -> Result<Self, ImpossibleEvent> {
        let EventRecord { version, at, .. } = *record;
        Self::begin_with(
            key,
            record.event.clone(),
            record.cause.subject(),
            NewHead { version, hash, at },
        )
    }

    /// The same, of the parts of that event.
    pub(crate) fn begin_with(
        key: Key,
        event: Event,
        subject: &str,
        NewHead { version, hash, at }: NewHead,
    ) -> Result<Self, ImpossibleEvent> {
        let Event::Created(declared) = event else {
            return Err(ImpossibleEvent { event: event.kind(), status: "not created" });
        };
        Ok(Self {
            key,
            version,
            head: hash,
            created_at: at,
            updated_at: at,
            owner: Some(subject.to_owned()),
            declared,
            pin: None,
            confirmed: false,
            life: Life::Live,
        })
    }

    /// The asset after one more event. Facts are accepted: only events that no version of this
    /// program could have written are refused, so that later rules can read older histories.
    pub fn apply(&mut self, record: &EventRecord, hash: Hash) -> Result<(), ImpossibleEvent> {
        let EventRecord { version, at, .. } = *record;
        self.apply_with(record.event.clone(), NewHead { version, hash, at })
    }

    /// The same, of the parts of that event.
    pub(crate) fn apply_with(
        &mut self,
        event: Event,
        NewHead { version, hash, at }: NewHead,
    ) -> Result<(), ImpossibleEvent> {
        let impossible = matches!(event, Event::Created(_)) || self.life == Life::Purged;
        if impossible {
            let status = self.status().shown();
            return Err(ImpossibleEvent { event: event.kind(), status });
        }
        match event {
            Event::Created(_) => {}
            Event::Received(version) => self.pin = Some(version),
            Event::Uploaded => self.confirmed = true,
            Event::SoftDeleted { reason } => self.life = Life::Deleted { reason },
            Event::Restored => self.life = Life::Live,
            Event::PurgeRequested => self.life = Life::Purging,
            Event::Purged => self.life = Life::Purged,
        }
        self.version = version;
        self.head = hash;
        self.updated_at = at;
        Ok(())
    }

    /// The stage of the asset's life.
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
