//! Names the faults: a walk along the stored lines, for histories that have faults.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, FindingKind};
use super::stored_event::{self, EventFields, EventSchema, StoredEvent, SuccessorIndex};
use super::{ExpectedHeads, Witness, semantics};
use crate::chain::Hash;
use crate::journal::scan::{Chain, Stray};

/// Names every fault of a history, in the order of the versions.
pub(super) fn examine(chain: &Chain, known: &[ExpectedHeads]) -> Vec<Finding> {
    let mut slots = StoredEvent::all(chain);
    let mut walk = ForensicWalk::new(&chain.partition, known);
    walk.swaps(&mut slots);
    walk.followers = SuccessorIndex::of(&slots);
    (0..slots.len()).for_each(|at| walk.step(&slots, at));
    walk.end();
    walk.findings.extend(chain.strays.iter().map(|stray| strayed(chain, stray)));
    walk.findings.extend(semantics::examine(chain, &walk.accepted, &walk.blamed));
    walk.findings.sort_by_key(|finding| (finding.version, finding.kind));
    walk.findings
}

/// An item that is no event, at its version if that is one.
fn strayed(chain: &Chain, stray: &Stray) -> Finding {
    let version = stray.version.parse().ok();
    Finding { version, ..Finding::new(FindingKind::Malformed, &chain.partition, stray.to_string()) }
}

/// The event to be followed next.
#[derive(Debug, Clone, Copy)]
struct ExpectedPredecessor {
    version: u64,
    hash: Hash,
}

struct ForensicWalk<'a> {
    partition: &'a str,
    known: &'a [ExpectedHeads],
    before: ExpectedPredecessor,
    followers: SuccessorIndex,
    /// The distance of the events from their own versions; unknown after a fault.
    shift: Option<i128>,
    /// The hashes of the accepted events, and their versions.
    seen: BTreeMap<Hash, u64>,
    accepted: Vec<EventFields>,
    blamed: BTreeSet<u64>,
    findings: Vec<Finding>,
}

impl<'a> ForensicWalk<'a> {
    fn new(partition: &'a str, known: &'a [ExpectedHeads]) -> Self {
        let before = ExpectedPredecessor { version: 0, hash: Hash::ZERO };
        Self {
            partition,
            known,
            before,
            followers: SuccessorIndex::default(),
            shift: Some(0),
            seen: BTreeMap::from([(Hash::ZERO, 0)]),
            accepted: Vec::new(),
            blamed: BTreeSet::new(),
            findings: Vec::new(),
        }
    }

    /// Puts exchanged events back into their places, and reports them.
    fn swaps(&mut self, slots: &mut [StoredEvent]) {
        for circle in stored_event::circles(slots) {
            let names: Vec<_> = circle.iter().map(|at| slots[*at].version.to_string()).collect();
            let (version, found) = (slots[circle[0]].version, slots[circle[0]].hash);
            if stored_event::put_back(slots, &circle) {
                let says = format!("versions {} stand in each other's places", names.join(", "));
                let hashes = (Some(slots[circle[0]].hash), Some(found));
                self.tell(FindingKind::Swapped, version, hashes, &says);
            }
        }
    }

    fn step(&mut self, slots: &[StoredEvent], at: usize) {
        match &slots[at].said {
            EventSchema::Own(words) => self.own(slots, at, words),
            EventSchema::Other(words) => self.other(slots, at, words),
            EventSchema::Nothing(why) => self.nothing(slots, at, why),
        }
    }

