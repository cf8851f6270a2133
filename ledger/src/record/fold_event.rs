//! An event as a fold needs it: what becomes part of the asset, and what links it to other events.
//! The texts that only a history keeps are borrowed from the line.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use super::forms::{self, FORMS};
use super::limits::check_cited;
use super::spelling::SpelledText;
use super::{EventRecord, RecordError};
use crate::asset::Event;
use crate::chain::Hash;
use crate::id::Key;
use crate::time;

/// What a fold takes from an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoldEvent<'a> {
    /// The asset, if it is not the one under which the line is stored.
    pub(crate) elsewhere: Option<Key>,
    pub(crate) version: u64,
    pub(crate) event: Event,
    pub(crate) actor: Cow<'a, str>,
    pub(crate) command: Cow<'a, str>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) prev: Hash,
}

/// Reads the events of one asset.
pub(crate) struct FoldReader<'k> {
    key: &'k Key,
    /// What each of its lines begins with, in the ledger's spelling.
    start: String,
}

impl<'k> FoldReader<'k> {
    pub(crate) fn new(key: &'k Key) -> Self {
        let (tenant, id) = (key.tenant.as_str(), key.asset.to_string());
        let parts = [r#"{"tenant":""#, tenant, r#"","asset":""#, &id, r#"","version":"#];
        Self { key, start: parts.concat() }
    }

    /// Reads a line, as [`EventRecord::read_under`] does.
    pub(crate) fn read<'a>(&self, body: &'a str) -> Result<FoldEvent<'a>, RecordError> {
        if let Some((event, _)) = self.read_spelled(body, false) {
            return Ok(event);
        }
        Ok(FoldEvent::of(EventRecord::read_under(self.key, body)?, self.key))
    }

    /// The same, and what [`EventRecord::read_exactly`] says of the line.
    pub(crate) fn read_exactly<'a>(
        &self,
        body: &'a str,
    ) -> Result<(FoldEvent<'a>, bool), RecordError> {
        if let Some(read) = self.read_spelled(body, true) {
            return Ok(read);
        }
        let (record, exact) = EventRecord::read_exactly(self.key, body)?;
        Ok((FoldEvent::of(record, self.key), exact))
    }

    /// A line of the asset in the ledger's spelling, and whether it is within its limits, if that
    /// is asked. `None` does not mean another spelling.
    fn read_spelled<'a>(&self, body: &'a str, asked: bool) -> Option<(FoldEvent<'a>, bool)> {
        let mut line = SpelledText(body);
        let version = line.number(&self.start)?;
        let kind = line.text(r#","type":""#)?;
        let schema = line.number(r#","schema":"#)?;
        let form = forms::find(&FORMS, kind, schema)?;
        line.take(r#","data":"#)?;
        let (event, data_fits) = (form.read_spelled)(&mut line, asked)?;
        let actor = line.text(r#","actor":""#)?;
        let source = line.text(r#","source":""#)?;
        let at = time::parse(line.text(r#","at":""#)?)?;
        let request = line.text(r#","request":""#)?;
        let command = line.text(r#","command":""#)?;
        let prev = line.text(r#","prev":""#)?.parse().ok()?;
        let fits =
            !asked || data_fits && check_cited(at, source, [actor, request, command]).is_ok();
        let (actor, command) = (actor.into(), command.into());
        let event = FoldEvent { elsewhere: None, version, event, actor, command, at, prev };
        (line.0 == "}").then_some((event, fits))
    }
}

impl FoldEvent<'_> {
    /// What a fold takes from a record that is stored under `key`.
    fn of(record: EventRecord, key: &Key) -> Self {
        let EventRecord { key: said, version, event, cause, at, prev } = record;
        Self {
            elsewhere: (said != *key).then_some(said),
            version,
            event,
            actor: cause.actor.into(),
            command: cause.command.0.into(),
            at,
            prev,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::envelope::tests::{SAMPLES, lines};
    use super::*;

    fn key() -> Key {
        EventRecord::read(SAMPLES[0].trim_end()).unwrap().key
    }

    /// Whether a line was read without the parser, which then reads the same.
    fn is_read_alike(line: &str) -> bool {
        let key = key();
        let reader = FoldReader::new(&key);
        let parsed = EventRecord::read_exactly(&key, line);
        let parsed = parsed.map(|(record, exact)| (FoldEvent::of(record, &key), exact));
        let Some(spelled) = reader.read_spelled(line, true) else {
            match (reader.read_exactly(line), parsed) {
                (Ok(read), Ok(parsed)) => assert_eq!(read, parsed, "{line}"),
                (read, parsed) => assert!(read.is_err() && parsed.is_err(), "{line}"),
            }
            return false;
        };
        assert_eq!(Some(&spelled), parsed.ok().as_ref(), "{line}");
        assert_eq!(spelled.0, reader.read(line).unwrap(), "{line}");
        true
    }

    #[test]
    fn a_line_in_the_spelling_of_the_ledger_needs_no_parser() {
        for sample in &SAMPLES[..4] {
            assert!(is_read_alike(sample.trim_end()), "{sample}");
        }
        for sample in &SAMPLES[4..] {
            assert!(!is_read_alike(sample.trim_end()), "{sample}");
        }
    }

    #[test]
    fn other_spellings_of_data_are_left_to_the_parser() {
        let [created, received, uploaded, deleted] =
            [0, 1, 2, 3].map(|nth: usize| SAMPLES[nth].trim_end());
        for (good, part, other) in [
            (created, "\"size\":11", "\"size\":011"),
            (created, "\"size\":11", "\"size\":18446744073709551616"),
            (created, "\"size\":11,", ""),
            (created, "\"size\":11", "\"size\":12,\"size\":11"),
            (created, "\"declared\"", "\"other\""),
            (created, "{\"team\":\"finance\"}", "{}"),
            (created, "{\"team\":\"finance\"}", "{\"team\":\"finance\",\"team\":\"finance\"}"),
            (created, "{\"team\":\"finance\"}", "{\"team\":\"finance\",\"a\":\"b\"}"),
            (created, "{\"team\":\"finance\"}", "{\"a\":\"b\",\"team\":\"finance\"}"),
            (created, "\"q3 report.pdf\"", "\"q3 \\\"report.pdf\""),
            (created, "\"q3 report.pdf\"", "\"a/b\""),
            (created, "\"q3 report.pdf\"", "null"),
            (created, "\"anonymous\"", "\"a\u{202e}b\""),
            (received, "\"size\":11,", ""),
            (received, "\"etag\":", "\"etag\": "),
            (received, "\"size\":11", "\"size\":-1"),
            (uploaded, "{}", "{ }"),
            (uploaded, "{}", "{\"a\":1}"),
            (deleted, "\"reason\":\"a duplicate\"", ""),
            (deleted, "\"reason\":\"a duplicate\"", "\"reason\":null"),
            (deleted, "\"reason\":\"a duplicate\"", "\"reason\":\"a duplicate\",\"b\":1"),
        ] {
            assert!(good.contains(part), "{part}");
            is_read_alike(&good.replace(part, other));
        }
    }

    #[test]
    fn an_event_of_another_asset_names_it() {
        let own = key();
        let other = Key { tenant: "other".parse().unwrap(), ..own.clone() };
        let line = SAMPLES[0].trim_end();
        assert_eq!(FoldReader::new(&own).read(line).unwrap().elsewhere, None);
        assert_eq!(FoldReader::new(&other).read(line).unwrap().elsewhere, Some(own));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 8_192, failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn whatever_is_read_without_the_parser_is_what_the_parser_reads(line in lines()) {
            is_read_alike(&line);
        }
    }
}
