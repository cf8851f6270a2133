//! A reference to an event, and several references as text: one line of JSON each.

use ledger::chain::Hash;
use ledger::history::Entry;
use ledger::id::AssetId;
use ledger::time;
use serde::{Deserialize, Serialize};

/// The feed's data about an event: its identity, and the fields for filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::feed) struct Reference {
    /// The asset.
    pub(in crate::feed) asset: AssetId,
    /// Its version in the asset's history.
    pub(in crate::feed) version: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub(in crate::feed) kind: String,
    /// The actor.
    pub(in crate::feed) actor: String,
    /// The time, as stored.
    pub(in crate::feed) at: String,
    /// The event's id.
    pub(in crate::feed) hash: Hash,
}

impl Reference {
    /// The reference to an event of a history.
    pub(in crate::feed) fn to(entry: &Entry) -> Self {
        let record = &entry.record;
        Self {
            asset: record.key.asset,
            version: record.version,
            kind: record.event.kind().to_owned(),
            actor: record.cause.actor.clone(),
            at: time::format(record.at),
            hash: entry.hash,
        }
    }
}

/// References as texts of entries, each of at most `max` bytes unless a single reference is longer.
pub(in crate::feed) fn write(references: &[Reference], max: usize) -> Vec<String> {
    let mut texts = vec![String::new()];
    for reference in references {
        // Text and numbers can always be serialized.
        let line = serde_json::to_string(reference).unwrap_or_default();
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
pub(in crate::feed) fn read(text: &str, line: usize) -> Option<serde_json::Result<Reference>> {
    text.split('\n').nth(line).map(serde_json::from_str)
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
        for max in [0, 300, 1_000, 100_000] {
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
}
