//! Following the journal's stream where no Lambda does it: the port to a stream, and what reads it.
//!
//! What a stream says are hints. Following one twice, late, or beside another worker changes
//! nothing but what it costs, so there are no leases and no checkpoints to keep right.

mod dynamodb;
mod follower;
mod record;
mod shards;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use projections::runner::ProjectionHint;

pub use dynamodb::DynamoStream;
pub use follower::{FollowerStatus, StreamFollower};
pub use record::ItemChange;

/// A part of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamShard {
    /// Its name.
    pub id: String,
    /// The shard whose records come before its own.
    pub parent: Option<String>,
}

/// What there is of a stream now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The stream's name. Switching a table's stream off and on makes another one.
    pub stream: String,
    /// All of its shards that still have records, in any order.
    pub shards: Vec<StreamShard>,
}

/// Where in a shard to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardPosition {
    /// At the oldest record that is kept.
    Oldest,
    /// After the record with this sequence number.
    After(String),
}

/// What one read of a shard brings.
#[derive(Debug, Clone, Default)]
pub struct ShardRecords {
    /// Records, perhaps none although more will follow.
    pub records: Vec<ItemChange>,
    /// Where to read on; `None` once the shard is closed and read to its end.
    pub next: Option<String>,
}

/// Why a shard could not be read.
#[derive(Debug, Clone)]
pub enum StreamError {
    /// The iterator is too old: make another one.
    Expired,
    /// What stood at this place is gone: some records were never read.
    Trimmed,
    /// The stream or the shard is not there any more.
    Gone,
    /// The stream did not answer.
    Store(StoreError),
}

/// The changes of a journal's table.
///
/// # Contract
/// * An item's changes stand in one shard, or in its descendants, in order.
/// * A record may come twice, and is kept for 24 hours.
#[async_trait]
pub trait JournalStream: Send + Sync {
    /// Every shard. `Misconfigured` if the table has no stream.
    async fn shards(&self) -> Result<Listing, StoreError>;

    /// An iterator for a place in a shard.
    async fn iterator(&self, shard: &str, place: &ShardPosition) -> Result<String, StreamError>;

    /// What stands at an iterator.
    async fn records(&self, iterator: &str) -> Result<ShardRecords, StreamError>;
}

/// Where a walk through the journal's keys goes on; made by [`JournalInventory::page`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryCursor {
    pub(super) partition: String,
    pub(super) version: u64,
}

/// Every asset of the journal, for when a stream cannot tell.
#[async_trait]
pub trait JournalInventory: Send + Sync {
    /// The assets after `after`, each with a version that it has reached, and where to go on;
    /// `None` at the end. An asset may come twice.
    async fn page(
        &self,
        after: Option<&InventoryCursor>,
    ) -> Result<(Vec<ProjectionHint>, Option<InventoryCursor>), StoreError>;
}

/// When something was written, as far as a stream knows.
type Time = DateTime<Utc>;
