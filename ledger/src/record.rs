//! The stored form of an event: one line of JSON, whose SHA-256 is its id.
//!
//! Stored, hashed, exported and shown are the same bytes. The order of the fields is fixed, there
//! is no whitespace, numbers are whole, and nothing derived is stored.

mod limits;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::asset::{Event, EventFormError};
use crate::chain::Hash;
use crate::id::{AssetId, Key, Tenant};
use crate::time;

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

/// An event with everything that is recorded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Whose asset, and which.
    pub key: Key,
    /// Its place in the asset's history, from 1.
    pub version: u64,
    /// What happened.
    pub event: Event,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventSource {
    /// The HTTP API.
    Api,
    /// A notification of S3.
    S3,
    /// The command line.
    Cli,
    /// A look that nobody asked for, to mend what was missed.
    Reconcile,
}

impl EventSource {
    const ALL: [Self; 4] = [Self::Api, Self::S3, Self::Cli, Self::Reconcile];

    /// The source of a stored name, if this program knows it.
    fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    /// The stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::S3 => "s3",
            Self::Cli => "cli",
            Self::Reconcile => "reconcile",
        }
    }
}

/// The identity of a command. An event of the asset that carries it already means: done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
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
    /// They are of the one form, but of a type, schema or source that this program does not know.
    #[error("not an event of a known form: {0}")]
    Unknown(Box<Unknown>),
}

/// An event of a type, schema or source that this program does not know: a newer one wrote it, or
/// a forger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown event {kind:?} in schema {schema} from source {source_name:?}: a newer version of \
     this program wrote it; upgrade"
)]
pub struct Unknown {
    /// The type that it names.
    pub kind: String,
    /// The schema that it names.
    pub schema: u32,
    /// The door that it names.
    pub source_name: String,
    /// Whose asset, and which.
    pub key: Key,
    /// Its place in the asset's history.
    pub version: u64,
    /// The identity of its command.
    pub command: CommandId,
    /// When.
    pub at: DateTime<Utc>,
    /// The hash of the event before.
    pub prev: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredEnvelope<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    asset: Cow<'a, str>,
    version: u64,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    schema: u32,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    actor: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow)]
    request: Cow<'a, str>,
    command: CommandId,
    prev: Hash,
}

impl EventRecord {
    /// The stored form.
    ///
    /// # Errors
    /// None in practice: text, whole numbers and maps with text keys are written to memory.
    pub fn line(&self) -> serde_json::Result<StoredLine> {
        let body = serde_json::to_string(&StoredEnvelope {
            tenant: self.key.tenant.as_str().into(),
            asset: self.key.asset.to_string().into(),
            version: self.version,
            r#type: self.event.kind().into(),
            schema: self.event.schema(),
            data: &self.event.data()?,
            actor: self.cause.actor.as_str().into(),
            source: self.cause.source.as_str().into(),
            at: time::format(self.at).into(),
            request: self.cause.request.as_str().into(),
            command: self.cause.command.clone(),
            prev: self.prev,
        })?;
        Ok(StoredLine { version: self.version, body })
    }

