//! Given a history, when it is altered, then each fault has its name.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::stored_event::{self, StoredEvent, SuccessorIndex};
use super::*;
use crate::asset::{Declaration, Event};
use crate::id::{AssetId, Key, Tenant};
use crate::journal::scan::Stray;
use crate::objects::ObjectVersion;
use crate::record::{Cause, CommandId, EventRecord, EventSource, StoredLine};

/// A history of six events, and the changes to it.
struct Given {
    chain: Chain,
    known: Vec<ExpectedHeads>,
}

fn key(nth: u128) -> Key {
    Key { tenant: Tenant::default(), asset: AssetId::new(DateTime::UNIX_EPOCH, nth) }
}

/// The history of the `nth` asset, with `count` events.
fn lines(nth: u128, count: u64) -> Vec<StoredLine> {
    let mut lines: Vec<StoredLine> = Vec::new();
    for version in 1..=count {
        let prev = lines.last().map_or(Hash::ZERO, StoredLine::hash);
        lines.push(record(nth, version, prev).line().unwrap());
    }
    lines
}

fn record(nth: u128, version: u64, prev: Hash) -> EventRecord {
    let event = match version {
        1 => Event::Created(Declaration::plain()),
        2 => Event::Received(ObjectVersion {
            version_id: "v1".into(),
            size: 5,
            sha256: None,
            etag: "e".into(),
        }),
        3 => Event::Uploaded,
        even if even % 2 == 0 => Event::SoftDeleted { reason: Some(format!("reason {even}")) },
        _ => Event::Restored,
    };
    let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(version.cast_signed());
    let command = CommandId::fresh(nth * 1000 + u128::from(version));
    let cause = Cause {
        actor: "anonymous".into(),
        source: EventSource::Api,
        request: format!("r{version}"),
        command,
    };
    EventRecord { key: key(nth), version, event, cause, at, prev }
}

fn given() -> Given {
    let chain = Chain { partition: key(1).partition(), lines: lines(1, 6), strays: Vec::new() };
    Given { chain, known: Vec::new() }
}

impl Given {
    fn line(&mut self, version: u64) -> &mut StoredLine {
        self.chain.lines.iter_mut().find(|line| line.version == version).unwrap()
    }

    fn hash(&self, version: u64) -> Hash {
        self.chain.lines.iter().find(|line| line.version == version).unwrap().hash()
    }

    /// Changes only the actor.
    fn edit(mut self, version: u64) -> Self {
        let line = self.line(version);
        line.body = line.body.replace("anonymous", "mallory");
        self
    }

    /// Links the event to the one before it.
    fn relink(mut self, version: u64) -> Self {
        let prev = self.hash(version - 1);
        let line = self.line(version);
        // The last field: 64 digits, a quote and a brace.
        line.body.truncate(line.body.len() - 66);
        line.body = format!("{}{prev}\"}}", line.body);
        self
    }

    fn rewrite(&mut self, version: u64, change: impl Fn(&mut EventRecord)) {
        let line = self.line(version);
        let mut record = EventRecord::read(&line.body).unwrap();
        change(&mut record);
        line.body = record.line().unwrap().body;
    }

    fn with(mut self, version: u64, change: impl Fn(&mut EventRecord)) -> Self {
        self.rewrite(version, change);
        self
    }

    fn delete(mut self, version: u64) -> Self {
        self.chain.lines.retain(|line| line.version != version);
        self
    }

    fn swap(mut self, one: u64, two: u64) -> Self {
        let bodies = [self.line(two).body.clone(), self.line(one).body.clone()];
        [self.line(one).body, self.line(two).body] = bodies;
        self
    }

    /// Stores a line at `version`, and moves the lines from there on by one.
    fn insert(mut self, version: u64, body: String) -> Self {
        for line in self.chain.lines.iter_mut().filter(|line| line.version >= version) {
            line.version += 1;
        }
        self.append(version, body)
    }

    fn append(mut self, version: u64, body: String) -> Self {
        self.chain.lines.push(StoredLine { version, body });
        self
    }

