//! The stored form of an event: one line of JSON, whose SHA-256 is its id.
//!
//! The same bytes are stored, hashed, exported and shown. The order of the fields is fixed, there
//! is no whitespace, numbers are whole, and nothing derived is stored. `envelope` has the fields of
//! every event, `forms` the fields of each type and schema. The domain's types are converted to and
//! from these, and are never stored themselves.

mod envelope;
mod fold_event;
mod forms;
mod limits;
mod spelling;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use self::envelope::StoredEnvelope;
pub(crate) use self::fold_event::{FoldEvent, FoldReader};
use self::forms::{FORMS, FormReader, StoredData};
use self::limits::check_envelope;
pub(crate) use self::limits::check_text;
use crate::access::AccessEvent;
use crate::asset::{Event, InvalidField};
use crate::chain::Hash;
use crate::id::{AccessStream, Key, PartitionKey, StreamId, StreamKey};
use crate::url_log::{UrlGranted, UrlLogStream};

/// What the actor of every API key begins with.
pub const KEY_ACTOR: &str = "key:";
/// What separates a subject from the one who acts for it, in an actor.
pub const ACTING: &str = ";act=";

/// An event's stored bytes with its version: the unit of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLine {
    /// 1, 2, 3 … without gaps.
    pub version: u64,
    /// One line of JSON, without its line feed.
    pub body: String,
}

impl StoredLine {
    /// The event's id, which is the next event's `prev`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.body.as_bytes())
    }
}

/// An event with all its recorded fields. `E` is the event, `K` the key of its stream; tests also
/// use future events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord<E = Event, K = Key> {
    /// The tenant, and the asset or stream.
    pub key: K,
    /// Its version in the asset's history or the stream, from 1.
    pub version: u64,
    /// The event.
    pub event: E,
    /// The actor, the source, the request and the command.
    pub cause: Cause,
    /// The time: UTC, to the microsecond, later than the previous event.
    pub at: DateTime<Utc>,
    /// The hash of the previous event; zeros for the first.
    pub prev: Hash,
}

/// An event of a tenant's access.
pub type AccessRecord = EventRecord<AccessEvent, AccessStream>;

/// An event of a tenant's access log.
pub type UrlRecord = EventRecord<UrlGranted, UrlLogStream>;

/// The actor, the source, the request and the command of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The actor; at most 128 bytes.
    pub actor: String,
    /// The source.
    pub source: EventSource,
    /// The request id, for the log; at most 64 bytes.
    pub request: String,
    /// The identity of the command: created once and kept in every retry.
    pub command: CommandId,
}

/// The sources of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSource {
    /// The HTTP API.
    Api,
    /// A notification of S3.
    S3,
    /// The command line.
    Cli,
    /// Reconciling without a request, to record missed changes.
    Reconcile,
    /// A source that only a newer version of this program knows. It is read, and never written.
    Unknown,
}

impl Cause {
    /// The subject of the actor.
    #[must_use]
    pub fn subject(&self) -> &str {
        subject(&self.actor)
    }
}

/// The subject of an actor: who it is whatever the key's generation, for whomever it acts, and
/// whoever acts for it. Ownership goes by it.
#[must_use]
pub fn subject(actor: &str) -> &str {
    if actor.starts_with(KEY_ACTOR) {
        return actor.split_once('/').map_or(actor, |(lineage, _)| lineage);
    }
    actor.split_once(ACTING).map_or(actor, |(subject, _)| subject)
}

impl EventSource {
    /// The displayed name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.stored_name().unwrap_or("unknown")
    }
}

/// The identity of a command. If an event of the asset carries it, the command was executed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommandId(String);

impl CommandId {
    /// A new identity, for a request.
    #[must_use]
    pub fn fresh(random: u128) -> Self {
        Self(uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid().to_string())
    }

    /// The stored identity.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identity of an observed change of an object: every process that observes the same change
    /// derives the same identity.
    ///
    /// `pin` is the previously pinned version: a version that becomes current again, because a
    /// newer one was removed, is a new fact.
    #[must_use]
    pub fn of_sight(
        bucket: &str,
        key: &Key,
        version_id: &str,
        kind: &str,
        pin: Option<&str>,
    ) -> Self {
        let parts = [bucket, &key.object(), version_id, kind, pin.unwrap_or_default()];
        Self(hex::encode(digest(&parts)))
    }