    fn own(&mut self, slots: &[StoredEvent], at: usize, words: &EventFields) {
        let slot = &slots[at];
        let (follows, due) = (words.prev == self.before.hash, self.before.version + 1);
        if follows && words.version == due && !self.has_better(slots, at) {
            return self.follows(slot, words);
        }
        if let Some(version) = self.seen.get(&slot.hash) {
            let says = format!("this is version {version} over again");
            return self.inserted(slot, &says);
        }
        if self.is_followed_later(at) {
            return self.inserted(slot, "the events before and after it belong together");
        }
        if follows {
            let says = format!("it follows version {}, but says {}", due - 1, words.version);
            return self.edited(slots, at, Some(words), &says);
        }
        if words.version > due {
            return self.deleted(slot, words);
        }
        if let Some(version) = self.seen.get(&words.prev) {
            let says = format!("it follows version {version}, as another event does");
            return self.forked(slot, words, &says);
        }
        if words.version == due {
            return self.disagree(slots, at, words);
        }
        self.inserted(slot, "no event that is here comes before it");
    }

    /// The expected event.
    fn follows(&mut self, slot: &StoredEvent, words: &EventFields) {
        let shift = i128::from(slot.version) - i128::from(words.version);
        if self.shift.is_some_and(|before| before != shift) {
            let says = format!("it is version {} and stands at {}", words.version, slot.version);
            self.tell(FindingKind::Moved, words.version, (None, Some(slot.hash)), &says);
        }
        self.accept(words, slot.hash);
        self.shift = Some(shift);
    }

    fn inserted(&mut self, slot: &StoredEvent, says: &str) {
        self.tell(FindingKind::Inserted, slot.version, (None, Some(slot.hash)), says);
        self.shift = None;
    }

    fn forked(&mut self, slot: &StoredEvent, words: &EventFields, says: &str) {
        let hashes = (Some(self.before.hash), Some(words.prev));
        self.tell(FindingKind::Forked, slot.version, hashes, says);
        self.accept(words, slot.hash);
        self.shift = None;
    }

    fn deleted(&mut self, slot: &StoredEvent, words: &EventFields) {
        let (first, last) = (self.before.version + 1, words.version - 1);
        let says = match last - first {
            0 => format!("version {first} is missing"),
            _ => format!("versions {first} to {last} are missing"),
        };
        let hash = (first == last).then_some(words.prev);
        self.tell(FindingKind::Deleted, first, (hash, None), &says);
        self.accept(words, slot.hash);
        self.shift = None;
    }

    /// The event has the expected version, but follows another event than the previous one.
    fn disagree(&mut self, slots: &[StoredEvent], at: usize, words: &EventFields) {
        let (slot, before) = (&slots[at], self.before);
        let named = self.named(slots, at, words.version);
        let relinked = slot.hash_after(before.hash);
        let only_relinked = named.is_some_and(|named| relinked == Some(named));
        let trusted = self.known.iter().any(|known| known.is(before.version, before.hash));
        if before.version == 0 || only_relinked {
            return self.edited(slots, at, Some(words), "what it follows was changed");
        }
        if trusted && named.is_none() {
            return self.inserted(slot, "it does not follow the last event");
        }
        if !trusted {
            let hashes = (Some(words.prev), Some(before.hash));
            let says = format!("version {} was appended to another event", words.version);
            self.tell(FindingKind::Edited, before.version, hashes, &says);
        }
        self.accept(words, slot.hash);
    }

    /// An event that differs from the one appended in its place.
    fn edited(
        &mut self,
        slots: &[StoredEvent],
        at: usize,
        words: Option<&EventFields>,
        says: &str,
    ) {
        let (hash, version) = (slots[at].hash, self.before.version + 1);
        let named = self.named(slots, at, version);
        self.tell(FindingKind::Edited, version, (named, Some(hash)), says);
        // The next event is compared with this hash, or it would be reported as well.
        let named = named.unwrap_or(hash);
        match words {
            Some(words) => self.accept(&EventFields { version, ..words.clone() }, named),
            None => self.before = ExpectedPredecessor { version, hash: named },
        }
    }

    fn other(&mut self, slots: &[StoredEvent], at: usize, words: &EventFields) {
        let due = self.before.version + 1;
        let linked = words.prev == self.before.hash && words.version == due && due > 1;
        let says = format!("it says that it is version {} of {}", words.version, words.key);
        if linked {
            return self.edited(slots, at, None, &says);
        }
        let named = self.named(slots, at, due);
        let hashes = (named, Some(slots[at].hash));
        self.tell(FindingKind::Copied, slots[at].version, hashes, &says);
        self.shift = None;
        if let Some(hash) = named.filter(|_| !self.is_followed_later(at)) {
            self.before = ExpectedPredecessor { version: due, hash };
        }
    }

