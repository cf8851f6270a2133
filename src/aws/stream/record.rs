//! One record of the stream, as it came.

use projections::runner::ProjectionHint;
use serde_dynamo::Item;

use super::Time;
use crate::aws::change::JournalChange;

/// One change of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemChange {
    /// Its place in its shard, if it was told.
    pub sequence: Option<String>,
    /// When it was written.
    pub at: Option<Time>,
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub kind: String,
    /// The item's key.
    pub keys: Item,
    /// The item before the change; empty if there was none.
    pub old: Item,
    /// The item after the change; empty if there is none.
    pub new: Item,
}

impl ItemChange {
    /// What to project because of it; `None` for an item that is no asset's. Raises the alarm if
    /// it is tampering.
    pub(super) fn hint(&self) -> Option<ProjectionHint> {
        let Self { sequence, kind, keys, old, new, .. } = self;
        JournalChange { kind, sequence: sequence.as_deref(), keys, old, new }.hint()
    }
}