    /// The identity of a command with an idempotency key, from its two digests.
    pub(crate) fn of_key(key: &str, fingerprint: &str) -> Self {
        Self(format!("i-{key}-{fingerprint}"))
    }
}

/// The SHA-256 of texts, each after its length: other texts never give the same bytes.
pub(crate) fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Why stored bytes are not an event.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// They do not have the common form of events, or not the form of their type.
    #[error("not an event of a known form: {0}")]
    Form(String),
    /// They have the common form, but a type or schema that this program does not know.
    #[error("not an event of a known form: {0}")]
    Unknown(Box<Unknown>),
}

/// An event of a type or schema that this program does not know: a newer program wrote it, or it
/// was forged. Every event of a named stream is one to a reader of assets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown event {kind:?} in schema {schema}: a newer version of this program wrote it; upgrade"
)]
pub struct Unknown {
    /// The event's type.
    pub kind: String,
    /// The event's schema.
    pub schema: u32,
    /// The tenant, and the asset or stream.
    pub key: PartitionKey,
    /// Its version in that history.
    pub version: u64,
    /// The identity of its command.
    pub command: CommandId,
    /// The time.
    pub at: DateTime<Utc>,
    /// The hash of the previous event.
    pub prev: Hash,
}

impl EventRecord {
    /// The stored form, in the newest schema of its type.
    ///
    /// # Errors
    /// If the source is unknown. Otherwise none in practice: text, whole numbers and maps with text
    /// keys are written to memory.
    pub fn line(&self) -> serde_json::Result<StoredLine> {
        self.line_with(&forms::newest(&self.event)?)
    }

    /// Reads the stored form, in any schema. Duplicate and unknown keys are refused.
    pub fn read(body: &str) -> Result<Self, RecordError> {
        Self::read_with(&FORMS, body)
    }

    /// The same, of a line that is stored under `key`.
    pub(crate) fn read_under(key: &Key, body: &str) -> Result<Self, RecordError> {
        let envelope = StoredEnvelope::read(body)?;
        let key = envelope.key_or(key)?;
        Self::of_envelope(&FORMS, key, envelope, |form, data| (form.read)(data))
    }

    /// The same, and whether the line is its [`CanonicalLine`] and within its limits.
    pub(crate) fn read_exactly(key: &Key, body: &str) -> Result<(Self, bool), RecordError> {
        let (envelope, exactly) = StoredEnvelope::read_exactly(body)?;
        let key = envelope.key_or(key)?;
        let limits = check_envelope(&envelope, envelope.at()?);
        let mut exact = exactly && limits.is_ok();
        let read = |form: &FormReader<Event>, data: &RawValue| {
            let (event, exactly) = (form.read_exactly)(data)?;
            exact &= exactly;
            Ok(event)
        };
        let record = Self::of_envelope(&FORMS, key, envelope, read)?;
        Ok((record, exact))
    }
}

/// The data of an event as it is stored.
pub(crate) fn data(event: &Event) -> serde_json::Result<String> {
    Ok(forms::newest(event)?.json.get().to_owned())
}

impl AccessRecord {
    /// The stored form, in the newest schema of its type.
    ///
    /// # Errors
    /// As [`EventRecord::line`].
    pub fn line(&self) -> serde_json::Result<StoredLine> {
        self.line_with(&forms::access::newest(&self.event)?)
    }

    /// Reads the stored form, in any schema. Duplicate and unknown keys are refused.
    pub fn read_line(body: &str) -> Result<Self, RecordError> {
        Self::read_with(&forms::access::FORMS, body)
    }
}

impl UrlRecord {
    /// The stored form, in the newest schema of its type.
    ///
    /// # Errors
    /// As [`EventRecord::line`].
    pub fn line(&self) -> serde_json::Result<StoredLine> {
        self.line_with(&forms::urls::newest(&self.event)?)
    }

    /// Reads the stored form, in any schema. Duplicate and unknown keys are refused.
    pub fn read_line(body: &str) -> Result<Self, RecordError> {
        Self::read_with(&forms::urls::FORMS, body)
    }
}

