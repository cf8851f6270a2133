//! The promise of stored bytes: every form ever written stays readable.

use std::collections::BTreeMap;

use super::*;
use crate::audit;
use crate::history::History;
use crate::journal::scan::Chain;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/events");

/// The frozen samples, one line each, by `type.v<schema>`: one of every form ever written.
fn samples() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().path());
    let read = files.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().strip_suffix(".json");
        let text = std::fs::read_to_string(&path).unwrap();
        let body = text.strip_suffix('\n').expect("a sample is one line");
        (name.expect("a sample is JSON").to_owned(), body.to_owned())
    });
    read.collect()
}

pub(super) fn sample(name: &str) -> String {
    samples().remove(name).unwrap_or_else(|| panic!("{name} has no sample"))
}

/// One asset's life, as samples.
fn life() -> Vec<StoredLine> {
    let kinds = [
        "created",
        "received",
        "uploaded",
        "soft_deleted",
        "restored",
        "purge_requested",
        "purged",
    ];
    let bodies = kinds.map(|kind| sample(&format!("{kind}.v1")));
    (1..).zip(bodies).map(|(version, body)| StoredLine { version, body }).collect()
}

/// The names of the forms without a sample.
pub(super) fn without_sample<E>(forms: &[FormReader<E>]) -> Vec<String> {
    let samples = samples();
    let names = forms.iter().map(|form| format!("{}.v{}", form.kind, form.schema));
    names.filter(|name| !samples.contains_key(name)).collect()
}

#[test]
fn every_form_has_a_frozen_sample_and_every_sample_is_of_a_form() {
    assert_eq!(without_sample(&FORMS), [""; 0]);
    assert_eq!(samples().len(), FORMS.len());
}

#[test]
fn every_sample_is_read_and_spelt_again_byte_for_byte() {
    for (name, body) in samples() {
        let record = EventRecord::read(&body).expect(&name);
        let canonical = CanonicalLine::of(&body).expect(&name);
        assert_eq!(canonical, CanonicalLine { body, limits: Ok(()) }, "{name}");
        assert_eq!(name.split_once(".v").unwrap().0, record.event.kind());
    }
}

#[test]
fn the_newest_form_of_every_type_is_written_and_no_other() {
    for (name, body) in samples() {
        let record = EventRecord::read(&body).expect(&name);
        let forms = FORMS.iter().filter(|form| form.kind == record.event.kind());
        let newest = forms.map(|form| form.schema).max().unwrap();
        assert_eq!(forms::newest(&record.event).unwrap().schema, newest, "{name}");
        if name == format!("{}.v{newest}", record.event.kind()) {
            assert_eq!(record.line().unwrap().body, body, "{name}");
        }
    }
    let mut kinds = FORMS.iter().map(|form| form.kind).collect::<Vec<_>>();
    kinds.dedup();
    assert_eq!(kinds, Event::KINDS);
}

#[test]
fn every_sample_follows_another_or_is_a_first_event() {
    let samples = samples();
    let hashes: BTreeMap<_, _> = samples
        .values()
        .map(|body| (Hash::of(body.as_bytes()), EventRecord::read(body).unwrap().version))
        .collect();
    for (name, body) in &samples {
        let record = EventRecord::read(body).unwrap();
        let before = if record.version == 1 { Some(0) } else { hashes.get(&record.prev).copied() };
        assert_eq!(before, Some(record.version - 1), "{name}");
        assert_eq!(record.version == 1, record.prev == Hash::ZERO, "{name}");
    }
}

