//! Faults that links do not show: impossible times, commands and types.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, FindingKind};
use super::stored_event::EventFields;
use crate::asset::Asset;
use crate::id::Key;
use crate::journal::scan::Chain;

/// Compares the events with each other, in order. An event that already has a fault is no evidence
/// against another.
pub(super) fn examine(
    chain: &Chain,
    events: &[EventFields],
    blamed: &BTreeSet<u64>,
) -> Vec<Finding> {
    let sound = |words: &&EventFields| !blamed.contains(&words.version);
    let key = chain.key();
    let tell = |kind, words: &EventFields, says: String| {
        Finding::new(kind, &chain.partition, says).at(words.version).hashes(None, Some(words.hash))
    };
    let mut findings = Vec::new();
    for words in events.iter().filter(sound) {
        // The data of a stream's event is not read, whatever its type.
        if let (Some(_), Err(unknown)) = (&key, &words.record) {
            findings.push(tell(FindingKind::UnknownType, words, unknown.clone()));
        }
    }
    for pair in events.windows(2).filter(|pair| pair.iter().all(|words| sound(&words))) {
        if pair[1].prev == pair[0].hash && pair[1].at <= pair[0].at {
            let says = "it is not later than the event before it".to_owned();
            findings.push(tell(FindingKind::NotLater, &pair[1], says));
        }
    }
    let mut commands = BTreeMap::new();
    for words in events.iter().filter(sound) {
        if let Some(earlier) = commands.insert(words.command.as_str(), words.version) {
            let says = format!("its command was recorded before, at version {earlier}");
            findings.push(tell(FindingKind::CommandTwice, words, says));
        }
    }
    let impossible = key.and_then(|key| impossible(&key, events, blamed));
    findings.extend(impossible.map(|(at, says)| tell(FindingKind::Impossible, at, says)));
    findings
}

/// The first impossible event, if all events before it are sound: after it, the asset's state is
/// unknown.
fn impossible<'a>(
    key: &Key,
    events: &'a [EventFields],
    blamed: &BTreeSet<u64>,
) -> Option<(&'a EventFields, String)> {
    let mut asset: Option<Asset> = None;
    for (due, words) in (1..).zip(events) {
        let record = words.record.as_ref().ok().filter(|_| !blamed.contains(&words.version))?;
        if words.version != due {
            return None;
        }
        let applied = match &mut asset {
            Some(asset) => asset.apply(record, words.hash),
            None => Asset::begin(key.clone(), record, words.hash).map(|begun| asset = Some(begun)),
        };
        if let Err(impossible) = applied {
            return Some((words, impossible.to_string()));
        }
    }
    None
}