    /// Moves every line from `version` on back by one.
    fn close_up(mut self, version: u64) -> Self {
        for line in self.chain.lines.iter_mut().filter(|line| line.version >= version) {
            line.version -= 1;
        }
        self
    }

    fn body(mut self, version: u64, body: impl Into<String>) -> Self {
        self.line(version).body = body.into();
        self
    }

    fn remembers(mut self, by: Witness, version: u64) -> Self {
        let hash = lines(1, version)[usize::try_from(version).unwrap() - 1].hash();
        self.known.push(ExpectedHeads { version, hash, by });
        self
    }

    fn row(self, version: u64) -> Self {
        self.remembers(Witness::Row, version)
    }

    fn checkpoint(self, version: u64) -> Self {
        self.remembers(Witness::Checkpoint, version)
    }

    #[track_caller]
    fn then(self, expected: &[(u64, &str)]) {
        let examined = examine_with(&self.chain, &self.known);
        let found: Vec<_> = examined
            .findings
            .iter()
            .map(|finding| (finding.version.unwrap_or(0), finding.kind.name()))
            .collect();
        assert_eq!(found, expected, "{:#?}", examined.findings);
    }
}

/// An event that follows `prev` and states `version`.
fn forged(version: u64, prev: Hash) -> String {
    let mut record = record(1, version, prev);
    record.cause.actor = "mallory".into();
    record.cause.command = CommandId::fresh(u128::MAX - u128::from(version));
    record.line().unwrap().body
}

#[test]
fn nothing_happened() {
    given().then(&[]);
    given().row(6).checkpoint(4).then(&[]);
    given().row(4).then(&[]); // a stale row is no fault of the history
}

#[test]
fn an_event_was_edited() {
    for version in 1..6 {
        given().edit(version).then(&[(version, "edited")]);
        given().with(version, |record| record.prev = Hash::of(b"x")).then(&[(version, "edited")]);
        given().with(version, |record| record.version += 40).then(&[(version, "edited")]);
        given().body(version, "{}").then(&[(version, "edited")]);
        given().body(version, "not even JSON").then(&[(version, "edited")]);
    }
    given().edit(2).edit(4).then(&[(2, "edited"), (4, "edited")]);
    given().edit(2).edit(3).then(&[(2, "edited"), (3, "edited")]);
    given().edit(2).relink(3).then(&[(3, "edited")]);
    given().edit(2).relink(3).relink(4).then(&[(4, "edited")]);
    given().with(3, |record| record.key = key(2)).then(&[(3, "edited")]);
}

#[test]
fn the_last_event_was_edited() {
    given().edit(6).then(&[]);
    given().edit(6).row(6).then(&[(6, "edited")]);
    given().edit(6).checkpoint(6).then(&[(6, "edited")]);
    given().edit(5).relink(6).row(6).then(&[(6, "edited")]);
    given().with(6, |record| record.prev = Hash::of(b"x")).row(6).then(&[(6, "edited")]);
    given().body(6, "{}").then(&[(6, "malformed")]);
    given().body(6, "{}").row(6).then(&[(6, "edited")]);
}

#[test]
fn an_edit_tells_both_hashes() {
    let whole = given();
    let (was, is) = (whole.hash(3), given().edit(3).hash(3));
    let finding = examine(&whole.edit(3).chain).remove(0);
    assert_eq!((finding.expected, finding.found), (Some(was), Some(is)));
    assert_eq!(finding.asset, key(1).partition());
}

#[test]
fn events_were_deleted() {
    for version in 1..6 {
        given().delete(version).then(&[(version, "deleted")]);
        given().delete(version).close_up(version + 1).then(&[(version, "deleted")]);
    }
    given().delete(2).delete(3).delete(5).then(&[(2, "deleted"), (5, "deleted")]);
    let finding = examine(&given().delete(3).chain).remove(0);
    assert_eq!((finding.expected, finding.found), (Some(given().hash(3)), None));
}