impl<E, K: StreamKey> EventRecord<E, K> {
    fn line_with(&self, data: &StoredData) -> serde_json::Result<StoredLine> {
        let unwritable = || serde::ser::Error::custom("an unknown source is never written");
        let envelope = StoredEnvelope::of(self, data).ok_or_else(unwritable)?;
        Ok(StoredLine { version: self.version, body: serde_json::to_string(&envelope)? })
    }

    fn read_with(forms: &[FormReader<E>], body: &str) -> Result<Self, RecordError> {
        let envelope = StoredEnvelope::read(body)?;
        let key = envelope.key()?;
        Self::of_envelope(forms, key, envelope, |form, data| (form.read)(data))
    }

    fn of_envelope(
        forms: &[FormReader<E>],
        key: PartitionKey,
        envelope: StoredEnvelope<'_>,
        read: impl FnOnce(&FormReader<E>, &RawValue) -> serde_json::Result<E>,
    ) -> Result<Self, RecordError> {
        let at = envelope.at()?;
        let (version, prev) = (envelope.version, envelope.prev);
        let command = CommandId(envelope.command.into_owned());
        let form = forms::find(forms, &envelope.r#type, envelope.schema);
        let (Some(key), Some(form)) = (K::of(&key), form) else {
            let (kind, schema) = (envelope.r#type.into_owned(), envelope.schema);
            return Err(Unknown { kind, schema, key, version, command, at, prev }.into());
        };
        let event = read(form, envelope.data).map_err(|error| {
            let why = crate::error::chain(&error);
            RecordError::Form(format!("the data of {:?} is not of its form: {why}", form.kind))
        })?;
        let (actor, request) = (envelope.actor.into_owned(), envelope.request.into_owned());
        let source = EventSource::read(&envelope.source);
        let cause = Cause { actor, source, request, command };
        Ok(Self { key, version, event, cause, at, prev })
    }
}

/// An event in the ledger's canonical spelling, in its own schema and with its own source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalLine {
    /// One line of JSON, without its line feed.
    pub body: String,
    /// Whether every field is within its limits.
    pub limits: Result<(), InvalidField>,
}

impl CanonicalLine {
    /// The canonical spelling of a stored line; `None` if it is unreadable.
    #[must_use]
    pub fn of(body: &str) -> Option<Self> {
        Self::spell_with(&FORMS, body, None)
    }

    /// The same event after `prev`.
    #[must_use]
    pub fn following(body: &str, prev: Hash) -> Option<Self> {
        Self::spell_with(&FORMS, body, Some(prev))
    }

    fn spell_with<E>(forms: &[FormReader<E>], body: &str, prev: Option<Hash>) -> Option<Self> {
        let envelope = StoredEnvelope::read(body).ok()?;
        let key = envelope.key().ok()?;
        let (json, data) = match key.stream {
            StreamId::Asset(_) => rewritten(forms, &envelope)?,
            StreamId::Named(_) => {
                let access = AccessStream::of(&key);
                let access = access.and_then(|_| rewritten(&forms::access::FORMS, &envelope));
                let urls = || rewritten(&forms::urls::FORMS, &envelope);
                let known = access.or_else(|| UrlLogStream::of(&key).and_then(|_| urls()));
                let unknown = || Some((forms::without_whitespace(envelope.data).ok()?, Ok(())));
                known.or_else(unknown)?
            }
        };
        let limits = check_envelope(&envelope, envelope.at().ok()?).and(data);
        let prev = prev.unwrap_or(envelope.prev);
        let canonical = StoredEnvelope { data: &json, prev, ..envelope };
        Some(Self { body: serde_json::to_string(&canonical).ok()?, limits })
    }
}

/// The data of an event in the ledger's spelling, and whether it is within its limits; `None` for
/// an unknown form.
fn rewritten<E>(
    forms: &[FormReader<E>],
    envelope: &StoredEnvelope<'_>,
) -> Option<(Box<RawValue>, Result<(), InvalidField>)> {
    let form = forms::find(forms, &envelope.r#type, envelope.schema)?;
    let data = (form.rewrite)(envelope.data).ok()?;
    Some((data.json, data.limits))
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
