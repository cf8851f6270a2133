//! How far a replay has come, kept beside the rows, so that another can go on from there.

use chrono::{DateTime, Utc};
use ledger::journal::scan::{ScanPosition, Segment};
use serde::{Deserialize, Serialize};

use super::Generation;

/// How far a replay has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayProgress {
    /// What it makes.
    pub generation: Generation,
    /// Who is at it.
    pub run: String,
    /// When it last gave a sign of life.
    pub at: DateTime<Utc>,
    /// Whether it stopped in good order: then nobody need wait to see whether it still lives.
    pub stopped: bool,
    /// How far each part of the journal was read and written.
    pub stretches: Vec<SegmentProgress>,
    /// Histories that do not verify, as many as are named.
    pub broken: Vec<BrokenHistory>,
    /// How many there are of them.
    pub broken_count: u64,
    /// Histories with an event of a newer version, as many as are named.
    #[serde(default)]
    pub unknown: Vec<BrokenHistory>,
    /// How many there are of them.
    #[serde(default)]
    pub unknown_count: u64,
}

/// A part of the journal, and how far it was read and written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentProgress {
    /// Which part.
    pub segment: Segment,
    /// Up to where all rows are written; `None` before the first.
    pub place: Option<ScanPosition>,
    /// Whether that is its end.
    pub done: bool,
    /// Events up to there.
    pub events: u64,
    /// Assets up to there.
    pub assets: u64,
}

/// A history that does not verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenHistory {
    /// The partition that it is stored under.
    pub partition: String,
    /// What is wrong with it, for a person.
    pub why: String,
}
