//! The same for a named stream, whose events are read by their envelopes.

use super::*;
use crate::record::CanonicalLine;
use crate::testing::streams::{altered, events};

fn stream(lines: Vec<StoredLine>) -> Chain {
    Chain { partition: "main#access".to_owned(), lines, strays: Vec::new() }
}

fn access(count: u64) -> Vec<StoredLine> {
    events(&Tenant::default(), count)
}

fn head(version: usize) -> ExpectedHeads {
    let hash = access(version as u64)[version - 1].hash();
    ExpectedHeads { version: version as u64, hash, by: Witness::Checkpoint }
}

#[track_caller]
fn found(lines: Vec<StoredLine>, known: &[ExpectedHeads], expected: &[(u64, &str)]) {
    let examined = inspect_with(&stream(lines), known);
    let named = |it: &Finding| (it.version.unwrap_or(0), it.kind.name());
    let found: Vec<_> = examined.findings.iter().map(named).collect();
    assert_eq!(found, expected, "{:#?}", examined.findings);
    assert!(examined.findings.iter().all(|finding| finding.asset == "main#access"));
    assert!(examined.history.is_none(), "it is no asset's");
}

/// Each line from `from` on, linked to the previous one.
fn relinked(mut lines: Vec<StoredLine>, from: usize) -> Vec<StoredLine> {
    for at in from - 1..lines.len() {
        let body = CanonicalLine::following(&lines[at].body, lines[at - 1].hash()).unwrap().body;
        lines[at].body = body;
    }
    lines
}

#[test]
fn a_stream_that_is_whole_has_no_finding() {
    let examined = inspect_with(&stream(access(3)), &[head(3), head(2)]);
    assert_eq!((examined.findings, examined.history.is_none()), (vec![], true));
    let last = examined.head.unwrap();
    let (partition, hash) = (last.key.partition(), access(3)[2].hash());
    assert_eq!((partition.as_str(), last.version, last.hash), ("main#access", 3, hash));
}

