//! One record of the stream, as it came.

use projections::runner::Hint;
use serde_dynamo::Item;

use super::Time;
use crate::aws::change::Change;

/// One change of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
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

impl Record {
    /// What to project because of it; `None` for an item that is no asset's. Raises the alarm if
    /// it is tampering.
    pub(super) fn hint(&self) -> Option<Hint> {
        let Self { sequence, kind, keys, old, new, .. } = self;
        Change { kind, sequence: sequence.as_deref(), keys, old, new }.hint()
    }
}
