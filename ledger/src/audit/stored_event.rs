//! The text at each place of a history, and the fields that it states.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::chain::Hash;
use crate::id::{AccessStream, PartitionKey, StreamKey};
use crate::journal::scan::Chain;
use crate::record::{
    AccessRecord, CanonicalLine, CommandId, EventRecord, RecordError, StoredLine, Unknown,
    UrlRecord,
};
use crate::url_log::UrlLogStream;

/// A place in a stored history.
#[derive(Debug, Clone)]
pub(super) struct StoredEvent {
    /// The version that it is stored under.
    pub(super) version: u64,
    /// The stored text.
    body: String,
    /// Its hash.
    pub(super) hash: Hash,
    /// What the text states.
    pub(super) said: EventSchema,
}

#[derive(Debug, Clone)]
pub(super) enum EventSchema {
    /// An event of this history.
    Own(EventFields),
    /// An event of another history.
    Other(EventFields),
    /// An unreadable text.
    Nothing(String),
}

/// The statements of an event, whatever its type.
#[derive(Debug, Clone)]
pub(super) struct EventFields {
    pub(super) key: String,
    pub(super) version: u64,
    pub(super) hash: Hash,
    pub(super) prev: Hash,
    pub(super) at: DateTime<Utc>,
    pub(super) command: CommandId,
    /// The event, or the type that this program does not know.
    pub(super) record: Result<KnownEvent, String>,
}

/// An event of a known type.
#[derive(Debug, Clone)]
pub(super) enum KnownEvent {
    Asset(EventRecord),
    Access(AccessRecord),
    Url,
}

impl StoredEvent {
    /// The places of `chain`, by rising version.
    pub(super) fn all(chain: &Chain) -> Vec<Self> {
        let of = |line| Self::of(line, &chain.partition);
        let mut slots: Vec<_> = chain.lines.iter().map(of).collect();
        slots.sort_by_key(|slot| slot.version);
        slots
    }

    fn of(line: &StoredLine, partition: &str) -> Self {
        let hash = line.hash();
        let said = match EventFields::read(&line.body, hash) {
            Ok(words) if words.key == partition => EventSchema::Own(words),
            Ok(words) => EventSchema::Other(words),
            Err(why) => EventSchema::Nothing(why),
        };
        Self { version: line.version, body: line.body.clone(), hash, said }
    }

    /// The hash that its event would have if it followed `prev`.
    pub(super) fn hash_after(&self, prev: Hash) -> Option<Hash> {
        let relinked = CanonicalLine::following(&self.body, prev)?;
        Some(Hash::of(relinked.body.as_bytes()))
    }

    pub(super) fn own(&self) -> Option<&EventFields> {
        match &self.said {
            EventSchema::Own(words) => Some(words),
            EventSchema::Other(_) | EventSchema::Nothing(_) => None,
        }
    }

    /// The version that its event states.
    fn says(&self) -> Option<u64> {
        self.own().map(|words| words.version)
    }
}

impl EventFields {
    fn read(body: &str, hash: Hash) -> Result<Self, String> {
        match EventRecord::read(body) {
            Ok(record) => Ok(Self::of(record.clone(), hash, KnownEvent::Asset(record))),
            Err(RecordError::Unknown(unknown)) if AccessStream::of(&unknown.key).is_some() => {
                Self::named(AccessRecord::read_line(body), hash, KnownEvent::Access)
            }
            Err(RecordError::Unknown(unknown)) if UrlLogStream::of(&unknown.key).is_some() => {
                Self::named(UrlRecord::read_line(body), hash, |_| KnownEvent::Url)
            }
            Err(RecordError::Unknown(unknown)) => Ok(Self::unknown(*unknown, hash)),
            Err(malformed) => Err(malformed.to_string()),
        }
    }

    /// An event of a named stream whose types are known.
    fn named<E: Clone, K: StreamKey>(
        read: Result<EventRecord<E, K>, RecordError>,
        hash: Hash,
        known: fn(EventRecord<E, K>) -> KnownEvent,
    ) -> Result<Self, String> {
        match read {
            Ok(record) => Ok(Self::of(record.clone(), hash, known(record))),
            Err(RecordError::Unknown(unknown)) => Ok(Self::unknown(*unknown, hash)),
            Err(malformed) => Err(malformed.to_string()),
        }
    }