#[test]
fn the_last_events_were_deleted() {
    given().delete(6).then(&[]);
    given().delete(6).row(6).then(&[(6, "truncated")]);
    given().delete(6).delete(5).row(6).checkpoint(5).then(&[(5, "truncated"), (5, "truncated")]);
}

#[test]
fn an_event_was_inserted() {
    let one = given().hash(1);
    given().insert(2, forged(2, one)).then(&[(2, "inserted")]);
    given().insert(2, forged(9, Hash::of(b"x"))).then(&[(2, "inserted")]);
    given().insert(4, "{}".into()).then(&[(4, "inserted")]);
    let again = given().line(3).body.clone();
    given().insert(4, again.clone()).then(&[(4, "inserted")]);
    given().append(7, again).then(&[(7, "inserted")]);
    given().append(7, forged(2, Hash::of(b"x"))).then(&[(7, "inserted")]);
    given().append(7, forged(7, Hash::of(b"x"))).row(6).then(&[(7, "inserted")]);
}

#[test]
fn events_were_swapped() {
    given().swap(2, 3).then(&[(2, "swapped")]);
    given().swap(1, 6).then(&[(1, "swapped")]);
    given().swap(1, 6).swap(3, 4).then(&[(1, "swapped"), (3, "swapped")]);
    given().swap(2, 3).swap(3, 5).then(&[(2, "swapped")]);
    given().swap(2, 3).edit(5).then(&[(2, "swapped"), (5, "edited")]);
}

#[test]
fn an_event_was_moved() {
    let mut moved = given();
    moved.line(6).version = 9;
    moved.then(&[(6, "moved")]);
}

#[test]
fn a_history_was_forked() {
    let (three, five) = (given().hash(3), given().hash(5));
    given().append(7, forged(4, three)).then(&[(7, "forked")]);
    given().append(7, forged(7, five)).then(&[(7, "forked")]);
    let branch = forged(4, three);
    let next = forged(5, Hash::of(branch.as_bytes()));
    given().append(7, branch.clone()).append(8, next).then(&[(7, "forked")]);
    // Two of one version: only a file can hold them.
    given().append(4, branch).then(&[(4, "inserted")]);
}

#[test]
fn an_event_was_copied_from_another_asset() {
    let other = lines(2, 9);
    for version in 1..=6_usize {
        let stolen = other[version - 1].body.clone();
        given().body(version as u64, stolen).row(6).then(&[(version as u64, "copied")]);
    }
    given().append(7, other[6].body.clone()).then(&[(7, "copied")]);
    given().insert(3, other[2].body.clone()).then(&[(3, "copied")]);
}

#[test]
fn a_history_was_rewritten() {
    let rewritten = || (3..=6).fold(given().edit(2), Given::relink);
    rewritten().then(&[]);
    rewritten().row(6).then(&[(6, "edited")]);
    rewritten().checkpoint(4).then(&[(4, "rewritten")]);
    rewritten().checkpoint(1).then(&[]);
}

