//! One record of the stream, and what it says: an asset has moved on, or somebody was at the truth.

use ledger::chain::Hash;
use ledger::id::Key;
use ledger::record::Line;
use projections::runner::Hint;

use super::Time;

/// What happened to an item of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was appended: what a journal is for.
    Insert,
    /// It was overwritten. No program of ours does that.
    Modify,
    /// It was removed. No program of ours does that.
    Remove,
}

/// One change of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in its shard.
    pub sequence: String,
    /// When it was written.
    pub at: Option<Time>,
    /// What happened.
    pub change: Change,
    /// The item's partition key.
    pub partition: String,
    /// The item's version.
    pub version: u64,
    /// The event after the change.
    pub new: Option<String>,
    /// The event before the change.
    pub old: Option<String>,
}

impl Record {
    /// What to project because of it; `None` for an item that is no asset's.
    pub(super) fn hint(&self) -> Option<Hint> {
        let Some(key) = Key::from_partition(&self.partition) else {
            tracing::error!(partition = self.partition, "the journal holds what is no event");
            return None;
        };
        if self.change != Change::Insert {
            self.alarm();
        }
        let lines = self.new.iter().filter(|_| self.change == Change::Insert);
        let line = |body: &String| Line { version: self.version, body: body.clone() };
        Some(Hint { key, version: self.version, lines: lines.map(line).collect() })
    }

    /// An event is written once. Whatever else happens to it is tampering, and a person must know.
    fn alarm(&self) {
        metrics::counter!("asset_ledger_tamper").increment(1);
        let hash = |image: &Option<String>| {
            image.as_ref().map_or("none".to_owned(), |body| Hash::of(body.as_bytes()).to_string())
        };
        let (before, after) = (hash(&self.old), hash(&self.new));
        let (asset, version, change) = (&self.partition, self.version, self.change);
        tracing::error!(asset, version, ?change, before, after, "the journal was tampered with");
    }
}