    /// Reads the stored form. Keys that occur twice or are not known are refused.
    pub fn read(body: &str) -> Result<Self, RecordError> {
        let form: StoredEnvelope<'_> = serde_json::from_str(body).map_err(|e| malformed(&e))?;
        let tenant: Tenant = form.tenant.parse().map_err(|e| malformed(&e))?;
        let asset: AssetId = form.asset.parse().map_err(|e| malformed(&e))?;
        let event = match Event::read(&form.r#type, form.schema, form.data) {
            Ok(event) => Some(event),
            Err(EventFormError::Unknown) => None,
            Err(error) => return Err(malformed(&error)),
        };
        let at = time::parse(&form.at).ok_or_else(|| {
            RecordError::Form(format!("{:?} is not a time with six digits", form.at))
        })?;
        let (key, version, prev) = (Key { tenant, asset }, form.version, form.prev);
        let command = form.command;
        let (Some(event), Some(source)) = (event, EventSource::read(&form.source)) else {
            let (kind, source_name) = (form.r#type.into_owned(), form.source.into_owned());
            let schema = form.schema;
            return Err(
                Unknown { kind, schema, source_name, key, version, command, at, prev }.into()
            );
        };
        let (actor, request) = (form.actor.into_owned(), form.request.into_owned());
        let cause = Cause { actor, source, request, command };
        Ok(Self { key, version, event, cause, at, prev })
    }
}

impl From<Unknown> for RecordError {
    fn from(unknown: Unknown) -> Self {
        Self::Unknown(Box::new(unknown))
    }
}

fn malformed(error: &dyn std::error::Error) -> RecordError {
    RecordError::Form(crate::error::chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every stored form ever written, one sample each: reading them is a promise for ever.
    pub(super) const SAMPLES: [(&str, &str); 7] = [
        ("created.v1", include_str!("../../migrations/events/created.v1.json")),
        ("received.v1", include_str!("../../migrations/events/received.v1.json")),
        ("uploaded.v1", include_str!("../../migrations/events/uploaded.v1.json")),
        ("soft_deleted.v1", include_str!("../../migrations/events/soft_deleted.v1.json")),
        ("restored.v1", include_str!("../../migrations/events/restored.v1.json")),
        ("purge_requested.v1", include_str!("../../migrations/events/purge_requested.v1.json")),
        ("purged.v1", include_str!("../../migrations/events/purged.v1.json")),
    ];

    #[test]
    fn every_sample_is_read_and_written_back_byte_for_byte() {
        for (name, sample) in SAMPLES {
            let body = sample.strip_suffix('\n').expect("a sample is one line");
            let record = EventRecord::read(body).expect(name);
            assert_eq!(record.line().unwrap().body, body, "{name}");
            assert_eq!(name, format!("{}.v{}", record.event.kind(), record.event.schema()));
        }
    }

    #[test]
    fn the_samples_are_all_there_are_and_make_one_chain() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/events");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), SAMPLES.len());
        let kinds = SAMPLES.map(|(name, _)| name.split('.').next().unwrap());
        assert_eq!(kinds, Event::KINDS);
        let mut prev = Hash::ZERO;
        for (name, sample) in SAMPLES {
            let record = EventRecord::read(sample.trim_end()).unwrap();
            assert_eq!(record.prev, prev, "{name}");
            prev = Hash::of(sample.trim_end().as_bytes());
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        let good = SAMPLES[1].1.trim_end();
        let twice = good.replacen('{', r#"{"version":2,"#, 1);
        let unknown = good.replacen('{', r#"{"colour":"red","#, 1);
        let inner = good.replacen(r#""data":{"#, r#""data":{"colour":"red","#, 1);
        let inner_twice = good.replacen(r#""data":{"#, r#""data":{"size":1,"#, 1);
        let newer = good.replace(r#""schema":1"#, r#""schema":2"#);
        let fraction = good.replace(r#""version":2"#, r#""version":2.0"#);
        let shouted = good.replace(r#""prev":""#, r#""prev":"A"#);
        let trailing = format!("{good} {{}}");
        let cut = &good[..good.len() - 1];
        for bad in [
            &twice,
            &unknown,
            &inner,
            &inner_twice,
            &newer,
            &fraction,
            &shouted,
            &trailing,
            cut,
            "",
        ] {
            assert!(EventRecord::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_type_schema_or_source_to_come_is_unknown_and_not_malformed() {
        let good = SAMPLES[1].1.trim_end();
        for (known, newer) in [
            (r#""type":"received""#, r#""type":"scanned""#),
            (r#""schema":1"#, r#""schema":2"#),
            (r#""source":"s3""#, r#""source":"mail""#),
        ] {
            assert!(good.contains(known), "{known}");
            let read = EventRecord::read(&good.replace(known, newer));
            let Err(RecordError::Unknown(unknown)) = read else { panic!("{newer}: {read:?}") };
            assert_eq!(unknown.version, 2);
        }
        let source = good.replace(r#""source":"s3""#, r#""source":"mail""#);
        let broken = source.replace(r#""data":{"#, r#""data":{"colour":"red","#);
        assert!(matches!(EventRecord::read(&broken), Err(RecordError::Form(_))));
    }

    #[test]
    fn a_typical_event_fits_one_write_unit() {
        for (name, sample) in SAMPLES {
            let item = sample.len() + "pk".len() + 4 + 1 + 36 + "sk".len() + 2 + "body".len();
            assert!(item <= 1024, "{name} is {item} bytes as a DynamoDB item");
        }
    }

    #[test]
    fn the_same_sight_is_the_same_command_and_another_is_not() {
        let key = EventRecord::read(SAMPLES[0].1.trim_end()).unwrap().key;
        let id = |bucket, version, kind, pin| CommandId::of_sight(bucket, &key, version, kind, pin);
        let seen = id("files", "v1", "received", None);
        assert_eq!(seen, id("files", "v1", "received", None));
        for other in [
            id("other", "v1", "received", None),
            id("files", "v2", "received", None),
            id("files", "v1", "purged", None),
            id("files", "v1", "received", Some("v2")),
        ] {
            assert_ne!(seen, other);
        }
    }
}