    fn of<E, K: StreamKey>(said: EventRecord<E, K>, hash: Hash, known: KnownEvent) -> Self {
        let EventRecord { key, version, at, prev, cause, .. } = said;
        let (key, command): (PartitionKey, _) = (key.into(), cause.command);
        Self { key: key.partition(), version, hash, prev, at, command, record: Ok(known) }
    }

    fn unknown(unknown: Unknown, hash: Hash) -> Self {
        let (key, record) = (unknown.key.partition(), Err(unknown.to_string()));
        let Unknown { version, prev, at, command, .. } = unknown;
        Self { key, version, hash, prev, at, command, record }
    }
}

/// Which events are followed, and by which event last. Every place of a history is looked up, so no
/// lookup may walk along all of it.
#[derive(Default)]
pub(super) struct SuccessorIndex {
    /// The last place of an event that follows it, in any version.
    any: BTreeMap<Hash, usize>,
    /// The same under one version.
    of: BTreeMap<(Hash, u64), usize>,
}

impl SuccessorIndex {
    pub(super) fn of(slots: &[StoredEvent]) -> Self {
        let mut followers = Self::default();
        for (at, words) in slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.own()?)))
        {
            followers.any.insert(words.prev, at);
            followers.of.insert((words.prev, words.version), at);
        }
        followers
    }

    /// Whether an event after `at` follows this one as that version.
    pub(super) fn are_beyond(&self, at: usize, hash: Hash, version: u64) -> bool {
        self.of.get(&(hash, version)).is_some_and(|last| *last > at)
    }

    /// Whether any event after `at` follows this one.
    pub(super) fn any_beyond(&self, at: usize, hash: Hash) -> bool {
        self.any.get(&hash).is_some_and(|last| *last > at)
    }
}

/// The places that exchanged their events: each event states the next place's version, and the last
/// one states the first's.
pub(super) fn circles(slots: &[StoredEvent]) -> Vec<Vec<usize>> {
    let places: BTreeMap<u64, usize> =
        slots.iter().enumerate().map(|(at, slot)| (slot.version, at)).collect();
    let next = |at: usize| slots[at].says().and_then(|says| places.get(&says).copied());
    // No path is walked twice: after an earlier walk there is nothing new.
    let mut passed = vec![false; slots.len()];
    let mut circles = Vec::new();
    for first in 0..slots.len() {
        let (mut way, mut at) = (Vec::new(), Some(first));
        while let Some(here) = at.filter(|at| !passed[*at]) {
            passed[here] = true;
            way.push(here);
            at = next(here);
        }
        circles.extend(at.and_then(|end| closed(&way, end)));
    }
    circles.sort();
    circles
}

/// The circle at the end of a path that leads to `end`, from its first place; none if `end` is not
/// on this path, or leads to itself.
fn closed(way: &[usize], end: usize) -> Option<Vec<usize>> {
    let from = way.iter().position(|at| *at == end)?;
    let mut circle = way[from..].to_vec();
    let least = circle.iter().enumerate().min_by_key(|(_, at)| **at)?.0;
    circle.rotate_left(least);
    Some(circle).filter(|circle| circle.len() > 1)
}

/// Puts every event of a circle into its own place, if each is linked to a neighbour there.
/// Otherwise only their versions claim a swap.
pub(super) fn put_back(slots: &mut [StoredEvent], circle: &[usize]) -> bool {
    let events: Vec<_> = circle.iter().map(|at| slots[*at].clone()).collect();
    for (place, event) in circle.iter().cycle().skip(1).zip(&events) {
        let version = slots[*place].version;
        slots[*place] = StoredEvent { version, ..event.clone() };
    }
    let fit = circle.iter().all(|at| is_linked(slots, *at));
    if !fit {
        circle.iter().zip(events).for_each(|(at, event)| slots[*at] = event);
    }
    fit
}

/// Whether an event follows the one before it, or is followed by the one after it.
fn is_linked(slots: &[StoredEvent], at: usize) -> bool {
    let before = at.checked_sub(1).map_or(Hash::ZERO, |before| slots[before].hash);
    let follows = slots[at].own().is_some_and(|words| words.prev == before);
    let next = slots.get(at + 1).and_then(StoredEvent::own);
    follows || next.is_some_and(|next| next.prev == slots[at].hash)
}
