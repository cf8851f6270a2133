//! The envelope of an event: the fields of every stored line, whatever its type.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::forms::StoredData;
use super::spelling::{SpelledText, is_spelling};
use super::{EventRecord, EventSource, RecordError};
use crate::chain::Hash;
use crate::id::{Key, PartitionKey, StreamId, StreamKey};
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
        Self::read_spelled(body).map_or_else(|| Self::read_json(body), Ok)
    }

    /// The same, and whether the line is how the envelope is written.
    pub(super) fn read_exactly(body: &'a str) -> Result<(Self, bool), RecordError> {
        if let Some(envelope) = Self::read_spelled(body) {
            return Ok((envelope, true));
        }
        let envelope = Self::read_json(body)?;
        let exact = is_spelling(&envelope, body);
        Ok((envelope, exact))
    }

    /// Reads a line in any spelling.
    fn read_json(body: &'a str) -> Result<Self, RecordError> {
        serde_json::from_str(body).map_err(|error| RecordError::malformed(&error))
    }

    /// The envelope of a line in the ledger's spelling. `None` does not mean another spelling: a
    /// line with an escape is left to the parser too.
    fn read_spelled(body: &'a str) -> Option<Self> {
        let mut line = SpelledText(body);
        let tenant = line.text(r#"{"tenant":""#)?.into();
        let asset = line.text(r#","asset":""#).map(Cow::from);
        let stream = match asset {
            Some(_) => None,
            None => Some(line.text(r#","stream":""#)?.into()),
        };
        let envelope = Self {
            tenant,
            asset,
            stream,
            version: line.number(r#","version":"#)?,
            r#type: line.text(r#","type":""#)?.into(),
            schema: line.number(r#","schema":"#)?,
            data: line.object(r#","data":"#)?,
            actor: line.text(r#","actor":""#)?.into(),
            source: line.text(r#","source":""#)?.into(),
            at: line.text(r#","at":""#)?.into(),
            request: line.text(r#","request":""#)?.into(),
            command: line.text(r#","command":""#)?.into(),
            prev: line.text(r#","prev":""#)?.parse().ok()?,
        };
        (line.0 == "}").then_some(envelope)
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

    /// The same. The parts of `likely` are not read again.
    pub(super) fn key_or(&self, likely: &Key) -> Result<PartitionKey, RecordError> {
        let same = self.stream.is_none()
            && self.tenant == likely.tenant.as_str()
            && self.asset.as_ref().is_some_and(|asset| likely.asset.is_written(asset));
        if same { Ok(likely.clone().into()) } else { self.key() }
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

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use crate::id::AssetId;

    use super::*;

    pub(in crate::record) const SAMPLES: [&str; 6] = [
        include_str!("../../../migrations/events/created.v1.json"),
        include_str!("../../../migrations/events/received.v1.json"),
        include_str!("../../../migrations/events/uploaded.v1.json"),
        include_str!("../../../migrations/events/soft_deleted.v1.json"),
        include_str!("../../../migrations/access/key_created.v2.json"),
        include_str!("../../../migrations/urls/url_granted.v1.json"),
    ];
    /// What a mutation puts into a line.
    const PIECES: [&str; 24] = [
        "",
        " ",
        "\n",
        "\"",
        "\\",
        "\\n",
        "\\u0041",
        "\u{1}",
        "\u{7f}",
        "é",
        "\u{2028}",
        "{",
        "}",
        "[]",
        ",",
        ":",
        "0",
        "00",
        "-1",
        "1.0",
        "1e3",
        "null",
        ",\"asset\":\"x\"",
        ",\"prev\":\"\"",
    ];

    /// A line with up to three mutations, each a piece in the place of up to 80 characters.
    pub(in crate::record) fn lines() -> impl Strategy<Value = String> {
        let mutation = (any::<prop::sample::Index>(), 0..3_usize, 0..80_usize);
        let mutations = (mutation, prop::sample::select(&PIECES[..]));
        let mutations = prop::collection::vec(mutations, 0..4);
        (prop::sample::select(&SAMPLES[..]), mutations).prop_map(|(sample, mutations)| {
            let mut line: Vec<char> = sample.trim_end().chars().collect();
            for ((at, how, most), piece) in mutations {
                let from = at.index(line.len() + 1);
                let count = [0, 1, most][how];
                let upto = line.len().min(from + count);
                line.splice(from..upto, piece.chars());
            }
            line.into_iter().collect()
        })
    }

    /// Whether a line was read without the parser, which then reads the same.
    fn is_read_alike(line: &str) -> bool {
        let Some(spelled) = StoredEnvelope::read_spelled(line) else { return false };
        let parsed = StoredEnvelope::read_json(line).expect(line);
        assert!(is_spelling(&parsed, line) && is_spelling(&spelled, line), "{line}");
        true
    }

    #[test]
    fn a_line_in_the_spelling_of_the_ledger_needs_no_parser() {
        for sample in SAMPLES {
            assert!(is_read_alike(sample.trim_end()), "{sample}");
        }
    }

    #[test]
    fn other_spellings_are_left_to_the_parser() {
        let good = SAMPLES[0].trim_end();
        for (part, other) in [
            ("\"version\":1", "\"version\":01"),
            ("\"version\":1", "\"version\":+1"),
            ("\"version\":1", "\"version\":18446744073709551616"),
            ("\"schema\":1", "\"schema\": 1"),
            ("\"data\":{", "\"data\": {"),
            ("\"anonymous\"", "\"anonym\\u006fus\""),
            ("\"anonymous\"", "\"anonym\u{1}ous\""),
            ("\"asset\":\"", "\"stream\":\"a\",\"asset\":\""),
            ("\"prev\":\"0", "\"prev\":\"A"),
            (
                "\"actor\":\"anonymous\",\"source\":\"api\"",
                "\"source\":\"api\",\"actor\":\"anonymous\"",
            ),
        ] {
            assert!(good.contains(part), "{part}");
            assert!(StoredEnvelope::read_spelled(&good.replace(part, other)).is_none(), "{other}");
        }
        assert!(StoredEnvelope::read_spelled(&format!("{good} ")).is_none());
    }

    #[test]
    fn a_likely_key_changes_nothing() {
        let created = StoredEnvelope::read(SAMPLES[0].trim_end()).unwrap();
        let key = created.key().unwrap().asset().unwrap();
        let other_asset = Key { asset: AssetId::new(DateTime::UNIX_EPOCH, 1), ..key.clone() };
        let other_tenant = Key { tenant: "other".parse().unwrap(), ..key.clone() };
        for line in SAMPLES.map(str::trim_end) {
            let envelope = StoredEnvelope::read(line).unwrap();
            for likely in [&key, &other_asset, &other_tenant] {
                assert_eq!(envelope.key_or(likely).unwrap(), envelope.key().unwrap(), "{line}");
            }
        }
        let both = StoredEnvelope { stream: Some("access".into()), ..created };
        assert!(both.key().is_err() && both.key_or(&key).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 4_096, failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn whatever_is_read_without_the_parser_is_what_the_parser_reads(line in lines()) {
            is_read_alike(&line);
        }
    }
}
