//! The storage of the feed of a store without an order of arrival: lanes of numbered entries, each
//! written once, with references to events.
//!
//! All references of an asset are in one lane, chosen by its id, so lanes keep the order of an
//! asset's events. There are several lanes to spread the load over partitions.

mod reference;

use std::fmt;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::id::{Key, Tenant};

pub(super) use reference::{Reference, ReferenceError, lines, read, write};

/// Lanes of a tenant. A lane takes about a hundred entries a second, of all writers together, and
/// an entry has the events of a batch. A polling reader queries each lane. The number never
/// changes: it determines the lane of an asset's references.
pub const LANES: u8 = 4;

/// One lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedLane {
    /// The tenant of the events.
    pub tenant: Tenant,
    /// The number of the lane, below [`LANES`].
    pub number: u8,
}

impl FeedLane {
    /// The lane of an asset's events.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self { tenant: key.tenant.clone(), number: key.asset.last_byte() % LANES }
    }

    /// All lanes of a tenant, in order.
    pub fn all(tenant: &Tenant) -> impl Iterator<Item = Self> + '_ {
        (0..LANES).map(|number| Self { tenant: tenant.clone(), number })
    }
}

impl fmt::Display for FeedLane {
    /// The lane's partition key: `<tenant>#feed#<lane>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#feed#{}", self.tenant, self.number)
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
}

/// The lanes of all tenants.
///
/// # Contract
/// * An entry is written once, whole. A later writer gets [`LaneWrite::Taken`] with the stored
///   text, at any later time.
/// * `end` and `places` see every entry whose `put` returned before the call.
/// * `places` are in order, from the requested number or the next one that exists. An entry that is
///   written concurrently may be among them although an earlier one is not yet.
/// * A call that fails may have taken effect; repeating it is safe.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// The number of the last entry; 0 for an empty lane.
    async fn end(&self, lane: &FeedLane) -> Result<u64, StoreError>;

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
