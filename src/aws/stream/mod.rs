//! Follows the journal's stream without Lambda: the port to a stream, and its reader.
//!
//! The records of a stream are hints. Processing one twice, late, or in two workers changes only
//! the cost, so there are no leases and no checkpoints.

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
    /// The shard with the earlier records.
    pub parent: Option<String>,
}

/// The present shards of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The stream's ARN. Turning a table's stream off and on creates another one.
    pub stream: String,
    /// All shards that still have records, in any order.
    pub shards: Vec<StreamShard>,
}

/// A position in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardPosition {
    /// The oldest record that is kept.
    Oldest,
    /// After the record with this sequence number.
    After(String),
}

/// The result of one read of a shard.
#[derive(Debug, Clone, Default)]
pub struct ShardRecords {
    /// Records; possibly none even if more follow.
    pub records: Vec<ItemChange>,
    /// The next iterator; `None` once the shard is closed and read to its end.
    pub next: Option<String>,
}

/// Why a read of a shard failed.
#[derive(Debug, Clone)]
pub enum StreamError {
    /// The iterator has expired: request another one.
    Expired,
    /// The position was trimmed: some records were never read.
    Trimmed,
    /// The stream or the shard does not exist any more.
    Gone,
    /// The stream did not answer.
    Store(StoreError),
}

/// The changes of a journal's table.
///
/// # Contract
/// * The changes of an item are in one shard, or in its descendants, in order.
/// * A record may be returned twice, and is kept for 24 hours.
#[async_trait]
pub trait JournalStream: Send + Sync {
    /// Every shard. `Misconfigured` if the table has no stream.
    async fn shards(&self) -> Result<Listing, StoreError>;

    /// An iterator for a position in a shard.
    async fn iterator(&self, shard: &str, place: &ShardPosition) -> Result<String, StreamError>;

    /// The records at an iterator.
    async fn records(&self, iterator: &str) -> Result<ShardRecords, StreamError>;
}

/// A position in the scan of the journal's keys; created by [`JournalInventory::page`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryCursor {
    pub(super) partition: String,
    pub(super) version: u64,
}

/// Every asset of the journal, for when the stream has lost records.
#[async_trait]
pub trait JournalInventory: Send + Sync {
    /// The assets after `after`, each with a version that it has reached, and the next position;
    /// `None` at the end. An asset may be returned twice.
    async fn page(
        &self,
        after: Option<&InventoryCursor>,
    ) -> Result<(Vec<ProjectionHint>, Option<InventoryCursor>), StoreError>;
}

/// The time of a write, as a stream reports it.
type Time = DateTime<Utc>;
