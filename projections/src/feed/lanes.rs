//! Where the feed of a store without an order of arrival is kept: lanes of numbered places, each
//! written once, holding references to events.
//!
//! An asset's references are all in one lane, which its id chooses, so that lanes keep the order of
//! an asset's events without knowing it. Several lanes, so that no one partition has to take all.

mod memory;
mod reference;

use std::fmt;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::id::{Key, Tenant};

pub use memory::MemoryLanes;
pub(super) use reference::{Reference, lines, read, write};

/// Lanes of a tenant. A lane takes some hundred places a second, each of a dozen and a half events,
/// which is more than the stream of one partition brings; a reader that waits asks each of them.
/// Fixed for ever: it says in which lane an asset's references are.
pub const LANES: u8 = 4;

/// One lane.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedLane {
    /// Whose events.
    pub tenant: Tenant,
    /// Which of the tenant's lanes, below [`LANES`].
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

/// What became of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneWrite {
    /// It holds what was to be put there.
    Written,
    /// It was taken already, and holds this.
    Taken(String),
}

/// A place of a lane, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneEntry {
    /// Its number, from 1.
    pub number: u64,
    /// What it holds.
    pub text: String,
}

/// The lanes of all tenants.
///
/// # Contract
/// * A place is written once, whole. Whoever comes second gets [`LaneWrite::Taken`] with what it
///   holds, however much later.
/// * `end` and `places` see every place whose `put` was answered before they were called.
/// * `places` are in order, from the first number that was asked for or the next that there is. A
///   place that is written meanwhile may be among them although one before it is not yet.
/// * A call that fails may have taken effect; repeating it is safe.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// The number of the last place; 0 for an empty lane.
    async fn end(&self, lane: &FeedLane) -> Result<u64, StoreError>;

    /// Writes a place if it is free. The caller knows that the place before it is there.
    async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError>;

    /// The places from number `from` on, at most `limit` of them.
    async fn places(
        &self,
        lane: &FeedLane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LaneEntry>, StoreError>;
}
