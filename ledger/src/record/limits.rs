//! The limits of records: the writer enforces them, and an audit compares stored events with them.
//!
//! A name that a later release refuses at creation may have been written before it. So only names
//! that every release refused are over a limit here.

use chrono::{DateTime, Utc};

use super::envelope::StoredEnvelope;
use super::forms::StoredData;
use super::{AccessRecord, EventRecord, UrlRecord, forms};
use crate::asset::{InvalidField, declaration};
use crate::time;

/// Bytes of an actor.
const ACTOR_MAX: usize = 128;
/// Bytes of a source's name.
const SOURCE_MAX: usize = 32;
/// Bytes of a request id.
const REQUEST_MAX: usize = 64;
/// Bytes of a command's identity: a SHA-256 in hex.
const COMMAND_MAX: usize = 64;

impl EventRecord {
    /// Whether every field is within its limits.
    pub fn within_limits(&self) -> Result<(), InvalidField> {
        self.check(forms::newest(&self.event))
    }
}

impl AccessRecord {
    /// Whether every field is within its limits.
    pub fn within_limits(&self) -> Result<(), InvalidField> {
        self.check(forms::access::newest(&self.event))
    }
}

impl UrlRecord {
    /// Whether every field is within its limits.
    pub fn within_limits(&self) -> Result<(), InvalidField> {
        self.check(forms::urls::newest(&self.event))
    }
}

impl<E, K> EventRecord<E, K> {
    fn check(&self, data: serde_json::Result<StoredData>) -> Result<(), InvalidField> {
        let cause = &self.cause;
        check_time(self.at)?;
        check_cause(&cause.actor, &cause.request, cause.command.as_str())?;
        // An event that cannot be written has no line over a limit.
        data.map_or(Ok(()), |data| data.limits)
    }
}

/// Whether the fields of every event's envelope are within limits.
pub(super) fn check_envelope(
    envelope: &StoredEnvelope<'_>,
    at: DateTime<Utc>,
) -> Result<(), InvalidField> {
    let cited = [&envelope.actor, &envelope.request, &envelope.command];
    check_cited(at, &envelope.source, cited.map(|text| &**text))
}

/// The same, of these fields: the last are the actor, the request and the command.
pub(super) fn check_cited(
    at: DateTime<Utc>,
    source: &str,
    [actor, request, command]: [&str; 3],
) -> Result<(), InvalidField> {
    check_time(at)?;
    check_text("source", source, SOURCE_MAX)?;
    check_cause(actor, request, command)
}

fn check_cause(actor: &str, request: &str, command: &str) -> Result<(), InvalidField> {
    check_text("actor", actor, ACTOR_MAX)?;
    check_text("request", request, REQUEST_MAX)?;
    check_text("command", command, COMMAND_MAX)
}

fn check_time(at: DateTime<Utc>) -> Result<(), InvalidField> {
    if time::is_recordable(at) {
        return Ok(());
    }
    let (first, end) = (time::format(time::FIRST), time::format(time::END));
    let problem = format!("must be from {first} on and before {end}, not {}", time::format(at));
    Err(InvalidField::new("at", problem))
}

pub(super) fn check_filename(name: &str) -> Result<(), InvalidField> {
    declaration::check_filename_form(name)?;
    check_characters("filename", name)
}

pub(super) fn check_sha256(text: &str) -> Result<(), InvalidField> {
    declaration::check_sha256(text)?;
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    if lower { Ok(()) } else { Err(InvalidField::new("sha256", "must be in lower case")) }
}

/// Whether a key or a URL can end at this time.
pub(super) fn check_end(at: DateTime<Utc>) -> Result<(), InvalidField> {
    check_time(at).map_err(|InvalidField { problem, .. }| InvalidField::new("ends_at", problem))
}

pub(crate) fn check_text(field: &'static str, text: &str, most: usize) -> Result<(), InvalidField> {
    if text.len() > most {
        let problem = format!("must be at most {most} bytes, not {}", text.len());
        return Err(InvalidField::new(field, problem));
    }
    check_characters(field, text)
}

/// Characters that no release ever recorded.
pub(super) fn check_characters(field: &'static str, text: &str) -> Result<(), InvalidField> {
    let refused = |c: &char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    // Without an early end: several bytes at once.
    if text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')) {
        return Ok(());
    }
    text.chars().find(refused).map_or(Ok(()), |c| {
        let problem = format!("must not hold control characters; it holds U+{:04X}", u32::from(c));
        Err(InvalidField::new(field, problem))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::{Declaration, Event};
    use crate::objects::ObjectVersion;
    use crate::record::tests::sample;

    fn created(
        change: impl FnOnce(&mut EventRecord, &mut Declaration),
    ) -> Result<(), InvalidField> {
        let mut record = EventRecord::read(&sample("created.v1")).unwrap();
        let mut declared = Declaration::plain();
        change(&mut record, &mut declared);
        record.event = Event::Created(declared);
        record.within_limits()
    }

    #[test]
    fn what_no_release_would_have_written_is_over_a_limit() {
        type Change = fn(&mut EventRecord, &mut Declaration);
        let cases: [(&str, Change); 14] = [
            ("at", |it, _| it.at = time::END),
            ("at", |it, _| it.at = time::FIRST - chrono::TimeDelta::microseconds(1)),
            ("actor", |it, _| it.cause.actor = "x".repeat(129)),
            ("actor", |it, _| it.cause.actor = "a\u{1b}[2J".into()),
            ("request", |it, _| it.cause.request = "x".repeat(65)),
            ("filename", |_, it| it.filename = Some("x".repeat(256))),
            ("filename", |_, it| it.filename = Some("../x".into())),
            ("filename", |_, it| it.filename = Some("a\u{202e}fdp.exe".into())),
            ("content_type", |_, it| it.content_type = Some("nonsense".into())),
            ("size", |_, it| it.size = Some((5 << 30) + 1)),
            ("sha256", |_, it| it.sha256 = Some("AB".repeat(32))),
            ("sha256", |_, it| it.sha256 = Some("ab".into())),
            ("tags", |_, it| it.tags = (0..51).map(|n| (format!("t{n}"), String::new())).collect()),
            ("tags", |_, it| it.tags = [("k".to_owned(), "a\nb".to_owned())].into()),
        ];
        for (field, change) in cases {
            assert_eq!(created(change).unwrap_err().field, field);
        }
        assert_eq!(created(|it, _| it.at = time::FIRST), Ok(()));
        // Earlier releases accepted names with invisible characters.
        for name in ["a\u{200b}b", "\u{feff}a", "a\u{ad}b", "a\u{e0041}"] {
            assert_eq!(created(|_, it| it.filename = Some(name.into())), Ok(()), "{name:?}");
        }
        let last = |it: &mut EventRecord| it.at = time::END - chrono::TimeDelta::microseconds(1);
        assert_eq!(created(|it, _| last(it)), Ok(()));
    }

    #[test]
    fn a_reason_and_what_s3_says_have_limits_too() {
        let deleted = Event::SoftDeleted { reason: Some("x".repeat(257)) };
        let version = |version_id: &str, etag: &str| {
            let (version_id, etag) = (version_id.to_owned(), etag.to_owned());
            Event::Received(ObjectVersion { version_id, size: 1, sha256: None, etag })
        };
        for (field, event) in [
            ("reason", deleted),
            ("version_id", version(&"v".repeat(1025), "e")),
            ("etag", version("v", "e\r\nx: y")),
        ] {
            let record = EventRecord { event, ..EventRecord::read(&sample("created.v1")).unwrap() };
            assert_eq!(record.within_limits().unwrap_err().field, field);
        }
    }
}
