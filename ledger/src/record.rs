//! The stored form of an event: one line of JSON, whose SHA-256 is its id.
//!
//! Stored, hashed, exported and shown are the same bytes. The order of the fields is fixed, there
//! is no whitespace, numbers are whole, and nothing derived is stored. `envelope` holds what every
//! event has, `forms` what the events of one type and schema have. The domain's own types are
//! converted to and from these, and are never stored themselves.

mod envelope;
mod forms;
mod limits;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use self::envelope::StoredEnvelope;
use self::forms::{FORMS, FormReader, StoredData};
use crate::asset::{Event, InvalidField};
use crate::chain::Hash;
use crate::id::{Key, PartitionKey};

/// An event's stored bytes under its version: what a journal keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLine {
    /// 1, 2, 3 … without gaps.
    pub version: u64,
    /// One line of JSON, without its line feed.
    pub body: String,
}

impl StoredLine {
    /// The event's id, which the next event names.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.body.as_bytes())
    }
}

/// An event with everything that is recorded of it. `E` is what happened: in tests also what may
/// come to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord<E = Event> {
    /// Whose asset, and which.
    pub key: Key,
    /// Its place in the asset's history, from 1.
    pub version: u64,
    /// What happened.
    pub event: E,
    /// Who did it, through what, and in answer to what.
    pub cause: Cause,
    /// When: UTC, to the microsecond, later than the event before.
    pub at: DateTime<Utc>,
    /// The hash of the event before; zeros for the first.
    pub prev: Hash,
}

/// Who did something, through what, and in answer to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Who; at most 128 bytes.
    pub actor: String,
    /// Through which door.
    pub source: EventSource,
    /// The request it came with, for finding it in logs; at most 64 bytes.
    pub request: String,
    /// The identity of the command: made once and kept through every retry.
    pub command: CommandId,
}

/// The doors that events come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSource {
    /// The HTTP API.
    Api,
    /// A notification of S3.
    S3,
    /// The command line.
    Cli,
    /// A look that nobody asked for, to mend what was missed.
    Reconcile,
    /// One that only a newer version of this program knows. It is read, and never written.
    Unknown,
}

impl EventSource {
    /// The name that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.stored_name().unwrap_or("unknown")
    }
}

/// The identity of a command. An event of the asset that carries it already means: done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommandId(String);

impl CommandId {
    /// A fresh one, for a request.
    #[must_use]
    pub fn fresh(random: u128) -> Self {
        Self(uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid().to_string())
    }

    /// The identity as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one that everybody gives who sees the same change of an object: the same look leads to
    /// the same command, whoever looks and however often.
    ///
    /// `pin` is the version pinned before: a version that becomes current again, because a newer
    /// one was removed, is a new fact.
    #[must_use]
    pub fn of_sight(
        bucket: &str,
        key: &Key,
        version_id: &str,
        kind: &str,
        pin: Option<&str>,
    ) -> Self {
        let mut hash = Sha256::new();
        for part in [bucket, &key.object(), version_id, kind, pin.unwrap_or_default()] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Self(hex::encode(hash.finalize()))
    }
}

/// Why stored bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// They are not of the one form that all events have, or not of the form of their type.
    #[error("not an event of a known form: {0}")]
    Form(String),
    /// They are of the one form, but of a type or schema that this program does not know.
    #[error("not an event of a known form: {0}")]
    Unknown(Box<Unknown>),
}

/// An event of a type or schema that this program does not know: a newer one wrote it, or
/// a forger. Every event of a named stream is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown event {kind:?} in schema {schema}: a newer version of this program wrote it; upgrade"
)]
pub struct Unknown {
    /// The type that it names.
    pub kind: String,
    /// The schema that it names.
    pub schema: u32,
    /// Whose asset or stream, and which.
    pub key: PartitionKey,
    /// Its place in that history.
    pub version: u64,
    /// The identity of its command.
    pub command: CommandId,
    /// When.
    pub at: DateTime<Utc>,
    /// The hash of the event before.
    pub prev: Hash,
}