#[test]
fn what_is_not_of_the_form_is_refused() {
    let good = &sample("received.v1");
    let twice = good.replacen('{', r#"{"version":2,"#, 1);
    let unknown = good.replacen('{', r#"{"colour":"red","#, 1);
    let inner = good.replacen(r#""data":{"#, r#""data":{"colour":"red","#, 1);
    let inner_twice = good.replacen(r#""data":{"#, r#""data":{"size":1,"#, 1);
    let newer = good.replace(r#""schema":1"#, r#""schema":2"#);
    let fraction = good.replace(r#""version":2"#, r#""version":2.0"#);
    let shouted = good.replace(r#""prev":""#, r#""prev":"A"#);
    let trailing = format!("{good} {{}}");
    let cut = &good[..good.len() - 1];
    for bad in
        [&twice, &unknown, &inner, &inner_twice, &newer, &fraction, &shouted, &trailing, cut, ""]
    {
        assert!(EventRecord::read(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_type_or_schema_to_come_is_unknown_and_not_malformed() {
    let good = sample("received.v1");
    for (known, newer) in
        [(r#""type":"received""#, r#""type":"scanned""#), (r#""schema":1"#, r#""schema":2"#)]
    {
        assert!(good.contains(known), "{known}");
        let read = EventRecord::read(&good.replace(known, newer));
        let Err(RecordError::Unknown(unknown)) = read else { panic!("{newer}: {read:?}") };
        assert_eq!(unknown.version, 2);
    }
}

#[test]
fn a_value_to_come_under_an_old_schema_number_is_malformed() {
    let good = sample("created.v1");
    let value = good.replace(r#""upload":"declared""#, r#""upload":"multipart""#);
    assert_ne!(value, good);
    assert!(matches!(EventRecord::read(&value), Err(RecordError::Form(_))));
}

/// The life in the samples, but the second event has a source that this program does not know.
fn life_with_an_unknown_source() -> Vec<StoredLine> {
    let mut prev = Hash::ZERO;
    let relinked = life().into_iter().map(|StoredLine { version, body }| {
        let body = match version {
            2 => body.replace(r#""source":"s3""#, r#""source":"mail""#),
            _ => body,
        };
        let body = CanonicalLine::following(&body, prev).unwrap().body;
        prev = Hash::of(body.as_bytes());
        StoredLine { version, body }
    });
    relinked.collect()
}

#[test]
fn an_unknown_source_reads_as_unknown_in_a_history_and_its_fold() {
    let lines = life_with_an_unknown_source();
    assert!(lines[1].body.contains(r#""source":"mail""#), "its name is kept");
    let key = EventRecord::read(&lines[0].body).unwrap().key;
    let history = History::read(&key, lines.clone()).unwrap().unwrap();
    let known = History::read(&key, life()).unwrap().unwrap();
    let sources = history.entries().iter().map(|entry| entry.record.cause.source.as_str());
    assert_eq!(sources.collect::<Vec<_>>(), ["api", "unknown", "api", "api", "api", "api", "s3"],);
    let (second, asset) = (history.at_version(2).unwrap(), history.asset());
    assert_eq!(second.pin, known.at_version(2).unwrap().pin);
    assert_eq!(
        (asset.status(), &asset.declared),
        (known.asset().status(), &known.asset().declared)
    );
    assert_eq!(history.entries()[1].line, lines[1], "the bytes are those that were stored");
}

#[test]
fn an_unknown_source_is_no_fault_but_may_not_be_long_or_hidden() {
    let lines = life_with_an_unknown_source();
    let key = EventRecord::read(&lines[0].body).unwrap().key;
    let chain = |lines| Chain { partition: key.partition(), lines, strays: Vec::new() };
    assert_eq!(audit::inspect_with(&chain(lines.clone()), &[]).findings, []);
    for name in ["x".repeat(33), "a\\u0007".to_owned()] {
        let body = lines[1].body.replace("mail", &name);
        let found = audit::odd(&chain(vec![StoredLine { version: 2, body }]));
        assert_eq!(found.len(), 1, "{name}");
        assert!(found[0].says.starts_with("source: "), "{}", found[0].says);
    }
}

#[test]
fn an_unknown_source_is_never_written() {
    let record = EventRecord::read(&life_with_an_unknown_source()[1].body).unwrap();
    assert_eq!(record.cause.source, EventSource::Unknown);
    assert!(record.line().unwrap_err().to_string().contains("unknown source"));
    let broken = sample("received.v1").replace(r#""source":"s3""#, r#""source":"mail""#);
    let broken = broken.replace(r#""data":{"#, r#""data":{"colour":"red","#);
    assert!(matches!(EventRecord::read(&broken), Err(RecordError::Form(_))));
}

#[test]
fn a_typical_event_fits_one_write_unit() {
    for (name, sample) in samples() {
        let item = sample.len() + "pk".len() + 4 + 1 + 36 + "sk".len() + 2 + "body".len();
        assert!(item <= 1024, "{name} is {item} bytes as a DynamoDB item");
    }
}

#[test]
fn the_same_sight_is_the_same_command_and_another_is_not() {
    let key = EventRecord::read(&sample("created.v1")).unwrap().key;
    let id = |bucket, version, kind, pin| CommandId::of_sight(bucket, &key, version, kind, pin);
    let seen = id("files", "v1", "received", None);
    assert_eq!(seen, id("files", "v1", "received", None));
    for other in [
        id("other", "v1", "received", None),
        id("files", "v2", "received", None),
        id("files", "v1", "purged", None),
        id("files", "v1", "received", Some("v2")),
    ] {
        assert_ne!(seen, other);
    }
}

#[test]
fn a_subject_is_who_it_is_in_every_generation_and_whoever_acts() {
    for (actor, expected) in [
        ("key:5bf8a4d0c1e27f36/1", "key:5bf8a4d0c1e27f36"),
        ("key:5bf8a4d0c1e27f36/20", "key:5bf8a4d0c1e27f36"),
        ("key:5bf8a4d0c1e27f36/1;for=ann/b;act=c", "key:5bf8a4d0c1e27f36"),
        ("https://id.example/a|ann/7", "https://id.example/a|ann/7"),
        ("https://id.example/a|ann;act=bob;act=x", "https://id.example/a|ann"),
        ("https://id.example/a|ann;for=bob", "https://id.example/a|ann;for=bob"),
        ("arn:aws:sts::1:assumed-role/r/s", "arn:aws:sts::1:assumed-role/r/s"),
        ("cli:key:1/2", "cli:key:1/2"),
        ("anonymous", "anonymous"),
    ] {
        assert_eq!(subject(actor), expected);
    }
}

#[test]
fn a_line_is_exact_if_it_is_its_canonical_line_within_the_limits() {
    let good = sample("created.v1");
    let mut over = EventRecord::read(&good).unwrap();
    let key = over.key.clone();
    over.cause.actor = "x".repeat(129);
    let mut forged = EventRecord::read(&good).unwrap();
    forged.event = Event::SoftDeleted { reason: Some("x".repeat(257)) };
    let lines = [
        good.clone(),
        good.replacen(',', ", ", 1),
        good.replacen(r#""data":{"#, r#""data":{ "#, 1),
        good.replacen("created", r"c\u0072eated", 1),
        good.replacen(r#""source":"api""#, r#""source":"fax""#, 1),
        format!("{good}\r"),
        over.line().unwrap().body,
        forged.line().unwrap().body,
    ];
    let exact = |body: &String| {
        let canonical = CanonicalLine::of(body).unwrap();
        let (record, exact) = EventRecord::read_exactly(&key, body).unwrap();
        assert_eq!(record, EventRecord::read(body).unwrap());
        assert_eq!(record, EventRecord::read_under(&key, body).unwrap());
        assert_eq!(
            exact,
            canonical == CanonicalLine { body: body.clone(), limits: Ok(()) },
            "{body}"
        );
        exact
    };
    let exact: Vec<_> = lines.iter().map(exact).collect();
    assert_eq!(exact, [true, false, false, false, true, false, false, false]);
}
