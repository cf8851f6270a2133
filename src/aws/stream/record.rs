//! One record of the stream, as received.

use projections::runner::ProjectionHint;
use serde_dynamo::Item;

use super::Time;
use crate::aws::change::JournalChange;

/// One change of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemChange {
    /// Its sequence number in its shard, if present.
    pub sequence: Option<String>,
    /// The time of the write.
    pub at: Option<Time>,
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub kind: String,
    /// The item's key.
    pub keys: Item,
    /// The old image; empty if there was none.
    pub old: Item,
    /// The new image; empty if there is none.
    pub new: Item,
}

impl ItemChange {
    /// The hint to project; `None` for an item that belongs to no asset. Raises the alarm for
    /// tampering.
    pub(super) fn hint(&self) -> Option<ProjectionHint> {
        let Self { sequence, kind, keys, old, new, .. } = self;
        JournalChange { kind, sequence: sequence.as_deref(), keys, old, new }.hint()
    }
}
