//! Each kind of tampering, on a separate asset, and its name.

use chrono::TimeDelta;
use ledger::asset::Event;
use ledger::chain::Hash;
use ledger::id::Key;
use ledger::record::{CommandId, EventRecord, StoredLine};
use projections::row::Row;
use projections::testing::{Clock, Story};
use projections::views::Parked;
use serde_json::{Value, json};

use crate::store::{dynamodb, sqlite};
use crate::{TamperFixture, findings};

/// Kinds of findings, and their versions.
type Names = &'static [(&'static str, u64)];

/// The tampering with the `nth` asset, and the expected findings and versions.
struct Case {
    what: String,
    story: Story,
    deed: Deed,
    expected: Names,
}

enum Deed {
    /// These events are written unchanged; later versions are erased.
    Journal(Vec<StoredLine>),
    Attribute(&'static str, Value),
    DropRow,
    /// The row shows an earlier version.
    RowOf(u64),
    /// The row shows these lines.
    Both(Vec<StoredLine>),
    /// No events and no row.
    Nothing,
    /// Only a row.
    OnlyRow,
    /// It was parked and not repaired.
    Park,
}

/// Five events: created, received, uploaded, deleted, restored.
fn story(nth: u32) -> Story {
    Story::begin("main", nth).received().uploaded().deleted().then(Event::Restored)
}

#[derive(Clone)]
struct Lines(Vec<StoredLine>);

impl Lines {
    fn edit(mut self, version: usize) -> Self {
        let body = &mut self.0[version - 1].body;
        *body = body.replace("anonymous", "mallory");
        self
    }

    fn relink(mut self, version: usize) -> Self {
        let prev = self.0[version - 2].hash();
        let mut record = EventRecord::read(&self.0[version - 1].body).unwrap();
        record.prev = prev;
        self.0[version - 1].body = record.line().unwrap().body;
        self
    }

    fn delete(mut self, version: u64) -> Self {
        self.0.retain(|line| line.version != version);
        self
    }

    fn swap(mut self, one: usize, two: usize) -> Self {
        let bodies = [self.0[two - 1].body.clone(), self.0[one - 1].body.clone()];
        [self.0[one - 1].body, self.0[two - 1].body] = bodies;
        self
    }

    fn insert(mut self, version: u64, body: String) -> Self {
        for line in self.0.iter_mut().filter(|line| line.version >= version) {
            line.version += 1;
        }
        self.0.push(StoredLine { version, body });
        self
    }

    fn replace(mut self, version: usize, body: &str) -> Self {
        body.clone_into(&mut self.0[version - 1].body);
        self
    }

