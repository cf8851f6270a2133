//! What a record of the journal's stream says.

use aws_lambda_events::dynamodb::EventRecord;
use ledger::chain::Hash;
use ledger::id::Key;
use ledger::record::Line;
use projections::runner::Hint;
use serde::Deserialize;
use serde_dynamo::{Item, from_item};

/// What happened to the journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// An asset moved on.
    Moved(Hint),
    /// Something that this program never does; to this asset, if it is one.
    Tampered(Tampered, Option<Hint>),
}

/// What is known of it. Hashes are SHA-256 of the stored event, `-` for none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tampered {
    /// The partition, `-` if it is none of ours.
    pub(super) asset: String,
    /// The version, 0 if it is none.
    pub(super) version: u64,
    /// What was there.
    pub(super) before: String,
    /// What is there now.
    pub(super) after: String,
}

#[derive(Deserialize)]
struct Address {
    pk: String,
    sk: u64,
}

#[derive(Deserialize)]
struct Body {
    body: String,
}

impl Change {
    /// Reads a record. What is there after a change says nothing but where to look. An insert under
    /// a key that is no asset's is not ours either; one whose image is missing, as where only keys
    /// are streamed, still says where to look.
    pub(super) fn of(record: &EventRecord) -> Self {
        let ours = asset(&record.change.keys);
        let hint = |lines| ours.clone().map(|(key, version)| Hint { key, version, lines });
        let line = |body| ours.as_ref().map(|(_, version)| Line { version: *version, body });
        let appended = record.event_name == "INSERT";
        let lines = body(&record.change.new_image).filter(|_| appended).and_then(line);
        match hint(lines.into_iter().collect()) {
            Some(hint) if appended => Self::Moved(hint),
            hint => Self::Tampered(Tampered::of(record), hint),
        }
    }
}

impl Tampered {
    fn of(record: &EventRecord) -> Self {
        let ours = asset(&record.change.keys);
        let (asset, version) =
            ours.map_or(("-".to_owned(), 0), |(key, version)| (key.partition(), version));
        let (before, after) = (hash(&record.change.old_image), hash(&record.change.new_image));
        Self { asset, version, before, after }
    }
}

fn asset(keys: &Item) -> Option<(Key, u64)> {
    let Address { pk, sk } = from_item(keys.clone()).ok()?;
    Some((Key::from_partition(&pk)?, sk))
}

fn body(image: &Item) -> Option<String> {
    from_item(image.clone()).ok().map(|Body { body }| body)
}

/// The hash of the event that an image holds; of the whole image where that is none.
fn hash(image: &Item) -> String {
    if image.is_empty() {
        return "-".to_owned();
    }
    let whole = || serde_json::to_string(image).unwrap_or_default();
    Hash::of(body(image).unwrap_or_else(whole).as_bytes()).to_string()
}
