//! Faults that links do not show: impossible times, commands and types.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, FindingKind};
use super::stored_event::{EventFields, KnownEvent};
use crate::access::TenantAccess;
use crate::asset::Asset;
use crate::chain::Hash;
use crate::history::HistoryFault;
use crate::id::{AccessStream, PartitionKey, StreamKey};
use crate::journal::scan::Chain;
use crate::url_log::UrlLogStream;

/// Compares the events with each other, in order. An event that already has a fault is no evidence
/// against another.
pub(super) fn examine(
    chain: &Chain,
    events: &[EventFields],
    blamed: &BTreeSet<u64>,
) -> Vec<Finding> {
    let sound = |words: &&EventFields| !blamed.contains(&words.version);
    let is_known = |key| AccessStream::of(&key).is_some() || UrlLogStream::of(&key).is_some();
    let is_read = chain.key().is_some()
        || PartitionKey::from_partition(&chain.partition).is_some_and(is_known);
    let tell = |kind, words: &EventFields, says: String| {
        Finding::new(kind, &chain.partition, says).at(words.version).hashes(None, Some(words.hash))
    };
    let mut findings = Vec::new();
    for words in events.iter().filter(sound) {
        // The data of another stream's event is not read, whatever its type.
        if let (true, Err(unknown)) = (is_read, &words.record) {
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
    let impossible = if is_read { impossible(events, blamed) } else { None };
    findings.extend(impossible.map(|(at, says)| tell(FindingKind::Impossible, at, says)));
    findings
}

/// The first impossible event, if all events before it are sound: after it, the state is unknown.
fn impossible<'a>(
    events: &'a [EventFields],
    blamed: &BTreeSet<u64>,
) -> Option<(&'a EventFields, String)> {
    let mut state = Folded::default();
    for (due, words) in (1..).zip(events) {
        let record = words.record.as_ref().ok().filter(|_| !blamed.contains(&words.version))?;
        if words.version != due {
            return None;
        }
        if let Err(impossible) = state.apply(record, words.hash) {
            return Some((words, impossible.to_string()));
        }
    }
    None
}

/// The state of an asset or of a tenant's access.
#[derive(Default)]
struct Folded {
    asset: Option<Asset>,
    access: Option<TenantAccess>,
}

impl Folded {
    fn apply(&mut self, event: &KnownEvent, hash: Hash) -> Result<(), HistoryFault> {
        match event {
            KnownEvent::Asset(record) => match &mut self.asset {
                Some(asset) => asset.apply(record, hash)?,
                None => self.asset = Some(Asset::begin(record.key.clone(), record, hash)?),
            },
            KnownEvent::Access(record) => match &mut self.access {
                Some(access) => access.apply(record, hash)?,
                None => self.access = Some(TenantAccess::begin(record, hash)?),
            },
            // Any URL may follow any other.
            KnownEvent::Url => {}
        }
        Ok(())
    }
}