    /// A change of the `version`th event, by an attacker who knows the stored form.
    fn forge(&self, version: usize, prev: Hash) -> String {
        let mut record = EventRecord::read(&self.0[version - 1].body).unwrap();
        record.cause.actor = "mallory".into();
        record.cause.command = CommandId::fresh(u128::MAX);
        record.at += TimeDelta::microseconds(1);
        record.prev = prev;
        record.line().unwrap().body
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    journal_cases(&mut cases);
    row_cases(&mut cases);
    cases
}

type Change = fn(Lines, &Story) -> Lines;
type Told = (&'static str, Change, Names);

fn journal_cases(cases: &mut Vec<Case>) {
    let table: [Told; 19] = [
        ("edit a body", |l, _| l.edit(2), &[("edited", 2)]),
        ("edit the first body", |l, _| l.edit(1), &[("edited", 1)]),
        ("edit a body and the next prev", |l, _| l.edit(2).relink(3), &[("edited", 3)]),
        ("edit two bodies", |l, _| l.edit(2).edit(4), &[("edited", 2), ("edited", 4)]),
        ("edit the last body", |l, _| l.edit(5), &[("edited", 5)]),
        ("edit to what is no event", |l, _| l.replace(3, "{}"), &[("edited", 3)]),
        ("rewrite all from one on", |l, _| l.edit(3).relink(4).relink(5), &[("edited", 5)]),
        ("delete the first", |l, _| l.delete(1), &[("deleted", 1)]),
        ("delete a middle one", |l, _| l.delete(3), &[("deleted", 3)]),
        ("delete two apart", |l, _| l.delete(2).delete(4), &[("deleted", 2), ("deleted", 4)]),
        ("delete the tail", |l, _| l.delete(5), &[("truncated", 5)]),
        ("delete a longer tail", |l, _| l.delete(5).delete(4), &[("truncated", 4)]),
        (
            "insert",
            |l, story| {
                let forged = l.forge(3, story.lines[1].hash());
                l.insert(3, forged)
            },
            &[("inserted", 3)],
        ),
        ("swap two", |l, _| l.swap(2, 3), &[("swapped", 2)]),
        (
            "fork",
            |l, story| {
                let forged = l.forge(4, story.lines[2].hash());
                l.insert(6, forged)
            },
            &[("forked", 6)],
        ),
        (
            "copy another asset's event",
            |l, _| l.replace(3, &story(9_999).lines[2].body),
            &[("copied", 3)],
        ),
        (
            "append an event of a newer program",
            |l, story| {
                let forged = l.forge(5, story.lines[4].hash()).replace("restored", "archived");
                l.insert(6, forged.replace("\"version\":5", "\"version\":6"))
            },
            &[("unknown-type", 6)],
        ),
        (
            "append an event from a source that a newer program knows",
            |l, story| {
                let forged = l.forge(5, story.lines[4].hash());
                let forged = forged.replace("\"source\":\"api\"", "\"source\":\"mail\"");
                l.insert(6, forged.replace("\"version\":5", "\"version\":6"))
            },
            &[("row-stale", 6)],
        ),
        (
            "append what is no event",
            |l, _| l.insert(6, "{\"type\":\"created\"}".to_owned()),
            &[("malformed", 6)],
        ),
    ];
    for (what, change, expected) in table {
        let story = story(u32::try_from(cases.len()).unwrap());
        let Lines(lines) = change(Lines(story.lines.clone()), &story);
        cases.push(Case { what: what.to_owned(), story, deed: Deed::Journal(lines), expected });
    }
}

fn row_cases(cases: &mut Vec<Case>) {
    const ALTERED: Names = &[("row-altered", 5)];
    let mut add = |what: &str, purged: bool, deed, expected| {
        let nth = u32::try_from(cases.len()).unwrap();
        let story = if purged { story(nth).deleted().purged() } else { story(nth) };
        cases.push(Case { what: what.to_owned(), story, deed, expected });
    };
    for attribute in Row::ATTRIBUTES {
        let (value, expected) = other(attribute, ALTERED);
        add(
            &format!("alter a row's {attribute}"),
            false,
            Deed::Attribute(attribute, value),
            expected,
        );
    }
    add("claim a later version", false, Deed::Attribute("version", json!(9)), ALTERED);
    add("delete a row", false, Deed::DropRow, &[("row-missing", 5)]);
    add("put an old row back", false, Deed::RowOf(3), &[("row-stale", 5)]);
    add("resurrect a purged row", true, Deed::RowOf(3), &[("row-altered", 8)]);
    add("delete a tombstone", true, Deed::DropRow, &[("row-missing", 8)]);
    add(
        "bury a tombstone for ever",
        true,
        Deed::Attribute("expires_at", json!(1)),
        &[("row-altered", 8)],
    );
    add("delete a history", false, Deed::Journal(Vec::new()), &[("row-orphaned", 5)]);
    add("forget what was set aside", false, Deed::Park, &[("parked", 5), ("row-stale", 5)]);
    add("plant a row", false, Deed::OnlyRow, &[("row-orphaned", 5)]);
}

/// Another value for an attribute.
fn other(attribute: &str, altered: Names) -> (Value, Names) {
    let value = match attribute {
        "version" => json!(4),
        // The row contradicts the last event: one of them was changed.
        "head" => return (json!(Hash::of(b"x").to_string()), &[("edited", 5)]),
        "state" => json!("DELETED"),
        "confirmed" => json!(false),
        "created_at" | "updated_at" => json!("2020-01-01T00:00:00.000000Z"),
        "upload" => json!("declared"),
        "declared_size" | "expires_at" | "size" => json!(7),
        "tags" => json!("{\"a\":\"b\"}"),
        _ => json!("other"),
    };
    (value, altered)
}

/// Changes that only a checkpoint can detect, not `verify`.
fn silent_cases() -> Vec<Case> {
    let case = |nth, what: &str, deed: fn(&Story) -> Deed| {
        let story = story(nth);
        let deed = deed(&story);
        Case { what: what.to_owned(), story, deed, expected: &[] }
    };
    vec![
        case(1001, "a tail and its row deleted together", |story| {
            Deed::Both(Lines(story.lines.clone()).delete(5).0)
        }),
        case(1002, "a tail and its row edited together", |story| {
            Deed::Both(Lines(story.lines.clone()).edit(5).0)
        }),
        case(1003, "an asset removed with its row", |_| Deed::Nothing),
        case(1004, "a whole history rewritten consistently", |story| {
            let lines = Lines(story.lines.clone()).edit(1);
            Deed::Both((2..=5).fold(lines, Lines::relink).0)
        }),
    ]
}

impl TamperFixture {
    async fn commit(&self, case: &Case) {
        let key = &case.story.key;
        match &case.deed {
            Deed::Journal(lines) => self.rewrite(&case.story, lines).await,
            Deed::Attribute(attribute, value) => self.alter(key, attribute, value).await,
            Deed::DropRow => self.drop_row(key).await,
            Deed::RowOf(version) => self.force_row(&case.story.at(*version)).await,
            Deed::Both(lines) => {
                self.rewrite(&case.story, lines).await;
                let mut story = case.story.clone();
                story.lines.clone_from(lines);
                self.force_row(&story.asset()).await;
            }
            Deed::Nothing => {
                self.rewrite(&case.story, &[]).await;
                self.drop_row(key).await;
            }
            Deed::Park => self.park(case).await,
            Deed::OnlyRow => self.rewrite(&case.story, &[]).await,
        }
    }

    /// A projection that failed: the row is stale, and the asset was parked.
    async fn park(&self, Case { story, .. }: &Case) {
        self.force_row(&story.at(4)).await;
        let (key, version, error) = (story.key.clone(), 5, "it could not be read".to_owned());
        let (at, contradicted) = (Clock::default().0, false);
        let parked = Parked { key, version, error, at, contradicted };
        let current = self.views.generations().await.unwrap().current;
        self.views.rows(current).park(&parked).await.unwrap();
    }

    /// Replaces the history with these lines.
    async fn rewrite(&self, story: &Story, lines: &[StoredLine]) {
        for line in lines {
            self.write(&story.key, line.version, &line.body).await;
        }
        for line in &story.lines {
            if !lines.iter().any(|other| other.version == line.version) {
                self.erase(&story.key, line.version).await;
            }
        }
    }
}

/// Findings after rows were repaired: those of the journal remain.
async fn rows_are_mended_and_the_journal_is_not(
    world: &TamperFixture,
    cases: &[Case],
    store: &str,
) {
    let mut audit = world.audit();
    audit.repair = true;
    let (mended, _) = findings(&audit).await;
    let rows = |name: &str| name.starts_with("row-") || name == "parked";
    for finding in &mended {
        assert_eq!(finding.repair.is_some(), rows(finding.kind.name()), "{store}: {finding:?}");
    }
    let left: Vec<_> = world.findings().await.iter().map(|f| (f.asset.clone(), f.kind)).collect();
    let journal = cases.iter().flat_map(|case| case.expected.iter().map(move |e| (case, e.0)));
    // A row without events may be the last trace of an asset.
    let mended = |name: &str| rows(name) && name != "row-orphaned";
    let expected = journal.filter(|(_, name)| !mended(name)).count();
    assert_eq!(left.len(), expected, "{store}: {left:?}");
    assert!(left.iter().all(|(_, kind)| !mended(kind.name())), "{store}: {left:?}");
}

/// Commits all cases, each on a separate asset, and audits once.
async fn every_deed_has_its_name(world: TamperFixture, store: &str) {
    let (cases, silent) = (cases(), silent_cases());
    let untouched: Vec<_> = (2001..2021).map(story).collect();
    for story in cases.iter().chain(&silent).map(|case| &case.story).chain(&untouched) {
        world.keep(story).await;
    }
    assert_eq!(world.findings().await, [], "before anything was done");
    for case in cases.iter().chain(&silent) {
        world.commit(case).await;
    }
    let (found, _) = findings(&world.audit()).await;
    let named = |key: &Key| {
        let partition = key.partition();
        let of = found.iter().filter(|finding| finding.asset == partition);
        let mut names: Vec<_> = of.map(|f| (f.kind.name(), f.version.unwrap_or(0))).collect();
        names.sort_by_key(|(name, version)| (*version, *name));
        names
    };
    let mut detected = 0;
    for case in &cases {
        assert_eq!(named(&case.story.key), case.expected, "{store}: {}", case.what);
        detected += 1;
    }
    for case in &silent {
        let none: [(&str, u64); 0] = [];
        assert_eq!(named(&case.story.key), none, "{store}: {}", case.what);
    }
    let told: usize = cases.iter().map(|case| case.expected.len()).sum();
    assert_eq!(found.len(), told, "{store}: nothing is said of untouched assets");
    let (of, silent) = (cases.len(), silent.len());
    rows_are_mended_and_the_journal_is_not(&world, &cases, store).await;
    println!("{store}: detected {detected} of {of}; {silent} only a checkpoint can show");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_sqlite_every_deed_has_its_name() {
    every_deed_has_its_name(sqlite().await, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_dynamodb_every_deed_has_its_name() {
    every_deed_has_its_name(dynamodb().await, "dynamodb").await;
}

/// Items of no ledger are reported once, beside other assets.
async fn oddities_are_told(world: TamperFixture, odd: &Story) {
    let other = story(2);
    world.keep(&other).await;
    let found = world.findings().await;
    let told: Vec<_> = found.iter().map(|f| (f.kind.name(), f.asset.as_str())).collect();
    assert_eq!(told, [("malformed", odd.key.partition().as_str())], "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_sqlite_oddities_are_told() {
    let (world, odd) = (sqlite().await, story(1));
    world.keep(&odd).await;
    world.write_odd(&odd.key, "-1").await;
    oddities_are_told(world, &odd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_dynamodb_oddities_are_told() {
    let (world, odd) = (dynamodb().await, story(1));
    world.keep(&odd).await;
    world.write_odd(&odd.key, "2.5").await;
    oddities_are_told(world, &odd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_dynamodb_a_row_where_nobody_looks_for_it_is_told_and_taken_away() {
    let (world, story) = (dynamodb().await, story(1));
    world.keep(&story).await;
    world.misplace_row(&story.key).await;
    let mut audit = world.audit();
    audit.repair = true;
    let (found, _) = findings(&audit).await;
    let told: Vec<_> = found.iter().map(|f| (f.kind.name(), f.repair.is_some())).collect();
    assert_eq!(told, [("row-orphaned", true)]);
    assert_eq!(world.findings().await, []);
}
