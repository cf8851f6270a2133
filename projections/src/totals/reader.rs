//! Reads totals, and sums them again once they are old.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use ledger::error::StoreErrorKind;
use ledger::id::Tenant;
use ledger::journal::Journal;
use ledger::{Effects, StoreError};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{TenantFigures, TenantProjection, TenantSums, Totals};
use crate::current::CurrentGeneration;
use crate::generations::Generations;
use crate::rows::Rows;
use crate::views::ViewsDecorator as _;

/// Tenants whose rows can be summed concurrently.
const SUMS: usize = 8;
/// The time after which a reader is answered with an older sum: within a request's deadline.
const SUM_TIME: Duration = Duration::from_secs(8);

/// Reads the totals of tenants in the current generation.
pub struct TotalsReader {
    journal: Arc<dyn Journal>,
    current: CurrentGeneration,
    effects: Arc<dyn Effects>,
    max_age: Duration,
    /// A tenant is summed by one caller at a time; the others wait for its row.
    sums: [Mutex<()>; SUMS],
}

impl TotalsReader {
    /// Totals that are at most `max_age` old when they are read.
    pub fn new(
        journal: Arc<dyn Journal>,
        table: Arc<dyn Generations>,
        effects: Arc<dyn Effects>,
        max_age: Duration,
    ) -> Self {
        let current = CurrentGeneration::new(table);
        Self { journal, current, effects, max_age, sums: Default::default() }
    }

    /// The tenant's figures of `projection`. Those that are too old are summed again; if that takes
    /// too long, they are returned as they are.
    pub async fn read(
        &self,
        projection: &dyn TenantProjection,
        tenant: &Tenant,
    ) -> Result<TenantFigures, StoreError> {
        self.read_within(self.max_age, projection, tenant).await
    }

    /// The same, of this age at most.
    pub async fn read_within(
        &self,
        max_age: Duration,
        projection: &dyn TenantProjection,
        tenant: &Tenant,
    ) -> Result<TenantFigures, StoreError> {
        let rows = self.current.inner().await?;
        let young = |row: &Totals| self.is_young(row, max_age).then(|| row.of(projection))?;
        if let Some(figures) = stored(&*rows, tenant).await?.as_ref().and_then(young) {
            return Ok(figures);
        }
        let _turn = self.turn(tenant).lock().await;
        let seen = stored(&*rows, tenant).await?;
        if let Some(figures) = seen.as_ref().and_then(young) {
            return Ok(figures);
        }
        let sum = async {
            let totals = self.sum(&*rows, tenant).await?.totals(seen.as_ref());
            rows.put_totals(tenant, &totals).await.map(|_| totals)
        };
        let summed = timeout(SUM_TIME, sum).await.ok().transpose()?;
        summed.or(seen).and_then(|row| row.of(projection)).ok_or_else(|| {
            let context = format!("views: {} was not summed in time", projection.name());
            StoreError::new(StoreErrorKind::Unavailable, context)
        })
    }

    /// Sums the rows of a tenant, or of every tenant, and stores nothing.
    pub async fn summed(
        &self,
        projection: &dyn TenantProjection,
        tenant: Option<&Tenant>,
    ) -> Result<Vec<(Tenant, TenantFigures)>, StoreError> {
        let rows = self.current.inner().await?;
        let tenants = match tenant {
            Some(tenant) => BTreeSet::from([tenant.clone()]),
            None => rows.tenants().await?,
        };
        let mut summed = Vec::with_capacity(tenants.len());
        for tenant in tenants {
            let figures = self.sum(&*rows, &tenant).await?.totals(None).of(projection);
            summed.extend(figures.map(|figures| (tenant, figures)));
        }
        Ok(summed)
    }

    /// Whether a row need not be summed again. One of a time to come must be: the clock was set
    /// back.
    fn is_young(&self, row: &Totals, max_age: Duration) -> bool {
        (self.effects.now() - row.as_of).to_std().is_ok_and(|age| age < max_age)
    }

