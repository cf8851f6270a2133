//! Tenants that work in the same table while a suite of the tenant `main` runs.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use ledger::StoreError;
use ledger::testing::neighbours::NEIGHBOURS;
use ledger::testing::{FaultInjector, Faulty};
use tokio::task::JoinSet;

use super::views::tenant;
use super::{Clock, Story};
use crate::generations::{Generation, Generations};
use crate::rows::Rows;
use crate::totals::Totals;
use crate::views::{ListQuery, Parked};

/// Rounds of each neighbour; each writes one more of every kind of row.
const ROUNDS: u32 = 5;

/// Lets other tasks go on before each call, also where the store never waits.
pub struct Interleaved;

impl FaultInjector for Interleaved {
    async fn around<T: Send>(
        &self,
        _: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        tokio::task::yield_now().await;
        call.await
    }
}

/// The neighbours in all tables of a suite.
#[derive(Default)]
pub struct Neighbours {
    tasks: Mutex<JoinSet<()>>,
}

impl Neighbours {
    /// Lets them work in the current rows of a table: they have written before the suite begins,
    /// and go on between its calls.
    ///
    /// # Panics
    /// If a neighbour finds anything but what it wrote.
    #[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    pub async fn beside<G: Generations>(&self, table: G) -> Faulty<G, Interleaved> {
        let table = Faulty::new(Arc::new(table), Arc::new(Interleaved));
        for name in NEIGHBOURS {
            let rows = table.rows(Generation::FIRST);
            work(&*rows, name, 1).await;
            self.tasks.lock().unwrap().spawn(async move {
                for round in 2..=ROUNDS {
                    work(&*rows, name, round).await;
                }
            });
        }
        table
    }

    /// Waits until all have ended.
    ///
    /// # Panics
    /// If one found anything but what it wrote, or none has worked.
    #[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    pub async fn leave(self) {
        let tasks = self.tasks.into_inner().unwrap();
        assert!(!tasks.is_empty(), "nobody was beside the suite");
        tasks.join_all().await;
    }
}

/// Whether a tenant is none of the neighbours: they are no part of what a suite expects.
pub(super) fn is_of_the_suite(tenant: &ledger::id::Tenant) -> bool {
    !NEIGHBOURS.contains(&tenant.as_str())
}

/// Writes one more row, parked asset and total, and one more row that is erased, and reads all.
async fn work(rows: &dyn Rows, name: &str, round: u32) {
    let tenant = tenant(name);
    let stories: Vec<_> =
        (1..=round).map(|nth| Story::begin(name, nth).received().deleted()).collect();
    let story = &stories[stories.len() - 1];
    for version in 1..=story.version() {
        well(rows.put(&story.at(version)).await);
    }
    let erased = Story::begin(name, 1_000 + round);
    well(rows.put(&erased.asset()).await);
    let (part, id) = (rows.part_of(&erased.key), erased.key.asset.to_string());
    well(rows.erase(&tenant, part, &id).await);
    let parked = |nth: u32| Parked {
        key: Story::begin(name, 500 + nth).key,
        version: 1,
        error: "no version 1".to_owned(),
        at: Clock::default().0 + TimeDelta::minutes(nth.into()),
        contradicted: nth.is_multiple_of(2),
    };
    well(rows.park(&parked(round)).await);
    let figures = [("usage".to_owned(), [("assets".to_owned(), round.into())].into())].into();
    let totals = Totals { revision: round.into(), as_of: Clock::default().0, figures };
    well(rows.put_totals(&tenant, &totals).await);

    for story in &stories {
        assert_eq!(well(rows.get(&story.key).await), Some(story.asset()));
    }
    let all = ListQuery::all(tenant.clone(), usize::MAX);
    let listed = well(rows.list(&all).await).assets;
    assert_eq!(listed, stories.iter().rev().map(Story::asset).collect::<Vec<_>>());
    let found = well(rows.parked(&tenant, usize::MAX).await);
    assert_eq!(found, (1..=round).map(parked).collect::<Vec<_>>());
    let stored = well(rows.totals(Some(&tenant)).await);
    let stored: Vec<_> = stored.into_iter().map(|(of, row)| (of, row.ok())).collect();
    assert_eq!(stored, [(tenant, Some(totals))]);
}

#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
fn well<T>(answer: Result<T, StoreError>) -> T {
    answer.unwrap()
}
