//! A record of the journal's stream, for every reader: an asset has a new event, or an event was
//! altered.

use ledger::chain::Hash;
use ledger::id::PartitionKey;
use ledger::record::{StoredLine, is_of_a_stream};
use projections::runner::ProjectionHint;
use serde::Deserialize;
use serde_dynamo::{Item, from_item};

/// The only kind of change that this program makes to a journal.
const APPENDED: &str = "INSERT";

/// One change of one item of the journal.
#[derive(Debug)]
pub(crate) struct JournalChange<'a> {
    /// `INSERT`, `MODIFY` or `REMOVE`, or an unknown kind.
    pub(crate) kind: &'a str,
    /// Its sequence number in its shard.
    pub(crate) sequence: Option<&'a str>,
    /// The item's key.
    pub(crate) keys: &'a Item,
    /// The old image; empty if there was none.
    pub(crate) old: &'a Item,
    /// The new image; empty if there is none.
    pub(crate) new: &'a Item,
}

#[derive(Deserialize)]
struct ItemKey {
    pk: String,
    sk: u64,
}

#[derive(Deserialize)]
struct EventImage {
    body: String,
}

impl JournalChange<'_> {
    /// The asset to project, `None` for an item of no asset: an event appended to a named stream is
    /// skipped. Tampering raises the alarm first, and then gives a hint like any other change: the
    /// altered item is not trusted. An append without an image, as in a stream of keys only, also
    /// gives a hint.
    pub(crate) fn hint(&self) -> Option<ProjectionHint> {
        let (ours, appended) = (partition(self.keys), self.kind == APPENDED);
        if !appended || ours.as_ref().is_none_or(|(key, _)| !self.may_be_of(key)) {
            self.alarm(ours.as_ref());
        }
        let (key, version) = ours?;
        let key = key.asset()?;
        let body = body(self.new).filter(|_| appended);
        let lines = body.into_iter().map(|body| StoredLine { version, body }).collect();
        Some(ProjectionHint { key, version, lines })
    }

    /// Whether the item may be an event of this key. For a named stream the image, if present, must
    /// be an event too: any text may have the form of its name.
    fn may_be_of(&self, key: &PartitionKey) -> bool {
        !key.is_named()
            || self.new.is_empty()
            || body(self.new).is_some_and(|it| is_of_a_stream(&it))
    }

    /// An event is written once, under the key of an asset or a named stream. Any other change of
    /// the journal raises an alarm. It logs the hashes, not the images: a forged image may contain
    /// anything.
    fn alarm(&self, ours: Option<&(PartitionKey, u64)>) {
        metrics::counter!("asset_ledger_tamper").increment(1);
        let (before, after) = (hash(self.old), hash(self.new));
        let asset = ours.map_or("-".to_owned(), |(key, _)| key.partition());
        let version = ours.map_or(0, |(_, version)| *version);
        let Self { kind, sequence, .. } = self;
        tracing::error!(
            kind,
            asset,
            version,
            before,
            after,
            sequence,
            "tampering: the journal was changed other than by appending an event"
        );
    }
}

fn partition(keys: &Item) -> Option<(PartitionKey, u64)> {
    let ItemKey { pk, sk } = from_item(keys.clone()).ok()?;
    Some((PartitionKey::from_partition(&pk)?, sk))
}

fn body(image: &Item) -> Option<String> {
    from_item(image.clone()).ok().map(|EventImage { body }| body)
}

/// The hash of the event in an image. If it has none, the hash of the whole image with sorted
/// attributes, so that it can be recomputed from the item. `-` for no image.
fn hash(image: &Item) -> String {
    if image.is_empty() {
        return "-".to_owned();
    }
    let whole = || {
        let mut whole = serde_json::to_value(image).unwrap_or_default();
        whole.sort_all_objects();
        whole.to_string()
    };
    Hash::of(body(image).unwrap_or_else(whole).as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(json: &serde_json::Value) -> Item {
        serde_json::from_value(json.clone()).unwrap()
    }

    #[test]
    fn an_image_has_one_hash_whether_it_is_an_event_or_not() {
        assert_eq!(hash(&Item::default()), "-");
        let event = item(&json!({"pk": {"S": "p"}, "sk": {"N": "1"}, "body": {"S": "{}"}}));
        assert_eq!(hash(&event), Hash::of(b"{}").to_string());
        let text = r#"{"body":{"N":"1"},"m":{"M":{"a":{"S":"1"},"b":{"S":"2"},"c":{"S":"3"}}}}"#;
        for _ in 0..8 {
            // Each map has its own order of attributes.
            let other = item(&serde_json::from_str(text).unwrap());
            assert_eq!(hash(&other), Hash::of(text.as_bytes()).to_string());
        }
    }
}
