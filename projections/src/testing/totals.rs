//! The contract of totals: rows of a tenant that are replaced only by newer ones.

use std::sync::Arc;

use chrono::TimeDelta;
use ledger::id::Tenant;
use ledger::testing::MemoryJournal;

use super::neighbours::is_of_the_suite;
use super::{Clock, Story, settle};
use crate::generations::{Generation, Generations};
use crate::rows::Rows;
use crate::totals::{StoredTotals, Totals, TotalsReader, Usage};
use crate::views::PutOutcome;

/// Verifies that the tables of `make`, empty each time, keep the contract of [`Rows`] about totals.
///
/// # Panics
/// If one does not.
pub async fn totals<G: Generations>(make: impl AsyncFn() -> G) {
    the_newest_totals_stay(make().await).await;
    totals_belong_to_a_tenant_and_a_generation(make().await).await;
    totals_are_removed_with_their_generation(make().await).await;
}

#[allow(clippy::expect_used, reason = "the suite names its tenants itself")]
fn tenant(name: &str) -> Tenant {
    name.parse().expect("a tenant's name")
}

fn row(revision: u64, assets: u64) -> Totals {
    let figures = [("usage".to_owned(), [("assets".to_owned(), assets)].into())].into();
    Totals { revision, as_of: Clock::default().0, figures }
}

async fn put(rows: &dyn Rows, tenant: &Tenant, row: &Totals) -> (PutOutcome, bool) {
    settle(async || rows.put_totals(tenant, row).await).await
}

async fn all(rows: &dyn Rows, tenant: Option<&Tenant>) -> Vec<(Tenant, Option<Totals>)> {
    let (stored, _): (StoredTotals, _) = settle(async || rows.totals(tenant).await).await;
    let of_the_suite = stored.into_iter().filter(|(tenant, _)| is_of_the_suite(tenant));
    of_the_suite.map(|(tenant, row)| (tenant, row.ok())).collect()
}

async fn the_newest_totals_stay(table: impl Generations) {
    let (rows, tenant) = (table.rows(Generation::FIRST), tenant("main"));
    assert_eq!(all(&*rows, None).await, []);
    let latest = row(1 << 51, 3);
    for (revision, written) in [(5, true), (5, false), (4, false), (1 << 51, true), (6, false)] {
        let row = row(revision, if revision == 1 << 51 { 3 } else { revision });
        let (put, first_try) = put(&*rows, &tenant, &row).await;
        assert!((put == PutOutcome::Written) == written || !first_try, "revision {revision}");
    }
    assert_eq!(all(&*rows, Some(&tenant)).await, [(tenant, Some(latest))]);
}

async fn totals_belong_to_a_tenant_and_a_generation(table: impl Generations) {
    let [first, second] =
        [Generation::FIRST, Generation::FIRST.next()].map(|generation| table.rows(generation));
    let names = ["a", "a-b", "aa"];
    for (name, assets) in names.into_iter().zip(1..) {
        put(&*first, &tenant(name), &row(1, assets)).await;
    }
    put(&*second, &tenant("a"), &row(9, 9)).await;
    for (name, assets) in names.into_iter().zip(1..) {
        let only = tenant(name);
        let stored = all(&*first, Some(&only)).await;
        assert_eq!(stored, [(only, Some(row(1, assets)))], "{name}");
    }
    assert_eq!(all(&*first, None).await.len(), 3);
    assert_eq!(all(&*second, None).await, [(tenant("a"), Some(row(9, 9)))]);
}

async fn totals_are_removed_with_their_generation(table: impl Generations) {
    let second = Generation::FIRST.next();
    for of in [Generation::FIRST, second] {
        put(&*table.rows(of), &tenant("main"), &row(1, 1)).await;
    }
    settle(async || table.remove(second).await).await;
    assert_eq!(all(&*table.rows(second), None).await, []);
    assert_eq!(all(&*table.rows(Generation::FIRST), None).await.len(), 1);
}

/// Verifies that every asset of a table, empty before, is counted once for its tenant.
///
/// # Panics
/// If one is not.
pub async fn usage(table: impl Generations + 'static) {
    let rows = table.rows(Generation::FIRST);
    for nth in 1..=30 {
        let story = Story::begin(if nth % 3 == 0 { "other" } else { "main" }, nth);
        let story = if nth % 2 == 0 { story.received() } else { story };
        let purged = nth == 2;
        let story = if purged { story.deleted().purged() } else { story };
        // A store with a TTL may drop the tombstone at once: its time is past. Then nothing holds a
        // late row back.
        let late = (!purged).then_some(1);
        for version in [story.version()].into_iter().chain(late) {
            settle(async || rows.put(&story.at(version)).await).await;
        }
    }
    let effects = Arc::new(Clock(Clock::default().0 + TimeDelta::days(1)));
    let age = std::time::Duration::from_secs(10);
    let reader =
        TotalsReader::new(Arc::new(MemoryJournal::default()), Arc::new(table), effects, age);
    for (name, expected) in [("main", [19, 10]), ("other", [10, 5]), ("none", [0, 0])] {
        let tenant = tenant(name);
        let (read, _) = settle(async || reader.read(&Usage, &tenant).await).await;
        assert_eq!([read.figures["assets"], read.figures["awaiting"]], expected, "{name}");
        let stored = all(&*rows, Some(&tenant)).await;
        assert_eq!(stored[0].1.as_ref().and_then(|row| row.of(&Usage)), Some(read));
    }
}
