//! A reference to an event, and several references as text: one line each.
//!
//! A line is `<asset> <version> <the first digits of the event's hash>`. Earlier entries have a
//! line of JSON with more fields. Both are read.

use std::fmt;
use std::str::FromStr;

use ledger::chain::Hash;
use ledger::history::Entry;
use ledger::id::AssetId;
use serde::Deserialize;

/// Hexadecimal digits of a hash: a chance match is excluded, and the journal has the whole hash.
const DIGITS: usize = 16;

/// What the feed stores of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::feed) struct Reference {
    /// The asset.
    pub(in crate::feed) asset: AssetId,
    /// Its version in the asset's history.
    pub(in crate::feed) version: u64,
    check: String,
}

/// The line is not a reference: another program wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a reference to an event")]
pub(in crate::feed) struct ReferenceError;

/// The fields of the earlier form that are used.
#[derive(Deserialize)]
struct LongReference {
    asset: AssetId,
    version: u64,
    hash: Hash,
}

impl Reference {
    /// The reference to an event of a history.
    pub(in crate::feed) fn to(entry: &Entry) -> Self {
        let (asset, version) = (entry.record.key.asset, entry.record.version);
        Self { asset, version, check: digits(entry.hash) }
    }

    /// Whether the event that it refers to has this hash.
    pub(in crate::feed) fn is_of(&self, hash: Hash) -> bool {
        self.check == digits(hash)
    }
}

fn digits(hash: Hash) -> String {
    let mut digits = hash.to_string();
    digits.truncate(DIGITS);
    digits
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.asset, self.version, self.check)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(line: &str) -> Result<Self, ReferenceError> {
        if line.starts_with('{') {
            let long: LongReference = serde_json::from_str(line).map_err(|_| ReferenceError)?;
            let LongReference { asset, version, hash } = long;
            return Ok(Self { asset, version, check: digits(hash) });
        }
        let mut parts = line.split(' ');
        let mut part = || parts.next().ok_or(ReferenceError);
        let asset = part()?.parse().map_err(|_| ReferenceError)?;
        let version = part()?.parse().map_err(|_| ReferenceError)?;
        let read = Self { asset, version, check: part()?.to_owned() };
        // Only one spelling is valid: `+7` and `07` parse as numbers too.
        if read.check.len() == DIGITS && read.to_string() == line {
            Ok(read)
        } else {
            Err(ReferenceError)
        }
    }
}

/// References as texts of entries, each of at most `max` bytes unless a single reference is longer.
pub(in crate::feed) fn write(references: &[Reference], max: usize) -> Vec<String> {
    let mut texts = vec![String::new()];
    for reference in references {
        let line = reference.to_string();
        let text = texts.last_mut().filter(|text| text.is_empty() || text.len() + line.len() < max);
        match text {
            Some(text) if text.is_empty() => *text = line,
            Some(text) => *text = format!("{text}\n{line}"),
            None => texts.push(line),
        }
    }
    texts.retain(|text| !text.is_empty());
    texts
}

/// The number of lines of an entry's text.
pub(in crate::feed) fn lines(text: &str) -> usize {
    text.split('\n').count()
}

/// The reference in one line of an entry's text, counted from 0, if there is such a line. A line
/// that is not a reference is an error: another program wrote it, and readers skip it.
pub(in crate::feed) fn read(text: &str, line: usize) -> Option<Result<Reference, ReferenceError>> {
    text.split('\n').nth(line).map(str::parse)
}

#[cfg(test)]
mod tests {
    use ledger::history::History;

    use super::*;
    use crate::testing::Story;

    fn references(count: u32) -> Vec<Reference> {
        let stories = (0..count).map(|nth| Story::begin("main", nth));
        let histories = stories.map(|it| History::read(&it.key, it.lines).unwrap().unwrap());
        histories.map(|history| Reference::to(&history.entries()[0])).collect()
    }

    fn all(text: &str) -> Vec<Option<Reference>> {
        (0..lines(text)).filter_map(|line| read(text, line)).map(Result::ok).collect()
    }

    #[test]
    fn references_are_read_back_in_order_and_fill_places_up_to_their_limit() {
        let written = references(40);
        for max in [0, 150, 1_000, 100_000] {
            let texts = write(&written, max);
            let found: Vec<_> = texts.iter().flat_map(|text| all(text)).collect();
            assert_eq!(found, written.iter().cloned().map(Some).collect::<Vec<_>>());
            let over = texts.iter().filter(|text| text.len() > max && lines(text) > 1);
            assert_eq!(over.count(), 0, "{max}");
        }
        assert_eq!(write(&written, 100_000).len(), 1);
        assert!(write(&[], 100).is_empty());
    }

    #[test]
    fn what_is_no_reference_keeps_its_number_and_holds_up_nobody() {
        let [one] = &references(1)[..] else { panic!("one was asked for") };
        let text = write(std::slice::from_ref(one), 1_000).concat();
        let found = all(&format!("{{}}\n{text}\nnot JSON"));
        assert_eq!(found, [None, Some(one.clone()), None]);
    }

    /// Entries of both forms, frozen: stored ones are read for ever.
    const LONG: &str = include_str!("../../../../migrations/feed/entry.v1.txt");
    const SHORT: &str = include_str!("../../../../migrations/feed/entry.v2.txt");

    #[test]
    fn entries_of_both_forms_are_the_same_references() {
        let story = Story::begin("main", 1).received();
        let written: Vec<_> = story.history().entries().iter().map(Reference::to).collect();
        assert_eq!(write(&written, 10_000).concat(), SHORT.trim_end());
        let expected: Vec<_> = written.into_iter().map(Some).collect();
        assert_eq!(all(SHORT.trim_end()), expected);
        assert_eq!(all(LONG.trim_end()), expected);
    }

    #[test]
    fn a_reference_has_one_spelling() {
        let line = SHORT.lines().next().unwrap();
        let (asset, rest) = line.split_once(' ').unwrap();
        assert!(line.parse::<Reference>().is_ok());
        for other in [
            String::new(),
            format!("{asset} 0{rest}"),
            format!("{asset} +{rest}"),
            format!("{line} "),
            format!("{line} more"),
            line[..line.len() - 1].to_owned(),
            asset.to_owned(),
            rest.to_owned(),
        ] {
            assert_eq!(other.parse::<Reference>(), Err(ReferenceError), "{other}");
        }
    }
}
