//! The ports of the read side, with faults.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::history::History;
use ledger::id::{Key, Tenant};
use ledger::testing::{FaultInjector, Faulty};

use crate::feed::{FeedLane, FeedRetention, LaneEntry, LaneWrite, Lanes};
use crate::generations::{Generation, GenerationList, Generations, ReplayProgress};
use crate::position::{Position, PositionCommit, Positions};
use crate::rows::{RowPage, Rows};
use crate::totals::{StoredTotals, Totals};
use crate::views::{PutOutcome, Views, ViewsDecorator};

impl<S: Views + ?Sized, F: FaultInjector> ViewsDecorator for Faulty<S, F> {
    type Inner = S;

    async fn inner(&self) -> Result<Arc<S>, StoreError> {
        Ok(self.share())
    }

    async fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.call(method, call).await
    }
}

#[async_trait]
impl<S: Rows + ?Sized, F: FaultInjector> Rows for Faulty<S, F> {
    fn parts(&self) -> u8 {
        self.inner().parts()
    }

    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError> {
        self.call("tenants", self.inner().tenants()).await
    }

    async fn page(
        &self,
        tenant: &Tenant,
        part: u8,
        after: Option<&str>,
    ) -> Result<RowPage, StoreError> {
        self.call("page", self.inner().page(tenant, part, after)).await
    }

    fn part_of(&self, key: &Key) -> u8 {
        self.inner().part_of(key)
    }

    async fn erase(&self, tenant: &Tenant, part: u8, id: &str) -> Result<(), StoreError> {
        self.call("erase", self.inner().erase(tenant, part, id)).await
    }

    async fn totals(&self, tenant: Option<&Tenant>) -> Result<StoredTotals, StoreError> {
        self.call("totals", self.inner().totals(tenant)).await
    }

    async fn put_totals(&self, tenant: &Tenant, row: &Totals) -> Result<PutOutcome, StoreError> {
        self.call("put_totals", self.inner().put_totals(tenant, row)).await
    }
}

#[async_trait]
impl<S: Generations + ?Sized, F: FaultInjector> Generations for Faulty<S, F> {
    async fn generations(&self) -> Result<GenerationList, StoreError> {
        self.call("generations", self.inner().generations()).await
    }

    async fn replace(
        &self,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> Result<bool, StoreError> {
        self.call("replace", self.inner().replace(seen, list)).await
    }

    async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError> {
        self.call("progress", self.inner().progress()).await
    }

    async fn save(
        &self,
        seen: Option<&ReplayProgress>,
        to: &ReplayProgress,
    ) -> Result<bool, StoreError> {
        self.call("save", self.inner().save(seen, to)).await
    }

    fn rows(&self, of: Generation) -> Arc<dyn Rows> {
        Arc::new(self.beside(self.inner().rows(of)))
    }

    async fn remove(&self, generation: Generation) -> Result<u64, StoreError> {
        self.call("remove", self.inner().remove(generation)).await
    }

    fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        self.inner().lanes().map(|lanes| Arc::new(self.beside(lanes)) as Arc<dyn Lanes>)
    }

    fn list_lease(&self) -> Duration {
        self.inner().list_lease()
    }
}

#[async_trait]
impl<S: Positions + ?Sized, F: FaultInjector> Positions for Faulty<S, F> {
    async fn load(&self) -> Result<Position, StoreError> {
        self.call("load", self.inner().load()).await
    }

    async fn commit(
        &self,
        generations: &[Generation],
        histories: &[History],
        from: &Position,
        to: &Position,
    ) -> Result<PositionCommit, StoreError> {
        self.call("commit", self.inner().commit(generations, histories, from, to)).await
    }
}

#[async_trait]
impl<S: Lanes + ?Sized, F: FaultInjector> Lanes for Faulty<S, F> {
    fn retention(&self) -> Option<FeedRetention> {
        self.inner().retention()
    }

    async fn last(&self, lane: &FeedLane) -> Result<Option<LaneEntry>, StoreError> {
        self.call("last", self.inner().last(lane)).await
    }

    async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError> {
        self.call("put", self.inner().put(lane, place)).await
    }

    async fn places(
        &self,
        lane: &FeedLane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LaneEntry>, StoreError> {
        self.call("places", self.inner().places(lane, from, limit)).await
    }
}
