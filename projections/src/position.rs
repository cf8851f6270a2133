//! How far a follower has come, kept beside the rows that it wrote.

use async_trait::async_trait;
use ledger::StoreError;
use ledger::chain::Hash;

/// A place in a local journal, and how to recognise that journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Counts the rebuilds: a place reached before one is not the same place after it.
    pub epoch: u64,
    /// The last arrival whose row is written; 0 before the first.
    pub number: u64,
    /// The hash of that event; zeros before the first.
    pub hash: Hash,
}

/// Where followers keep their position.
///
/// # Contract
/// * A position is never there without the rows that were answered before it was saved, also after
///   a crash of the machine: losing both is fine, losing only the rows would skip events.
/// * A position moves on from where its follower found it, or not at all: of two followers one is
///   told that it came second, and nobody moves on over a rebuild.
/// * A call that fails may have taken effect; repeating it is safe.
#[async_trait]
pub trait Positions: Send + Sync {
    /// The position; of a new view, number 0.
    async fn load(&self) -> Result<Position, StoreError>;

    /// Moves the position to `to` if it still is `from`; whether it was.
    async fn advance(&self, from: &Position, to: &Position) -> Result<bool, StoreError>;

    /// Forgets every row of every generation, everything set aside, whatever replay was under
    /// way, and the position, and begins a new epoch.
    async fn reset(&self) -> Result<(), StoreError>;
}
