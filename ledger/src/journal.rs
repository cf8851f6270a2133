//! The port to the source of truth: the append-only history of every asset, and the named streams.

pub mod scan;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tokio::sync::watch;

pub use scan::Scan;

use crate::chain::Hash;
use crate::error::StoreError;
use crate::id::{Key, PartitionKey, Tenant};
use crate::record::StoredLine;
use scan::{ScanPosition, Scanned, Segment, Stray};

/// The result of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The event is now part of the asset's history.
    Written,
    /// The version is taken by this event.
    Taken(StoredLine),
}

/// The place of an event: its asset and version.
pub type EventPlace = (Key, u64);

/// The append-only history of every asset.
///
/// # Contract
/// * `append_to` is atomic and durable: once it returns [`Appended::Written`], the event survives a
///   crash of this process and machine. An append that fails may have taken effect.
/// * A version is written once. A later writer gets [`Appended::Taken`] with the stored event, at
///   any later time.
/// * In a file, `append_to` accepts only an event that follows: version − 1 must be the last one,
///   with the hash that `line` names as `prev`; before version 1 there must be none. Otherwise it
///   fails as `Corrupt`: the caller did not read the stored history. A DynamoDB table does not
///   check this: a condition covers the item of its own key only, and a transaction would double
///   the cost of each append. There the caller's load is the check. Memory also accepts broken
///   histories, for tests that need them.
/// * `history_of`, `last_of`, `events_after` and a consistent `events_at` see every event whose
///   append returned before the call.
/// * Stored bytes are returned unchanged.
#[async_trait]
pub trait Journal: Scan {
    /// Every event of an asset or a named stream, oldest first; empty for one that does not exist.
    async fn history_of(&self, partition: &PartitionKey) -> Result<Vec<StoredLine>, StoreError>;

    /// The events of an asset or a named stream after a version, oldest first, at most `limit` of
    /// them; fewer only if no more follow. The default implementation reads the whole history, for
    /// a small store.
    async fn events_after(
        &self,
        partition: &PartitionKey,
        version: u64,
        limit: usize,
    ) -> Result<Vec<StoredLine>, StoreError> {
        let all = self.history_of(partition).await?.into_iter();
        Ok(all.filter(|line| line.version > version).take(limit).collect())
    }

    /// The last event of an asset or a named stream.
    async fn last_of(&self, partition: &PartitionKey) -> Result<Option<StoredLine>, StoreError>;

    /// Appends `line` to an asset's history or a named stream if its version is free and follows.
    /// The caller has read the previous version.
    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError>;

    /// [`Journal::history_of`] an asset.
    async fn history(&self, key: &Key) -> Result<Vec<StoredLine>, StoreError> {
        self.history_of(&key.clone().into()).await
    }

    /// [`Journal::history`], possibly without the newest events or with a gap, for callers that
    /// check it and read again with [`Journal::history`]. The default is for a store in which this
    /// is not cheaper.
    async fn history_eventually(&self, key: &Key) -> Result<Vec<StoredLine>, StoreError> {
        self.history(key).await
    }

    /// The events at these places, in any order and each once; without those that the journal does
    /// not have. If not `consistent`, newer ones may be missing too, for callers that check it and
    /// read again. The default implementation reads whole histories, for a small store.
    async fn events_at(
        &self,
        places: &[EventPlace],
        consistent: bool,
    ) -> Result<Vec<(Key, StoredLine)>, StoreError> {
        let mut by_key = BTreeMap::<&Key, BTreeSet<u64>>::new();
        for (key, version) in places {
            by_key.entry(key).or_default().insert(*version);
        }
        let mut found = Vec::new();
        for (key, versions) in by_key {
            let lines = if consistent {
                self.history(key).await?
            } else {
                self.history_eventually(key).await?
            };
            let lines = lines.into_iter().filter(|line| versions.contains(&line.version));
            found.extend(lines.map(|line| (key.clone(), line)));
        }
        Ok(found)
    }

    /// [`Journal::last_of`] an asset.
    async fn last(&self, key: &Key) -> Result<Option<StoredLine>, StoreError> {
        self.last_of(&key.clone().into()).await
    }

    /// [`Journal::append_to`] the history of an asset.
    async fn append(&self, key: &Key, line: StoredLine) -> Result<Appended, StoreError> {
        self.append_to(&key.clone().into(), line).await
    }
}

/// A journal around another one: a call is passed on, through [`JournalDecorator::around`]. A
/// method that is overridden decides by itself whether and how to call the inner journal.
pub trait JournalDecorator: Send + Sync {
    /// The journal that is called.
    type Inner: Journal + ?Sized;

    /// The inner journal.
    fn inner(&self) -> &Self::Inner;

    /// Runs around each call that is passed on, by the name of the method.
    fn around<T: Send>(
        &self,
        _method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        call
    }

    /// [`Journal::append_to`].
    fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> impl Future<Output = Result<Appended, StoreError>> + Send {
        async move { self.around("append", self.inner().append_to(partition, line)).await }
    }

    /// [`Scan::page`].
    fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> impl Future<Output = Result<Scanned, StoreError>> + Send {
        async move { self.around("scan", self.inner().page(segment, after)).await }
    }
}

#[async_trait]
impl<D: JournalDecorator> Journal for D {
    async fn history_of(&self, partition: &PartitionKey) -> Result<Vec<StoredLine>, StoreError> {
        self.around("history", self.inner().history_of(partition)).await
    }

    async fn events_after(
        &self,
        partition: &PartitionKey,
        version: u64,
        limit: usize,
    ) -> Result<Vec<StoredLine>, StoreError> {
        self.around("events", self.inner().events_after(partition, version, limit)).await
    }

    async fn history_eventually(&self, key: &Key) -> Result<Vec<StoredLine>, StoreError> {
        self.around("history", self.inner().history_eventually(key)).await
    }

    async fn events_at(
        &self,
        places: &[EventPlace],
        consistent: bool,
    ) -> Result<Vec<(Key, StoredLine)>, StoreError> {
        self.around("events", self.inner().events_at(places, consistent)).await
    }

    async fn last_of(&self, partition: &PartitionKey) -> Result<Option<StoredLine>, StoreError> {
        self.around("last", self.inner().last_of(partition)).await
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        JournalDecorator::append_to(self, partition, line).await
    }
}

/// An event and its position in the order of arrival at a local journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its position: increasing, unique, never reused; gaps have no meaning.
    pub number: u64,
    /// The asset.
    pub key: Key,
    /// The event, or an item in its place that no ledger wrote.
    pub line: Result<StoredLine, Stray>,
}

impl Arrival {
    /// Distinguishes this arrival from another arrival at the same position of a restored journal.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match &self.line {
            Ok(line) => line.hash(),
            Err(stray) => Hash::of(stray.to_string().as_bytes()),
        }
    }
}

/// The order in which a local journal stored its events.
///
/// # Contract
/// * Once an arrival was seen, no lower number appears later.
/// * An item that no ledger wrote does not block reading: an item of an asset is returned as a
///   [`Stray`], and an item of no asset is skipped. So are the events of named streams.
/// * [`Arrivals::latest`] changes after each append of this process to an asset, and never to a
///   number whose event `arrivals` does not yet show.
#[async_trait]
pub trait Arrivals: Send + Sync {
    /// The arrivals after `number`, in order, at most `limit` of them.
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError>;

    /// The arrivals of one tenant's assets after `number`, in order, at most `limit` of them. The
    /// default implementation reads the arrivals of all tenants, for a small store.
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

    /// Publishes each new arrival number.
    fn latest(&self) -> watch::Receiver<u64>;
}