impl EventRecord {
    /// The stored form, in the newest schema of its type.
    ///
    /// # Errors
    /// If the source is unknown. Else none in practice: text, whole numbers and maps with text keys
    /// are written to memory.
    pub fn line(&self) -> serde_json::Result<StoredLine> {
        self.line_with(&forms::newest(&self.event)?)
    }

    /// Reads the stored form, in any schema. Keys that occur twice or are not known are refused.
    pub fn read(body: &str) -> Result<Self, RecordError> {
        Self::read_with(&FORMS, body)
    }
}

impl<E> EventRecord<E> {
    fn line_with(&self, data: &StoredData) -> serde_json::Result<StoredLine> {
        let unwritable = || serde::ser::Error::custom("an unknown source is never written");
        let envelope = StoredEnvelope::of(self, data).ok_or_else(unwritable)?;
        Ok(StoredLine { version: self.version, body: serde_json::to_string(&envelope)? })
    }

    fn read_with(forms: &[FormReader<E>], body: &str) -> Result<Self, RecordError> {
        let envelope = StoredEnvelope::read(body)?;
        let (key, at) = (envelope.key()?, envelope.at()?);
        let (version, prev) = (envelope.version, envelope.prev);
        let command = CommandId(envelope.command.into_owned());
        let form = forms::find(forms, &envelope.r#type, envelope.schema);
        let (Some(key), Some(form)) = (key.asset(), form) else {
            let (kind, schema) = (envelope.r#type.into_owned(), envelope.schema);
            return Err(Unknown { kind, schema, key, version, command, at, prev }.into());
        };
        let event = (form.read)(envelope.data).map_err(|error| {
            let why = crate::error::chain(&error);
            RecordError::Form(format!("the data of {:?} is not of its form: {why}", form.kind))
        })?;
        let (actor, request) = (envelope.actor.into_owned(), envelope.request.into_owned());
        let source = EventSource::read(&envelope.source);
        let cause = Cause { actor, source, request, command };
        Ok(Self { key, version, event, cause, at, prev })
    }
}

/// An event as the ledger spells it, in the schema and from the source that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalLine {
    /// One line of JSON, without its line feed.
    pub body: String,
    /// Whether every field is within its limits.
    pub limits: Result<(), InvalidField>,
}

impl CanonicalLine {
    /// The canonical spelling of a stored line; `None` for what cannot be read.
    #[must_use]
    pub fn of(body: &str) -> Option<Self> {
        Self::spell_with(&FORMS, body, None)
    }

    /// The same event if it followed `prev`.
    #[must_use]
    pub fn following(body: &str, prev: Hash) -> Option<Self> {
        Self::spell_with(&FORMS, body, Some(prev))
    }

    fn spell_with<E>(forms: &[FormReader<E>], body: &str, prev: Option<Hash>) -> Option<Self> {
        let envelope = StoredEnvelope::read(body).ok()?;
        let (json, data) = if envelope.key().ok()?.is_named() {
            (forms::without_whitespace(envelope.data).ok()?, Ok(()))
        } else {
            let form = forms::find(forms, &envelope.r#type, envelope.schema)?;
            let data = (form.rewrite)(envelope.data).ok()?;
            (data.json, data.limits)
        };
        let limits = limits::check_envelope(&envelope, envelope.at().ok()?).and(data);
        let prev = prev.unwrap_or(envelope.prev);
        let canonical = StoredEnvelope { data: &json, prev, ..envelope };
        Some(Self { body: serde_json::to_string(&canonical).ok()?, limits })
    }
}

/// Whether a stored line is an event of a named stream, whichever.
#[must_use]
pub fn is_of_a_stream(body: &str) -> bool {
    StoredEnvelope::read(body).and_then(|envelope| envelope.key()).is_ok_and(|key| key.is_named())
}

impl From<Unknown> for RecordError {
    fn from(unknown: Unknown) -> Self {
        Self::Unknown(Box::new(unknown))
    }
}

impl RecordError {
    fn malformed(error: &dyn std::error::Error) -> Self {
        Self::Form(crate::error::chain(error))
    }
}