#[test]
fn a_newer_program_was_here() {
    let newer = |mut given: Given, version: u64| {
        let line = given.line(version);
        line.body = line.body.replace(r#""type":""#, r#""type":"new_"#);
        (version + 1..=6).fold(given, Given::relink)
    };
    newer(given(), 6).then(&[(6, "unknown-type")]);
    newer(newer(given(), 5), 3).then(&[(3, "unknown-type"), (5, "unknown-type")]);
    newer(given(), 3).edit(4).then(&[(3, "unknown-type"), (4, "edited")]);
    let mut edited = given();
    edited.line(3).body = edited.line(3).body.replace("uploaded", "uqloaded");
    edited.then(&[(3, "edited")]);
}

#[test]
fn what_is_no_event_was_written_as_if_it_were_one() {
    let body = "{}";
    let mut odd = given().body(3, body);
    odd.rewrite(4, |record| record.prev = Hash::of(body.as_bytes()));
    odd.relink(5).relink(6).then(&[(3, "malformed")]);
    let mut stray = given();
    let (version, why) = ("1.5".to_owned(), "its version is not whole".to_owned());
    stray.chain.strays.push(Stray { version, why });
    stray.then(&[(0, "malformed")]);
    let mut placed = given().delete(3);
    let why = "it is not UTF-8".to_owned();
    placed.chain.strays.push(Stray { version: "3".to_owned(), why });
    placed.then(&[(3, "deleted"), (3, "malformed")]);
    let mut nobodys = given();
    nobodys.chain.partition = "main#readme.txt".to_owned();
    nobodys.then(&[(0, "malformed")]);
}

#[test]
fn sound_links_between_events_that_cannot_be() {
    let relinked = |given: Given, from: u64| (from..=6).fold(given, Given::relink);
    let early = |record: &mut EventRecord| record.at = DateTime::UNIX_EPOCH;
    relinked(given().with(4, early), 5).then(&[(4, "not-later")]);
    let again = |record: &mut EventRecord| record.cause.command = CommandId::fresh(1002);
    relinked(given().with(5, again), 6).then(&[(5, "command-twice")]);
    let created = |record: &mut EventRecord| record.event = Event::Created(Declaration::plain());
    relinked(given().with(4, created), 5).then(&[(4, "impossible")]);
    let begun = |record: &mut EventRecord| record.event = Event::Uploaded;
    relinked(given().with(1, begun), 2).then(&[(1, "impossible")]);
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> =
        FindingKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), FindingKind::ALL.len());
    let finding = Finding::new(FindingKind::RowAltered, "main#1", "why").at(3);
    let json = serde_json::to_value(&finding).unwrap();
    assert_eq!((&json["kind"], &json["version"]), (&"row-altered".into(), &3.into()));
}

#[test]
fn auditors_are_told_of_every_kind() {
    let page = include_str!("../../../docs/AUDIT.md");
    for kind in FindingKind::ALL {
        assert!(page.contains(&format!("`{kind}`")), "docs/AUDIT.md does not name {kind}");
    }
}

/// [`slot::circles`] without its one pass: by a walk from every place.
fn circles_by_walking(slots: &[StoredEvent]) -> Vec<Vec<usize>> {
    let last_at = |version| slots.iter().rposition(|slot| slot.version == version);
    let next = |at: usize| slots[at].own().and_then(|words| last_at(words.version));
    let circle = |first: usize| {
        let ways = std::iter::successors(next(first), |at| next(*at)).take(slots.len());
        let way: Vec<_> = ways.take_while(|at| *at != first).collect();
        let closes = way.last().map_or(next(first), |at| next(*at)) == Some(first);
        (closes && !way.is_empty()).then(|| [vec![first], way].concat())
    };
    let circles = (0..slots.len()).filter_map(circle);
    circles.filter(|circle| circle.iter().min() == circle.first()).collect()
}