    fn nothing(&mut self, slots: &[StoredEvent], at: usize, why: &str) {
        let (slot, due) = (&slots[at], self.before.version + 1);
        if self.is_followed_later(at) {
            return self.inserted(slot, why);
        }
        match self.named(slots, at, due) {
            Some(named) if named != slot.hash => self.edited(slots, at, None, why),
            _ => {
                self.tell(FindingKind::Malformed, slot.version, (None, Some(slot.hash)), why);
                self.before = ExpectedPredecessor { version: due, hash: slot.hash };
            }
        }
    }

    /// Compares the end of the history with other sources.
    fn end(&mut self) {
        for known in self.known {
            let (version, hash) = (known.version, known.hash);
            let who = known.by.name();
            if version > self.before.version && self.seen.contains_key(&hash) {
                // The source has a stored event at a wrong version: the source itself is wrong.
            } else if version > self.before.version {
                let says = format!("{who} remembers version {version}");
                let first = self.before.version + 1;
                self.tell(FindingKind::Truncated, first, (Some(hash), None), &says);
            } else if !self.seen_at(version, hash) && !self.blamed.contains(&version) {
                self.remembered_otherwise(known, who);
            }
        }
    }

    fn remembered_otherwise(&mut self, known: &ExpectedHeads, who: &str) {
        let words = self.accepted.iter().find(|words| words.version == known.version);
        let found = words.map(|words| words.hash);
        let says = format!("{who} remembers another event");
        let last = known.version == self.before.version;
        let kind = match known.by {
            // One of the two was changed. There is no proof which.
            _ if last => FindingKind::Edited,
            Witness::Checkpoint => FindingKind::Rewritten,
            // The event's neighbours confirm it: the row was changed.
            Witness::Row => return,
        };
        self.tell(kind, known.version, (Some(known.hash), found), &says);
    }

    fn seen_at(&self, version: u64, hash: Hash) -> bool {
        self.seen.get(&hash) == Some(&version)
    }

    /// The hash of the event at `version`, stored at `at`, as another source expects it.
    fn named(&self, slots: &[StoredEvent], at: usize, version: u64) -> Option<Hash> {
        let next = slots.get(at + 1).and_then(StoredEvent::own);
        let next = next.filter(|next| next.version == version + 1).map(|next| next.prev);
        let known = self.known.iter().find(|known| known.version == version);
        next.or(known.map(|known| known.hash))
    }

    /// Whether a later event follows the event before `at`, so that the one at `at` does not
    /// belong.
    fn is_followed_later(&self, at: usize) -> bool {
        let ExpectedPredecessor { version, hash } = self.before;
        self.followers.are_beyond(at, hash, version + 1)
    }

    /// Whether a later event follows the same one, and none follows the one at `at`.
    fn has_better(&self, slots: &[StoredEvent], at: usize) -> bool {
        self.is_followed_later(at) && !self.followers.any_beyond(at, slots[at].hash)
    }

    fn accept(&mut self, words: &EventFields, hash: Hash) {
        self.before = ExpectedPredecessor { version: words.version, hash };
        self.seen.insert(hash, words.version);
        self.accepted.push(words.clone());
    }

    fn tell(
        &mut self,
        kind: FindingKind,
        version: u64,
        hashes: (Option<Hash>, Option<Hash>),
        says: &str,
    ) {
        let finding = Finding::new(kind, self.partition, says).at(version);
        self.findings.push(finding.hashes(hashes.0, hashes.1));
        self.blamed.insert(version);
    }
}

impl ExpectedHeads {
    fn is(&self, version: u64, hash: Hash) -> bool {
        self.version == version && self.hash == hash
    }
}