    async fn sum(&self, rows: &dyn Rows, tenant: &Tenant) -> Result<TenantSums, StoreError> {
        TenantSums::of(rows, tenant, &*self.journal, &*self.effects).await
    }

    fn turn(&self, tenant: &Tenant) -> &Mutex<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tenant);
        let nth = usize::try_from(hash % SUMS as u64).unwrap_or_default();
        &self.sums[nth]
    }
}

/// The stored row, unless it is unreadable.
async fn stored(rows: &dyn Rows, tenant: &Tenant) -> Result<Option<Totals>, StoreError> {
    Ok(rows.totals(Some(tenant)).await?.remove(tenant).and_then(Result::ok))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use futures::future::join_all;
    use ledger::testing::{Faulty, MemoryJournal};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::testing::{Clock, MemoryViews, Story};
    use crate::totals::Usage;
    use crate::views::Views;

    const AGE: Duration = Duration::from_secs(10);

    fn reader(table: Arc<dyn Generations>, journal: MemoryJournal, late: i64) -> TotalsReader {
        let clock = Clock(Clock::default().0 + TimeDelta::seconds(late));
        TotalsReader::new(Arc::new(journal), table, Arc::new(clock), AGE)
    }

    async fn assets(table: &Arc<MemoryViews>, late: i64) -> u64 {
        let reader = reader(table.clone(), MemoryJournal::default(), late);
        reader.read(&Usage, &Tenant::default()).await.unwrap().figures["assets"]
    }

    #[tokio::test]
    async fn totals_are_summed_again_when_they_are_old_or_of_a_time_to_come() {
        let table = Arc::<MemoryViews>::default();
        assert_eq!(assets(&table, 0).await, 0);
        let mut expected = 0;
        for (late, summed) in [(9, false), (10, true), (11, false), (5, true), (15, true)] {
            table.put(&Story::begin("main", expected + 1).asset()).await.unwrap();
            let before = assets(&table, late).await;
            expected += 1;
            if summed {
                assert_eq!(before, u64::from(expected), "{late}");
            } else {
                assert_eq!(before, u64::from(expected - 1), "{late}");
            }
        }
    }

    #[tokio::test]
    async fn many_readers_sum_once() {
        let (table, pages) = (MemoryViews::default(), Arc::<AtomicU32>::default());
        table.put(&Story::begin("main", 1).asset()).await.unwrap();
        let counted = pages.clone();
        let table = Faulty::planned(table, move |name| {
            counted.fetch_add(u32::from(name == "page"), Ordering::Relaxed);
            None
        });
        let reader = reader(Arc::new(table), MemoryJournal::default(), 0);
        let tenant = Tenant::default();
        let read = join_all((0..64).map(|_| reader.read(&Usage, &tenant))).await;
        assert!(read.into_iter().all(|totals| totals.unwrap().figures["assets"] == 1));
        assert_eq!(pages.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_unreadable_row_is_counted_from_its_history() {
        let (journal, table) = (MemoryJournal::default(), Arc::<MemoryViews>::default());
        for story in [Story::begin("main", 1).received(), Story::begin("main", 2)] {
            story.append_to(&journal).await;
            table.put(&story.asset()).await.unwrap();
            table.damage(&story.key, "altered");
        }
        let lost = Story::begin("main", 3);
        table.put(&lost.asset()).await.unwrap();
        table.damage(&lost.key, "without a history");
        let totals = reader(table, journal, 0).read(&Usage, &Tenant::default()).await.unwrap();
        let size = Story::begin("main", 1).received().asset().pin.unwrap().size;
        let figures: Vec<_> = totals.figures.into_iter().collect();
        assert_eq!(
            figures,
            [("assets", 2), ("awaiting", 1), ("bytes", size)].map(|(n, v)| (n.to_owned(), v))
        );
    }
}