fn names(chain: &Chain, known: &[ExpectedHeads]) -> Vec<&'static str> {
    examine_with(chain, known).findings.iter().map(|finding| finding.kind.name()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_untouched_history_has_no_findings(nth: u64, count in 1..40_u64, row in 1..40_u64) {
        let nth = u128::from(nth);
        let chain = Chain {
            partition: key(nth).partition(),
            lines: lines(nth, count),
            strays: Vec::new(),
        };
        let row = row.min(count);
        let hash = chain.lines[usize::try_from(row).unwrap() - 1].hash();
        let known = ExpectedHeads { version: row, hash, by: Witness::Row };
        let examined = examine_with(&chain, &[known]);
        prop_assert_eq!(examined.findings, []);
        prop_assert_eq!(examined.history.unwrap().asset().version, count);
    }

    #[test]
    fn a_command_that_comes_again_is_found_however_long_the_history(
        one in 1..120_u64,
        gap in 1..120_u64,
    ) {
        let (two, mut given) = (one + gap, given());
        given.chain.lines = lines(1, two);
        let command = CommandId::fresh(1000 + u128::from(one));
        given.rewrite(two, |record| record.cause.command = command.clone());
        let broken = History::read(&key(1), given.chain.lines.clone()).unwrap_err();
        prop_assert_eq!(broken.version, two);
        prop_assert!(matches!(broken.fault, HistoryFault::Twice(at) if at == one), "{}", broken);
        let last = given.chain.lines.pop().unwrap();
        let record = EventRecord::read(&last.body).unwrap();
        let history = History::read(&key(1), given.chain.lines).unwrap();
        let broken = History::recorded(history, record, last);
        prop_assert!(matches!(broken.unwrap_err().fault, HistoryFault::Twice(at) if at == one));
    }

    #[test]
    fn places_and_followers_are_found_as_by_looking_at_each(
        says in prop::collection::vec((0..12_u64, 0..5_u8), 0..12),
        hash in 0..5_u8,
        version in 0..12_u64,
    ) {
        let hashes: Vec<_> = (0..5_u8).map(|byte| Hash::of(&[byte])).collect();
        let (mut chain, places) = (given().chain, says.len());
        chain.lines = (1..).zip(&says).map(|(place, (version, prev))| StoredLine {
            version: place,
            body: record(1, *version, hashes[usize::from(*prev)]).line().unwrap().body,
        }).collect();
        let slots = StoredEvent::all(&chain);
        prop_assert_eq!(stored_event::circles(&slots), circles_by_walking(&slots));
        let (followers, hash) = (SuccessorIndex::of(&slots), hashes[usize::from(hash)]);
        for at in 0..places {
            let own = || slots[at + 1..].iter().filter_map(StoredEvent::own);
            let later = || own().filter(|it| it.prev == hash);
            prop_assert_eq!(followers.any_beyond(at, hash), later().next().is_some());
            let any = later().any(|it| it.version == version);
            prop_assert_eq!(followers.are_beyond(at, hash, version), any);
        }
    }

    #[test]
    fn one_changed_byte_anywhere_is_named(version in 1..=6_u64, place: usize, byte in 0..128_u8) {
        let mut given = given().row(6);
        let line = given.line(version);
        let mut bytes = line.body.clone().into_bytes();
        let place = place % bytes.len();
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        line.body = String::from_utf8(bytes).unwrap();
        let found = examine_with(&given.chain, &given.known).findings;
        prop_assert_eq!(found.len(), 1, "{:?}", found);
        let kind = found[0].kind;
        // A first event with another asset's name may be a copy or an edit.
        let named = kind == FindingKind::Edited || (version == 1 && kind == FindingKind::Copied);
        prop_assert!(named, "{:?}", found);
        prop_assert_eq!(found[0].version, Some(version));
    }

    #[test]
    fn one_deletion_insertion_or_swap_is_named(one in 1..=6_u64, two in 1..=6_u64, x: u64) {
        let deleted = given().row(6).delete(one);
        let name = if one == 6 { "truncated" } else { "deleted" };
        prop_assert_eq!(names(&deleted.chain, &deleted.known), [name]);
        prop_assume!(one != two);
        let swapped = given().row(6).swap(one, two);
        prop_assert_eq!(names(&swapped.chain, &swapped.known), ["swapped"]);
        let inserted = given().row(6).insert(one, forged(two, Hash::of(&x.to_be_bytes())));
        prop_assert_eq!(names(&inserted.chain, &inserted.known), ["inserted"]);
    }

    #[test]
    fn whatever_is_done_is_found_if_reading_finds_it(
        deeds in prop::collection::vec((0..6_u8, 1..=6_u64, 1..=6_u64), 1..6),
    ) {
        let mut given = given();
        for (deed, one, two) in deeds {
            let there = |version| given.chain.lines.iter().any(|line| line.version == version);
            if !(there(one) && there(two)) {
                continue;
            }
            given = match deed {
                0 => given.edit(one),
                1 => given.delete(one),
                2 => given.swap(one, two),
                3 => given.insert(one, forged(two, Hash::ZERO)),
                4 => given.body(one, "{}"),
                _ => given.body(one, lines(2, two).pop().unwrap().body),
            };
        }
        given.chain.lines.sort_by_key(|line| line.version);
        let read = History::read(&key(1), given.chain.lines.clone());
        prop_assert_eq!(read.is_err(), !examine(&given.chain).is_empty());
    }
}
