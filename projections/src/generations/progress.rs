//! The progress of a replay, stored with the rows, so that another replay can continue.

use chrono::{DateTime, Utc};
use ledger::journal::scan::{ScanPosition, Segment};
use serde::{Deserialize, Serialize};

use super::Generation;

/// The progress of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayProgress {
    /// The generation that it builds.
    pub generation: Generation,
    /// The replay that holds the lease.
    pub run: String,
    /// The time of its last heartbeat.
    pub at: DateTime<Utc>,
    /// Whether it ended normally: then another replay need not wait for the lease to expire.
    pub stopped: bool,
    /// The progress in each part of the journal.
    pub stretches: Vec<SegmentProgress>,
    /// Histories that do not verify, up to a maximum.
    pub broken: Vec<BrokenHistory>,
    /// Their number.
    pub broken_count: u64,
    /// Histories with an event of a newer version, up to a maximum.
    #[serde(default)]
    pub unknown: Vec<BrokenHistory>,
    /// Their number.
    #[serde(default)]
    pub unknown_count: u64,
}

/// A part of the journal, and its progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentProgress {
    /// The part.
    pub segment: Segment,
    /// The position up to which all rows are written; `None` before the first.
    pub place: Option<ScanPosition>,
    /// Whether the position is the end of the part.
    pub done: bool,
    /// The number of events up to the position.
    pub events: u64,
    /// The number of assets up to the position.
    pub assets: u64,
}

/// A history that does not verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenHistory {
    /// The partition that it is stored under.
    pub partition: String,
    /// The fault, as a message.
    pub why: String,
}
