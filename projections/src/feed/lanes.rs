//! The storage of the feed of a store without an order of arrival: lanes of numbered entries, each
//! written once, with references to events.
//!
//! All references of an asset are in one lane, chosen by its id, so lanes keep the order of an
//! asset's events. There are several lanes to spread the load over partitions.
//!
//! A lane without retention is one sequence of entries. With a retention it goes on in weeks, each
//! numbered from 1. The last entry of a sequence that goes on elsewhere says so, before anything is
//! written there: it is *closed*. A week is over without that entry when no writer writes in it any
//! more.

mod reference;

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::id::{Key, Tenant};

use super::retention::{FeedRetention, FeedWeek};

pub(super) use reference::{Reference, ReferenceError, lines, read, write};

/// Lanes of a tenant. A lane takes about a hundred entries a second, of all writers together, and
/// an entry has the events of a batch. A polling reader queries each lane. The number never
/// changes: it determines the lane of an asset's references.
pub const LANES: u8 = 4;

/// What the entry that closes a sequence begins with; the number of a week and days follow.
const CLOSED: &str = "next week ";

/// One lane, or one week of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedLane {
    /// The tenant of the events.
    pub tenant: Tenant,
    /// The number of the lane, below [`LANES`].
    pub number: u8,
    /// The week; `None` for the entries from before there was a retention.
    pub week: Option<FeedWeek>,
}

impl FeedLane {
    /// The lane of an asset's events.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self { tenant: key.tenant.clone(), number: key.asset.last_byte() % LANES, week: None }
    }

    /// All lanes of a tenant, in order.
    pub fn all(tenant: &Tenant) -> impl Iterator<Item = Self> + '_ {
        (0..LANES).map(|number| Self { tenant: tenant.clone(), number, week: None })
    }

    /// A week of this lane.
    #[must_use]
    pub fn in_week(&self, week: Option<FeedWeek>) -> Self {
        Self { week, ..self.clone() }
    }
}

impl fmt::Display for FeedLane {
    /// The lane's partition key: `<tenant>#feed#<lane>`, of a week `<tenant>#feed#<lane>.<week>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#feed#{}", self.tenant, self.number)?;
        self.week.map_or(Ok(()), |week| write!(f, ".{}", week.0))
    }
}

/// The result of writing an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneWrite {
    /// It has the text that was to be written.
    Written,
    /// It is taken and has this text.
    Taken(String),
}

/// A numbered entry of a lane, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneEntry {
    /// Its number, from 1.
    pub number: u64,
    /// Its text.
    pub text: String,
    /// The time from which the store may remove it; `None` if it is stored for ever.
    pub expires_at: Option<DateTime<Utc>>,
}

impl LaneEntry {
    /// What it says, if it closes its sequence. Whoever does not know such an entry reads a line
    /// that is not a reference.
    fn closing(&self) -> Option<Closing> {
        let (week, days) = self.text.strip_prefix(CLOSED)?.split_once(' ')?;
        let next = Some(FeedWeek(week.parse().ok()?)).filter(|week| *week <= FeedWeek::LAST)?;
        let closing = Closing { next, retention: FeedRetention::of_days(days.parse().ok()?)? };
        (closing.to_string() == self.text).then_some(closing)
    }
}

/// What the entry that closes a sequence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    /// The week in which the lane goes on.
    pub(super) next: FeedWeek,
    /// The retention of the writer.
    pub(super) retention: FeedRetention,
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{CLOSED}{} {}", self.next.0, self.retention.days())
    }
}

/// Where a lane goes on, if this entry of it closes its sequence.
pub(super) fn closes(lane: &FeedLane, entry: &LaneEntry) -> Option<Closing> {
    // A week that is not later was forged, and would be followed for ever.
    entry.closing().filter(|closing| lane.week < Some(closing.next))
}

/// The lanes of all tenants.
///
/// # Contract
/// * An entry is written once, whole. A later writer gets [`LaneWrite::Taken`] with the stored
///   text, at any later time.
/// * `last` and `places` see every entry whose `put` returned before the call.
/// * `places` are in order, from the requested number or the next one that exists. An entry that is
///   written concurrently may be among them although an earlier one is not yet.
/// * A call that fails may have taken effect; repeating it is safe.
/// * An entry is removed at its `expires_at` or any time later, in any order, or never.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// How long events are kept; for ever if `None`. It may be another one in each process.
    fn retention(&self) -> Option<FeedRetention> {
        None
    }

    /// The last entry.
    async fn last(&self, lane: &FeedLane) -> Result<Option<LaneEntry>, StoreError>;

    /// Writes an entry if it is free. The caller knows that the previous entry exists.
    async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError>;

    /// The entries from number `from` on, at most `limit` of them.
    async fn places(
        &self,
        lane: &FeedLane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LaneEntry>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: a stored entry is read for ever.
    const CLOSING: &str = include_str!("../../../migrations/feed/closing.v1.txt");

    #[test]
    fn the_entry_that_closes_a_sequence_has_one_spelling_and_is_no_reference() {
        let closing =
            |text: &str| LaneEntry { number: 1, text: text.to_owned(), expires_at: None }.closing();
        let retention = FeedRetention::of_days(30).unwrap();
        let sample = Closing { next: FeedWeek(2970), retention };
        assert_eq!(closing(CLOSING.trim_end()), Some(sample));
        assert_eq!(sample.to_string(), CLOSING.trim_end());
        for other in [
            "next week 02970 30",
            "next week +1 30",
            "next week  30",
            "next week 1",
            "next week 1 6",
            "next week 1 030",
            "next week 1 30\n",
            "next week 1000001 30",
            "next week 4294967295 30",
            "2970 30",
            "",
        ] {
            assert_eq!(closing(other), None, "{other}");
        }
        assert!(matches!(read(CLOSING.trim_end(), 0), Some(Err(_))));
    }
}
