//! The limits of what is recorded: the writer keeps to them, and an audit holds stored events to
//! them.
//!
//! A name that is refused at creation since a later release was still written before it. So only
//! what every release refused is over a limit here.

use chrono::{DateTime, Utc};

use super::EventRecord;
use crate::asset::declaration as limits;
use crate::asset::{Declaration, Event, InvalidField};
use crate::objects::ObjectVersion;
use crate::time;

/// Bytes of who did something.
const ACTOR_MAX: usize = 128;
/// Bytes of a request's name.
const REQUEST_MAX: usize = 64;
/// Bytes of a command's identity: a SHA-256 in hex.
const COMMAND_MAX: usize = 64;
/// Bytes of what S3 calls a version: its own limit.
const VERSION_ID_MAX: usize = 1024;
/// Bytes of an entity tag: S3's own have 35 or a few more.
const ETAG_MAX: usize = 256;

impl EventRecord {
    /// Whether every field is within its limits.
    pub fn within_limits(&self) -> Result<(), InvalidField> {
        check_time(self.at)?;
        let cause = &self.cause;
        check_text("actor", &cause.actor, ACTOR_MAX)?;
        check_text("request", &cause.request, REQUEST_MAX)?;
        check_text("command", cause.command.as_str(), COMMAND_MAX)?;
        match &self.event {
            Event::Created(declared) => check_declared(declared),
            Event::Received(version) => check_version(version),
            Event::SoftDeleted { reason: Some(reason) } => {
                check_text("reason", reason, limits::REASON_MAX)
            }
            Event::SoftDeleted { reason: None }
            | Event::Uploaded
            | Event::Restored
            | Event::PurgeRequested
            | Event::Purged => Ok(()),
        }
    }
}

fn check_time(at: DateTime<Utc>) -> Result<(), InvalidField> {
    if time::is_recordable(at) {
        return Ok(());
    }
    let (first, end) = (time::format(time::FIRST), time::format(time::END));
    let problem = format!("must be from {first} on and before {end}, not {}", time::format(at));
    Err(InvalidField::new("at", problem))
}

fn check_declared(declared: &Declaration) -> Result<(), InvalidField> {
    declared.filename.as_deref().map_or(Ok(()), check_filename)?;
    declared.content_type.as_deref().map_or(Ok(()), limits::check_content_type)?;
    declared.size.map_or(Ok(()), limits::check_size)?;
    declared.sha256.as_deref().map_or(Ok(()), check_sha256)?;
    limits::check_tag_sizes(&declared.tags)?;
    let words = declared.tags.iter().flat_map(|(name, value)| [name, value]);
    words.into_iter().try_for_each(|text| check_characters("tags", text))
}

fn check_filename(name: &str) -> Result<(), InvalidField> {
    limits::check_filename_form(name)?;
    check_characters("filename", name)
}

fn check_sha256(text: &str) -> Result<(), InvalidField> {
    limits::check_sha256(text)?;
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    if lower { Ok(()) } else { Err(InvalidField::new("sha256", "must be in lower case")) }
}

fn check_version(version: &ObjectVersion) -> Result<(), InvalidField> {
    check_text("version_id", &version.version_id, VERSION_ID_MAX)?;
    check_text("etag", &version.etag, ETAG_MAX)?;
    version.sha256.as_deref().map_or(Ok(()), check_sha256)
}

fn check_text(field: &'static str, text: &str, most: usize) -> Result<(), InvalidField> {
    if text.len() > most {
        let problem = format!("must be at most {most} bytes, not {}", text.len());
        return Err(InvalidField::new(field, problem));
    }
    check_characters(field, text)
}

/// Characters that no release ever recorded.
fn check_characters(field: &'static str, text: &str) -> Result<(), InvalidField> {
    let refused = |c: &char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    text.chars().find(refused).map_or(Ok(()), |c| {
        let problem = format!("must not hold control characters; it holds U+{:04X}", u32::from(c));
        Err(InvalidField::new(field, problem))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::SAMPLES;

    fn created(
        change: impl FnOnce(&mut EventRecord, &mut Declaration),
    ) -> Result<(), InvalidField> {
        let mut record = EventRecord::read(SAMPLES[0].1.trim_end()).unwrap();
        let mut declared = Declaration::plain();
        change(&mut record, &mut declared);
        record.event = Event::Created(declared);
        record.within_limits()
    }

    #[test]
    fn every_sample_is_within_the_limits() {
        for (name, sample) in SAMPLES {
            EventRecord::read(sample.trim_end()).unwrap().within_limits().expect(name);
        }
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
        // Releases before this one took names that hold what is not seen.
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
            let record =
                EventRecord { event, ..EventRecord::read(SAMPLES[0].1.trim_end()).unwrap() };
            assert_eq!(record.within_limits().unwrap_err().field, field);
        }
    }
}
