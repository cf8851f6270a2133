//! The envelope of an event: the fields of every stored line, whatever its type.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::forms::StoredData;
use super::{EventRecord, EventSource, RecordError};
use crate::chain::Hash;
use crate::id::{PartitionKey, StreamId, StreamKey};
use crate::time;

/// The fields of a line in their order. Text is borrowed where it needs no unescaping.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredEnvelope<'a> {
    #[serde(borrow)]
    pub(super) tenant: Cow<'a, str>,
    /// The asset, in an event of an asset.
    #[serde(
        borrow,
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) asset: Option<Cow<'a, str>>,
    /// The name of the stream, in an event of a named stream.
    #[serde(
        borrow,
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) stream: Option<Cow<'a, str>>,
    pub(super) version: u64,
    #[serde(borrow)]
    pub(super) r#type: Cow<'a, str>,
    pub(super) schema: u32,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
    #[serde(borrow)]
    pub(super) actor: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) source: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) at: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) request: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) command: Cow<'a, str>,
    pub(super) prev: Hash,
}

fn malformed(error: impl std::error::Error) -> RecordError {
    RecordError::malformed(&error)
}

/// An optional field: text, if it is present.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Present<'a>(#[serde(borrow)] Cow<'a, str>);
    Present::deserialize(from).map(|Present(text)| Some(text))
}

impl<'a> StoredEnvelope<'a> {
    /// The envelope of a record around its data; `None` if its source has no stored name.
    pub(super) fn of<E, K: StreamKey>(
        record: &'a EventRecord<E, K>,
        data: &'a StoredData,
    ) -> Option<Self> {
        let (key, cause) = (record.key.clone().into(), &record.cause);
        let PartitionKey { tenant, stream } = key;
        let (asset, stream) = match stream {
            StreamId::Asset(asset) => (Some(asset.to_string().into()), None),
            StreamId::Named(name) => (None, Some(name.to_string().into())),
        };
        Some(Self {
            tenant: tenant.to_string().into(),
            asset,
            stream,
            version: record.version,
            r#type: data.kind.into(),
            schema: data.schema,
            data: &data.json,
            actor: cause.actor.as_str().into(),
            source: cause.source.stored_name()?.into(),
            at: time::format(record.at).into(),
            request: cause.request.as_str().into(),
            command: cause.command.as_str().into(),
            prev: record.prev,
        })
    }

    /// Reads a line. Duplicate and unknown keys are refused.
    pub(super) fn read(body: &'a str) -> Result<Self, RecordError> {
        serde_json::from_str(body).map_err(|error| RecordError::malformed(&error))
    }

    /// The tenant and asset or stream.
    pub(super) fn key(&self) -> Result<PartitionKey, RecordError> {
        let tenant = self.tenant.parse().map_err(malformed)?;
        let stream = match (&self.asset, &self.stream) {
            (Some(asset), None) => asset.parse().map(StreamId::Asset).map_err(malformed)?,
            (None, Some(name)) => name.parse().map(StreamId::Named).map_err(malformed)?,
            _ => return Err(RecordError::Form("it is not of one asset or one stream".to_owned())),
        };
        Ok(PartitionKey { tenant, stream })
    }

    /// Time.
    pub(super) fn at(&self) -> Result<DateTime<Utc>, RecordError> {
        time::parse(&self.at).ok_or_else(|| {
            RecordError::Form(format!("{:?} is not a time with six digits", self.at))
        })
    }
}

impl EventSource {
    /// Every source that this program writes.
    pub const ALL: [Self; 4] = [Self::Api, Self::S3, Self::Cli, Self::Reconcile];

    /// The source of a stored name. Names have no schema number: a newer program may have more.
    pub(super) fn read(name: &str) -> Self {
        let known = Self::ALL.into_iter().find(|source| source.stored_name() == Some(name));
        known.unwrap_or(Self::Unknown)
    }

    /// The stored name. An unknown source has none, and is never written.
    pub(super) fn stored_name(self) -> Option<&'static str> {
        match self {
            Self::Api => Some("api"),
            Self::S3 => Some("s3"),
            Self::Cli => Some("cli"),
            Self::Reconcile => Some("reconcile"),
            Self::Unknown => None,
        }
    }
}