#[test]
fn each_deed_has_its_name_as_in_an_assets_history() {
    let edit = |at: usize| {
        let mut lines = access(4);
        lines[at] = altered(&lines[at], "ann", "eve");
        lines
    };
    let without = |at: usize| {
        let mut lines = access(4);
        lines.remove(at);
        lines
    };
    found(edit(1), &[], &[(2, "edited")]);
    found(edit(3), &[], &[]);
    found(edit(3), &[head(4)], &[(4, "edited")]);
    found(relinked(edit(1), 3), &[head(3)], &[(3, "rewritten")]);
    found(without(1), &[], &[(2, "deleted")]);
    found(without(0), &[], &[(1, "deleted")]);
    found(access(3), &[head(4)], &[(4, "truncated")]);
    let mut swapped = access(4);
    swapped[1].body = access(4)[2].body.clone();
    swapped[2].body = access(4)[1].body.clone();
    found(swapped, &[], &[(2, "swapped")]);
    let mut moved = access(4);
    moved[3].version = 9;
    found(moved, &[], &[(4, "moved")]);
    let mut garbage = access(4);
    garbage[3].body = "{}".to_owned();
    found(garbage, &[], &[(4, "malformed")]);
    let mut early = access(4);
    early[2].body = early[2].body.replace(r#""at":"2024"#, r#""at":"2023"#);
    found(relinked(early, 4), &[], &[(3, "not-later")]);
    let mut again = access(4);
    again[2] = altered(&again[2], r#""c3""#, r#""c1""#);
    found(relinked(again, 4), &[], &[(3, "command-twice")]);
}

/// The third event has another type, and the later ones follow it.
fn with_another_type(stream: &str) -> Vec<StoredLine> {
    let mut lines = access(4);
    lines[2] = altered(&lines[2], "key_created", "key_frozen");
    for line in &mut lines {
        line.body = line.body.replace(r#""stream":"access""#, &format!(r#""stream":"{stream}""#));
    }
    relinked(lines, 2)
}

#[test]
fn a_type_of_access_is_known_and_one_of_another_stream_is_not_looked_at() {
    found(with_another_type("access"), &[], &[(3, "unknown-type")]);
    let lines = with_another_type("notes");
    let chain = Chain { partition: "main#notes".to_owned(), lines, strays: Vec::new() };
    assert_eq!(inspect_with(&chain, &[]).findings, []);
}

#[test]
fn what_cannot_happen_to_the_access_of_a_tenant_is_named() {
    let with = |from: &str, to: &str| {
        let mut lines = access(4);
        lines[2] = altered(&lines[2], from, to);
        relinked(lines, 4)
    };
    let twice = with(r#""id":"0000000000000003""#, r#""id":"0000000000000002""#);
    found(twice, &[], &[(3, "impossible")]);
    let colour = with(r#""name":"a b""#, r#""colour":"red""#);
    found(colour, &[], &[(3, "malformed")]);
    found(with(r#"["read"]"#, r#"["read","fly"]"#), &[], &[]);
    let long = format!(r#""name":"{}""#, "x".repeat(65));
    found(with(r#""name":"a b""#, &long), &[], &[(3, "over-limit")]);
    let mut lines = access(4);
    lines[0] = altered(&lines[0], "tenant_created", "tenant_resumed");
    found(relinked(lines, 2), &[], &[(1, "impossible")]);
}

#[test]
fn an_event_of_another_stream_or_of_an_asset_is_no_event_of_this_one() {
    for other in [
        lines(1, 5).remove(4).body,
        altered(&access(5)[4], r#""stream":"access""#, r#""stream":"other""#).body,
        events(&"other".parse().unwrap(), 5).remove(4).body,
    ] {
        let mut lines = access(4);
        lines.push(StoredLine { version: 5, body: other });
        found(lines, &[], &[(5, "copied")]);
    }
    let stolen = access(7).remove(6).body;
    given().append(7, stolen).then(&[(7, "copied")]);
    let fitting = CanonicalLine::following(&access(7)[6].body, given().hash(6)).unwrap().body;
    given().append(7, fitting).then(&[(7, "edited")]);
}

#[test]
fn the_envelope_of_a_stream_has_one_spelling() {
    for (from, to) in [
        (r#""data":{"#, r#""data": {"#),
        (r#""name":"a b","#, "\"name\":\"a b\",\n"),
        (r#""stream""#, r#""\u0073tream""#),
        (r#","version""#, r#", "version""#),
    ] {
        let mut lines = access(3);
        lines[2] = altered(&lines[2], from, to);
        found(lines, &[], &[(3, "odd-spelling")]);
    }
    for (from, to) in [
        (r#""stream":"access","#, r#""stream":"access","asset":null,"#),
        (r#""stream":"access""#, r#""asset":"access""#),
        (r#""stream":"access","#, r#""stream":"access","stream":"access","#),
        (r#""stream":"access","#, ""),
        (r#""data":{"#, r#""colour":1,"data":{"#),
    ] {
        let mut lines = access(3);
        lines[2] = altered(&lines[2], from, to);
        found(lines, &[], &[(3, "malformed")]);
    }
    let mut lines = access(3);
    lines[2] = altered(&lines[2], r#""cli""#, &format!("{:?}", "x".repeat(33)));
    found(lines, &[], &[(3, "over-limit")]);
}

#[test]
fn a_partition_without_one_event_of_a_stream_is_no_stream() {
    let mut lines = access(2);
    lines.iter_mut().for_each(|line| line.body = "{}".to_owned());
    let examined = inspect_with(&stream(lines), &[]);
    assert_eq!(examined.findings.len(), 1);
    assert!(examined.findings[0].says.contains("no asset's, but holds 2 items"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_altered_byte_before_the_last_event_goes_unseen(at in 0..900_usize, bit in 0..7_u32) {
        let mut lines = access(4);
        let lengths: Vec<_> = lines[..3].iter().map(|line| line.body.len()).collect();
        let at = at % lengths.iter().sum::<usize>();
        let (nth, at) = if at < lengths[0] {
            (0, at)
        } else if at < lengths[0] + lengths[1] {
            (1, at - lengths[0])
        } else {
            (2, at - lengths[0] - lengths[1])
        };
        let mut bytes = lines[nth].body.clone().into_bytes();
        bytes[at] ^= 1 << bit;
        lines[nth].body = String::from_utf8(bytes).unwrap();
        prop_assert!(!inspect_with(&stream(lines), &[]).findings.is_empty());
    }
}
