//! A store that loses calls and replies.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::asset::Asset;
use ledger::error::StoreErrorKind;
use ledger::history::History;
use ledger::id::{Key, PartitionKey, Tenant};
use ledger::journal::scan::{ScanPosition, Scanned, Segment};
use ledger::journal::{Appended, Arrival, Arrivals, Journal, Scan};
use ledger::record::StoredLine;
use tokio::sync::watch;

use crate::feed::{FeedLane, LaneEntry, LaneWrite, Lanes};
use crate::generations::{Generation, GenerationList, Generations, ReplayProgress};
use crate::position::{Position, PositionCommit, Positions};
use crate::rows::{RowPage, Rows};
use crate::totals::{StoredTotals, Totals};
use crate::views::{AssetPage, ListQuery, Parked, PutOutcome, Views};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// It never reaches the store.
    Before,
    /// It takes effect, and the reply is lost.
    After,
}

type Plan = Mutex<dyn FnMut(&'static str) -> Option<InjectedFault> + Send>;

/// A decorator that fails calls by a plan.
pub struct FaultyViews<T> {
    inner: T,
    plan: Arc<Plan>,
}

impl<T> FaultyViews<T> {
    /// Asks `plan` before each call, by the method's name, whether and how to fail it.
    pub fn new(
        inner: T,
        plan: impl FnMut(&'static str) -> Option<InjectedFault> + Send + 'static,
    ) -> Self {
        Self { inner, plan: Arc::new(Mutex::new(plan)) }
    }

    /// The inner store, which never fails.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    async fn call<R>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<R, StoreError>>,
    ) -> Result<R, StoreError> {
        let fault = self.plan.lock().unwrap_or_else(PoisonError::into_inner)(name);
        let lost = |what| {
            Err(StoreError::new(StoreErrorKind::Unavailable, format!("{name}: lost {what}")))
        };
        match fault {
            None => call.await,
            Some(InjectedFault::Before) => lost("before it arrived"),
            Some(InjectedFault::After) => {
                call.await?;
                lost("with its answer")
            }
        }
    }
}

#[async_trait]
impl<T: Views> Views for FaultyViews<T> {
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        self.call("get", self.inner.get(key)).await
    }

    async fn put(&self, asset: &Asset) -> Result<PutOutcome, StoreError> {
        self.call("put", self.inner.put(asset)).await
    }

    async fn put_checked(&self, history: &History) -> Result<PutOutcome, StoreError> {
        self.call("put", self.inner.put_checked(history)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError> {
        self.call("list", self.inner.list(query)).await
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        self.call("park", self.inner.park(parked)).await
    }

    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.call("parked", self.inner.parked(tenant, limit)).await
    }

    async fn contradicted(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.call("parked", self.inner.contradicted(tenant, limit)).await
    }

    async fn let_go(&self, parked: &Parked) -> Result<(), StoreError> {
        self.call("let_go", self.inner.let_go(parked)).await
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.call("sweep", self.inner.sweep(now)).await
    }
}

#[async_trait]
impl<T: Rows> Rows for FaultyViews<T> {
    fn parts(&self) -> u8 {
        self.inner.parts()
    }

    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError> {
        self.call("tenants", self.inner.tenants()).await
    }

    async fn page(
        &self,
        tenant: &Tenant,
        part: u8,
        after: Option<&str>,
    ) -> Result<RowPage, StoreError> {
        self.call("page", self.inner.page(tenant, part, after)).await
    }

    fn part_of(&self, key: &Key) -> u8 {
        self.inner.part_of(key)
    }

    async fn erase(&self, tenant: &Tenant, part: u8, id: &str) -> Result<(), StoreError> {
        self.call("erase", self.inner.erase(tenant, part, id)).await
    }

    async fn totals(&self, tenant: Option<&Tenant>) -> Result<StoredTotals, StoreError> {
        self.call("totals", self.inner.totals(tenant)).await
    }

    async fn put_totals(&self, tenant: &Tenant, row: &Totals) -> Result<PutOutcome, StoreError> {
        self.call("put_totals", self.inner.put_totals(tenant, row)).await
    }
}

#[async_trait]
impl<T: Generations> Generations for FaultyViews<T> {
    async fn generations(&self) -> Result<GenerationList, StoreError> {
        self.call("generations", self.inner.generations()).await
    }

    async fn replace(
        &self,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> Result<bool, StoreError> {
        self.call("replace", self.inner.replace(seen, list)).await
    }

    async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError> {
        self.call("progress", self.inner.progress()).await
    }

    async fn save(
        &self,
        seen: Option<&ReplayProgress>,
        to: &ReplayProgress,
    ) -> Result<bool, StoreError> {
        self.call("save", self.inner.save(seen, to)).await
    }

    fn rows(&self, of: Generation) -> Arc<dyn Rows> {
        Arc::new(FaultyViews { inner: self.inner.rows(of), plan: self.plan.clone() })
    }

    async fn remove(&self, generation: Generation) -> Result<u64, StoreError> {
        self.call("remove", self.inner.remove(generation)).await
    }

    fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        self.inner.lanes()
    }

    fn list_lease(&self) -> Duration {
        self.inner.list_lease()
    }
}

#[async_trait]
impl<T: Positions> Positions for FaultyViews<T> {
    async fn load(&self) -> Result<Position, StoreError> {
        self.call("load", self.inner.load()).await
    }

    async fn commit(
        &self,
        generations: &[Generation],
        histories: &[History],
        from: &Position,
        to: &Position,
    ) -> Result<PositionCommit, StoreError> {
        self.call("commit", self.inner.commit(generations, histories, from, to)).await
    }
}

#[async_trait]
impl<T: Journal> Journal for FaultyViews<T> {
    async fn history_of(&self, partition: &PartitionKey) -> Result<Vec<StoredLine>, StoreError> {
        self.call("history", self.inner.history_of(partition)).await
    }

    async fn last_of(&self, partition: &PartitionKey) -> Result<Option<StoredLine>, StoreError> {
        self.call("last", self.inner.last_of(partition)).await
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        self.call("append", self.inner.append_to(partition, line)).await
    }
}

#[async_trait]
impl<T: Journal> Scan for FaultyViews<T> {
    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError> {
        self.call("segments", self.inner.segments(count)).await
    }

    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        self.call("scan", Scan::page(&self.inner, segment, after)).await
    }
}

#[async_trait]
impl<T: Arrivals> Arrivals for FaultyViews<T> {
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
        self.call("arrivals", self.inner.arrivals(after, limit)).await
    }

    fn latest(&self) -> watch::Receiver<u64> {
        self.inner.latest()
    }
}

#[async_trait]
impl<T: Lanes> Lanes for FaultyViews<T> {
    async fn end(&self, lane: &FeedLane) -> Result<u64, StoreError> {
        self.call("end", self.inner.end(lane)).await
    }

    async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError> {
        self.call("put", self.inner.put(lane, place)).await
    }

    async fn places(
        &self,
        lane: &FeedLane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LaneEntry>, StoreError> {
        self.call("places", self.inner.places(lane, from, limit)).await
    }
}
