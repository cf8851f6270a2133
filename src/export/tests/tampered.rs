//! A change in an export is found, and its place is reported.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use ledger::audit::FindingKind;
use ledger::testing::MemoryJournal;

use super::super::*;
use super::world::{
    ASSETS, Ledger, Place, chain, every_flipped_bit_is_located, findings, found_in, key, lines,
};

/// Its name, the kind of finding, the line, and the change.
type Case = (&'static str, FindingKind, &'static str, fn(&mut Vec<String>));

fn edit(file: &Path, change: impl Fn(&mut Vec<String>)) {
    let text = fs::read_to_string(file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(file, lines.join("\n") + "\n").unwrap();
}

#[tokio::test]
async fn what_was_done_to_the_events_has_its_name_and_its_line() {
    let place = Place::new();
    let export = place.exported().await;
    let events = export.join("events/000001.jsonl");
    let whole = fs::read_to_string(&events).unwrap();
    // The fifth asset has six events, the first in line 15.
    let cases: [Case; 7] = [
        ("edited", FindingKind::Edited, ":17:", |l| l[16] = l[16].replace("bob", "eve")),
        ("deleted", FindingKind::Deleted, ":16:", |l| drop(l.remove(15))),
        ("inserted", FindingKind::Inserted, ":18:", |l| l.insert(17, l[15].clone())),
        ("swapped", FindingKind::Swapped, ":16:", |l| l.swap(15, 16)),
        ("tail", FindingKind::Truncated, ":", |l| drop(l.remove(19))),
        ("asset", FindingKind::Removed, "", |l| drop(l.drain(14..20))),
        ("garbage", FindingKind::Malformed, ":15:", |l| l[14] = "no event".to_owned()),
    ];
    for (name, kind, line, change) in cases {
        edit(&events, change);
        let found = findings(&export).unwrap();
        let named = found.iter().find(|finding| finding.kind == kind);
        let named = named.unwrap_or_else(|| panic!("{name}: {found:#?}"));
        assert!(named.says.contains(line), "{name}: {named:#?}");
        // A line that is no event is part of the history before it.
        let of = if name == "garbage" { 4 } else { 5 };
        assert_eq!(named.asset, key(of).partition(), "{name}: {named:#?}");
        fs::write(&events, &whole).unwrap();
    }
    assert_eq!(findings(&export).unwrap(), []);
}

#[tokio::test]
async fn an_asset_that_was_put_in_or_grew_is_found_by_the_heads() {
    let place = Place::new();
    let export = place.exported().await;
    let events = export.join("events/000001.jsonl");
    let whole = fs::read_to_string(&events).unwrap();
    fs::write(&events, whole.clone() + &chain(ASSETS + 1, 2)).unwrap();
    let found = findings(&export).unwrap();
    assert_eq!(found[0].kind, FindingKind::Inserted);
    assert_eq!(found[0].asset, key(ASSETS + 1).partition());
    let one_more = lines(ASSETS, 2).pop().unwrap().body + "\n";
    fs::write(&events, whole + &one_more).unwrap();
    let found = findings(&export).unwrap();
    assert_eq!((found[0].kind, found[0].version), (FindingKind::Inserted, Some(2)));
}

#[tokio::test]
async fn a_line_under_another_name_is_found_and_draws_no_others_to_itself() {
    let place = Place::new();
    let export = place.exported().await;
    // The fifth asset has six events, the first in line 15.
    let places = [1, 2, 3, 15, 17, 20, 210].map(|line| ("events/000001.jsonl", line));
    for (name, line) in places.into_iter().chain([1, 5, 60].map(|line| ("heads.jsonl", line))) {
        let file = export.join(name);
        let whole = fs::read_to_string(&file).unwrap();
        for other in ["tenant\":\"n", "tenant\":\"l", "asset\":\"4", "asset\":\"00"] {
            let (field, from) = other.split_at(other.rfind('"').unwrap() + 1);
            let at = field.len();
            edit(&file, |lines| {
                let line = &mut lines[line - 1];
                let begin = line.find(field).unwrap() + at;
                line.replace_range(begin..begin + from.len(), from);
            });
            let found = findings(&export).unwrap();
            let there = |it: &ledger::audit::Finding| it.says.contains(&format!("{name}:{line}:"));
            assert!(found.iter().any(there), "{other} in {name}:{line}: {found:#?}");
            assert!(found.len() <= 3, "{other} in {name}:{line}: {found:#?}");
            fs::write(&file, &whole).unwrap();
        }
    }
}

#[tokio::test]
async fn a_head_of_another_version_is_found_in_its_line() {
    let place = Place::new();
    let export = place.exported().await;
    let file = export.join("heads.jsonl");
    let whole = fs::read_to_string(&file).unwrap();
    for (version, kind) in [(1, FindingKind::Rewritten), (3, FindingKind::Edited)] {
        edit(&file, |l| l[0] = l[0].replace("version\":2", &format!("version\":{version}")));
        let found = findings(&export).unwrap();
        assert_eq!((found.len(), found[0].kind), (2, kind), "{found:#?}");
        assert!(found[0].says.contains("heads.jsonl:1:"), "{found:#?}");
        fs::write(&file, &whole).unwrap();
    }
}

/// An export of four assets with one to three events.
async fn small(place: &Place) -> PathBuf {
    let small = Ledger::of(MemoryJournal::default());
    for (nth, count) in (1..).zip([2, 1, 3, 1]) {
        small.append(nth, &lines(nth, count)).await;
    }
    let shape = place.shape("export", Layout::Segment, false);
    small.export(&shape, ExportFilter::default()).await;
    shape.out
}

/// A flip is located if a finding names its line. Every byte is covered.
#[tokio::test]
async fn a_flipped_bit_is_found_and_located_wherever_it_is() {
    let place = Place::new();
    let export = small(&place).await;
    // A manifest's fields beside its counts and root cannot be checked.
    every_flipped_bit_is_located(&export, &["events/000001.jsonl", "heads.jsonl"]);
}

#[tokio::test]
async fn a_manifest_that_counts_otherwise_is_found() {
    let place = Place::new();
    let export = place.exported().await;
    let file = export.join("manifest.json");
    let whole = fs::read_to_string(&file).unwrap();
    for (said, other) in [("\"assets\": 60", "\"assets\": 61"), ("\"events\": 2", "\"events\": 3")]
    {
        assert!(whole.contains(said), "{whole}");
        fs::write(&file, whole.replace(said, other)).unwrap();
        let found = findings(&export).unwrap();
        assert_eq!((found.len(), found[0].asset.as_str()), (1, "manifest.json"), "{found:?}");
    }
}

#[test]
fn a_tail_that_nobody_kept_the_head_of_is_not_missed() {
    // A known limit: a bare chain cut at a line's end is a whole chain.
    assert_eq!(found_in(Cursor::new(chain(3, 2))), []);
}
