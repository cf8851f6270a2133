//! The cost of a new form: a second schema of a type, and a new type, added here.

use chrono::TimeDelta;
use serde::Deserialize;

use super::*;
use crate::asset::{Asset, Declaration, UploadKind};
use crate::audit::{self, FindingKind};
use crate::chain::Hash;
use crate::journal::scan::Chain;
use crate::record::tests::{sample, without_sample};
use crate::record::{CanonicalLine, Cause, CommandId, EventRecord, RecordError, StoredLine};

/// A second schema of `created`: one field has another name, one value another spelling.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreatedV2 {
    signed_for: SignedForV2,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SignedForV2 {
    Host,
    Declaration,
}

impl StoredForm for CreatedV2 {
    const KIND: &'static str = "created";
    const SCHEMA: u32 = 2;
}

impl From<&Declaration> for CreatedV2 {
    fn from(declared: &Declaration) -> Self {
        let signed_for = match declared.upload {
            UploadKind::Plain => SignedForV2::Host,
            UploadKind::Declared => SignedForV2::Declaration,
        };
        Self { signed_for, name: declared.filename.clone().unwrap_or_default() }
    }
}

impl From<CreatedV2> for Event {
    fn from(CreatedV2 { signed_for, name }: CreatedV2) -> Self {
        let upload = match signed_for {
            SignedForV2::Host => UploadKind::Plain,
            SignedForV2::Declaration => UploadKind::Declared,
        };
        let filename = Some(name).filter(|name| !name.is_empty());
        Self::Created(Declaration { upload, filename, ..Declaration::plain() })
    }
}

#[test]
fn a_second_schema_of_a_type_is_read_beside_the_first() {
    let mut forms = Vec::from(FORMS);
    forms.push(FormReader::of::<CreatedV2>());
    let body = sample("created.v1");
    let first = EventRecord::read_with(&forms, &body).unwrap();
    assert_eq!(first, EventRecord::read(&body).unwrap());

    let Event::Created(declared) = &first.event else { panic!("{first:?}") };
    let data = StoredData::of(&CreatedV2::from(declared)).unwrap();
    let newer = first.line_with(&data).unwrap().body;
    let stored = r#""schema":2,"data":{"signed_for":"declaration","name":"q3 report.pdf"},"#;
    assert!(newer.contains(stored), "{newer}");

    let second = EventRecord::read_with(&forms, &newer).unwrap();
    assert_eq!(second, EventRecord { event: second.event.clone(), ..first.clone() });
    let fold = |record: &EventRecord| {
        let asset = Asset::begin(record.key.clone(), record, Hash::ZERO).unwrap();
        (asset.status(), asset.declared.upload, asset.declared.filename)
    };
    assert_eq!(fold(&second), fold(&first));

    // Each number is a form of its own: data of one is refused under the other.
    let swapped = [
        body.replace(r#""schema":1"#, r#""schema":2"#),
        newer.replace(r#""schema":2"#, r#""schema":1"#),
    ];
    for body in swapped {
        let read = EventRecord::<Event>::read_with(&forms, &body);
        assert!(matches!(read, Err(RecordError::Form(_))), "{read:?}");
    }
    assert!(matches!(EventRecord::read(&newer), Err(RecordError::Unknown(_))));
    assert_eq!(without_sample(&forms), ["created.v2"]);
}

#[test]
fn an_old_form_is_spelt_in_its_own_schema_and_held_to_its_own_limits() {
    let mut forms = Vec::from(FORMS);
    forms.push(FormReader::of::<CreatedV2>());
    let body = sample("created.v1").replace("q3 report.pdf", "a/b");
    let canonical = CanonicalLine::spell_with(&forms, &body, None).unwrap();
    assert_eq!(canonical.body, body);
    assert_eq!(canonical.limits.unwrap_err().field, "filename");
}

/// Today's events, and a future one.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FutureEvent {
    Created(Event),
    Held { days: u32 },
}

/// The stored form of a new type.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldV1 {
    days: u32,
}

impl StoredForm for HeldV1 {
    const KIND: &'static str = "held";
    const SCHEMA: u32 = 1;
}

impl From<CreatedV1> for FutureEvent {
    fn from(form: CreatedV1) -> Self {
        Self::Created(form.into())
    }
}

impl From<HeldV1> for FutureEvent {
    fn from(HeldV1 { days }: HeldV1) -> Self {
        Self::Held { days }
    }
}

#[test]
fn a_new_type_is_read_beside_the_others_and_is_unknown_to_a_program_without_it() {
    let forms = [FormReader::<FutureEvent>::of::<CreatedV1>(), FormReader::of::<HeldV1>()];
    let created = sample("created.v1");
    let first = EventRecord::<FutureEvent>::read_with(&forms, &created).unwrap();
    let today = EventRecord::read(&created).unwrap();
    assert_eq!(first.event, FutureEvent::Created(today.event));

    let (event, prev) = (FutureEvent::Held { days: 30 }, Hash::of(created.as_bytes()));
    let cause = Cause { command: CommandId::fresh(2), ..first.cause.clone() };
    let at = first.at + TimeDelta::seconds(1);
    let second = EventRecord { event, version: 2, cause, at, prev, ..first.clone() };
    let data = StoredData::of(&HeldV1 { days: 30 }).unwrap();
    let line = second.line_with(&data).unwrap();
    assert!(line.body.contains(r#""type":"held","schema":1,"data":{"days":30},"#), "{line:?}");
    assert_eq!(EventRecord::read_with(&forms, &line.body).unwrap(), second);
    assert_eq!(without_sample(&forms), ["held.v1"]);

    let lines = vec![StoredLine { version: 1, body: created }, line];
    let chain = Chain { partition: first.key.partition(), lines, strays: Vec::new() };
    let kinds = audit::examine(&chain).into_iter().map(|finding| (finding.kind, finding.version));
    assert_eq!(kinds.collect::<Vec<_>>(), [(FindingKind::UnknownType, Some(2))]);
}
