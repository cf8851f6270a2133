//! The port to the truth: the append-only history of every asset, and the named streams beside
//! them.

mod memory;
pub mod scan;

use async_trait::async_trait;
use tokio::sync::watch;

pub use memory::MemoryJournal;
pub use scan::Scan;

use crate::chain::Hash;
use crate::error::StoreError;
use crate::id::{Key, PartitionKey, Tenant};
use crate::record::StoredLine;
use scan::Stray;

/// What became of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The event is the asset's history now.
    Written,
    /// The version was taken already, by this event.
    Taken(StoredLine),
}

/// The append-only history of every asset.
///
/// # Contract
/// * `append_to` is atomic and durable: once it answers [`Appended::Written`], the event survives a
///   crash of this process and machine. An append that fails may have taken effect.
/// * A version is written once. Whoever comes second gets [`Appended::Taken`] with the event that
///   holds it, however much later.
/// * In a file, `append_to` takes nothing that does not follow: version − 1 must be the last there
///   is, with the hash that `line` names as `prev`; before version 1 there must be none. Otherwise
///   it fails as `Corrupt`: the history that the caller read is not the one that is there. A
///   DynamoDB table is not asked this: a condition sees the item of its own key only, and a
///   transaction would cost each append twice. There the caller's load must do. Memory takes broken
///   histories too, for tests that need them.
/// * `history` and `last` see every event whose append was answered before they were called.
/// * Stored bytes come back as they were given.
#[async_trait]
pub trait Journal: Scan {
    /// Every event of `key`, oldest first; none for an asset that does not exist.
    async fn history(&self, key: &Key) -> Result<Vec<StoredLine>, StoreError>;

    /// The last event of `key`.
    async fn last(&self, key: &Key) -> Result<Option<StoredLine>, StoreError>;

    /// Appends `line` to an asset's history or a named stream if its version is free and follows.
    /// The caller has read the version before it.
    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError>;

    /// [`Journal::append_to`] the history of an asset.
    async fn append(&self, key: &Key, line: StoredLine) -> Result<Appended, StoreError> {
        self.append_to(&key.clone().into(), line).await
    }
}

/// An event and its place in the order in which a local journal took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its place: rising, unique, never used again; gaps mean nothing.
    pub number: u64,
    /// Whose event.
    pub key: Key,
    /// The event, or what is stored there instead: somebody else wrote it.
    pub line: Result<StoredLine, Stray>,
}

impl Arrival {
    /// Tells this arrival from another one that a restored journal has in its place.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match &self.line {
            Ok(line) => line.hash(),
            Err(stray) => Hash::of(stray.to_string().as_bytes()),
        }
    }
}

/// The order in which a local journal took its events.
///
/// # Contract
/// * Once an arrival was seen, none with a lower number appears later.
/// * What no ledger wrote holds up nobody: an item of an asset is told as a [`Stray`], and one that
///   is no asset's is passed over. So are the events of named streams.
/// * [`Arrivals::latest`] changes after each append of this process to an asset, and never to a
///   number whose event `arrivals` does not yet show.
#[async_trait]
pub trait Arrivals: Send + Sync {
    /// The arrivals after `number`, in order, at most `limit` of them.
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError>;

    /// The arrivals of one tenant's assets after `number`, in order, at most `limit` of them. As it
    /// stands here it reads everybody's, for a store that is small.
    async fn arrivals_of(
        &self,
        tenant: &Tenant,
        mut after: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        let mut of_tenant = Vec::new();
        while of_tenant.len() < limit {
            let some = self.arrivals(after, limit).await?;
            let Some(last) = some.last() else { break };
            after = last.number;
            of_tenant.extend(some.into_iter().filter(|arrival| arrival.key.tenant == *tenant));
        }
        of_tenant.truncate(limit);
        Ok(of_tenant)
    }

    /// Tells of each new arrival number.
    fn latest(&self) -> watch::Receiver<u64>;
}
