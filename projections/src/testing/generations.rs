//! The contract of [`Generations`], and of the [`Rows`] of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use futures::future::join_all;
use ledger::asset::Asset;
use ledger::id::{AssetId, Key, Tenant};
use ledger::journal::scan::{ScanPosition, Segment};

use super::neighbours::is_of_the_suite;
use super::{Clock, Story, settle};
use crate::generations::{
    BrokenHistory, Generation, GenerationList, Generations, ReplayProgress, SegmentProgress,
};
use crate::rows::Rows;
use crate::views::{ListQuery, Parked, PutOutcome};

/// Enough rows for more than one page in every store.
const MANY: u32 = 1_050;

/// Verifies that the tables of `make`, empty each time, keep the contract of [`Generations`].
///
/// # Panics
/// If one does not.
pub async fn generations<G: Generations>(make: impl AsyncFn() -> G) {
    a_new_table_has_its_first_generation_and_no_replay(make().await).await;
    a_list_is_replaced_only_by_who_saw_it(make().await).await;
    progress_is_saved_only_by_who_saw_it(make().await).await;
    generations_never_meet(make().await).await;
    what_was_set_aside_is_of_no_generation(make().await).await;
    a_generation_is_removed_whole_and_alone(make().await).await;
    pages_give_every_row_once(make().await).await;
    the_rows_of_a_tenant_are_its_own(make().await).await;
    every_tenant_of_a_generation_is_named(make().await).await;
    a_row_is_erased_and_no_other(make().await).await;
}

async fn list(table: &impl Generations) -> GenerationList {
    settle(async || table.generations().await).await.0
}

async fn progress(table: &impl Generations) -> Option<ReplayProgress> {
    settle(async || table.progress().await).await.0
}

/// Replaces the list, and returns whether the answer was correct.
async fn replace(table: &impl Generations, seen: &GenerationList, by: &GenerationList) -> bool {
    let (answer, first_try) = settle(async || table.replace(seen, by).await).await;
    // A first attempt whose reply was lost may have replaced it.
    answer || !first_try && list(table).await == *by
}

async fn save(
    table: &impl Generations,
    seen: Option<&ReplayProgress>,
    to: &ReplayProgress,
) -> bool {
    let (answer, first_try) = settle(async || table.save(seen, to).await).await;
    answer || !first_try && progress(table).await.as_ref() == Some(to)
}

async fn put(rows: &Arc<dyn Rows>, asset: &Asset) -> (PutOutcome, bool) {
    settle(async || rows.put(asset).await).await
}

async fn get(rows: &Arc<dyn Rows>, key: &Key) -> Option<Asset> {
    settle(async || rows.get(key).await).await.0
}

async fn parked(rows: &Arc<dyn Rows>) -> Vec<AssetId> {
    let (parked, _) = settle(async || rows.parked(&Tenant::default(), 9).await).await;
    parked.iter().map(|parked| parked.key.asset).collect()
}

/// Three generations of a table's rows.
fn three(table: &impl Generations) -> [Arc<dyn Rows>; 3] {
    let second = Generation::FIRST.next();
    [Generation::FIRST, second, second.next()].map(|generation| table.rows(generation))
}

/// Every row of a tenant, by its part.
async fn all(rows: &Arc<dyn Rows>, tenant: &Tenant) -> BTreeMap<u8, Vec<(String, Asset)>> {
    let mut parts = BTreeMap::new();
    for part in 0..rows.parts() {
        let (found, mut after) = (parts.entry(part).or_insert_with(Vec::new), None::<String>);
        loop {
            let page = async || rows.page(tenant, part, after.as_deref()).await;
            let (page, _) = settle(page).await;
            for row in page.rows {
                assert!(after.is_none_or(|after| after < row.id), "not by rising key");
                after = Some(row.id.clone());
                match row.asset {
                    Ok(asset) => found.push((row.id, asset)),
                    Err(error) => panic!("a row that was put cannot be read: {error:?}"),
                }
            }
            let Some(next) = page.next else { break };
            assert_eq!(Some(&next), after.as_ref(), "the next page starts after this one");
        }
        is_unread_the_same(rows, tenant, part, found).await;
    }
    parts
}

/// The rows that are not read yet are those that are read.
async fn is_unread_the_same(
    rows: &Arc<dyn Rows>,
    tenant: &Tenant,
    part: u8,
    read: &[(String, Asset)],
) {
    let (mut read, mut after) = (read.iter(), None::<String>);
    loop {
        let page = async || rows.unread_page(tenant, part, after.as_deref()).await;
        let (page, _) = settle(page).await;
        let last = page.rows.last().map(|last| last.id.clone());
        for unread in page.rows {
            let Some((id, asset)) = read.next() else { panic!("one row more: {}", unread.id) };
            assert!(unread.is_written_as(asset), "{asset:?}");
            let other = Asset { confirmed: !asset.confirmed, ..asset.clone() };
            assert!(!unread.is_written_as(&other), "{asset:?}");
            let row = unread.read(tenant);
            assert_eq!((&row.id, row.asset.ok().as_ref()), (id, Some(asset)));
        }
        if page.next.is_none() {
            break;
        }
        assert_eq!(page.next, last, "the next page starts after this one");
        after = page.next;
    }
    assert_eq!(read.next(), None, "rows are left out");
}

async fn a_new_table_has_its_first_generation_and_no_replay(table: impl Generations) {
    assert_eq!(list(&table).await, GenerationList::default());
    assert_eq!(progress(&table).await, None);
}

#[allow(clippy::expect_used, reason = "the suite announces what can be announced")]
async fn a_list_is_replaced_only_by_who_saw_it(table: impl Generations) {
    let new = GenerationList::default();
    let [one, other] =
        ["one", "other"].map(|run| new.announced(run, Clock::default().0).expect("a new table"));
    assert!(replace(&table, &new, &one).await);
    assert_eq!(list(&table).await, one);
    for gone in [&new, &other] {
        assert!(!settle(async || table.replace(gone, &other).await).await.0, "{gone:?} is gone");
        assert_eq!(list(&table).await, one);
    }
    let given_up = one.given_up(Clock::default().0);
    assert!(replace(&table, &one, &given_up).await);
    assert_eq!(list(&table).await, given_up);
    assert!(!settle(async || table.replace(&one, &new).await).await.0);
}

fn begun(run: &str) -> ReplayProgress {
    let segment = Segment { number: 0, of: 2, from: None, until: Some("main#7\"'🧩".to_owned()) };
    let place = ScanPosition { partition: "main#4".to_owned(), version: "7".to_owned() };
    let stretch = SegmentProgress { segment, place: Some(place), done: true, events: 9, assets: 3 };
    let broken =
        BrokenHistory { partition: "main#5".to_owned(), why: "version 2 is missing".to_owned() };
    ReplayProgress {
        generation: Generation::FIRST.next(),
        run: run.to_owned(),
        at: Clock::default().0,
        stopped: false,
        stretches: vec![stretch],
        broken: vec![broken.clone()],
        broken_count: 1,
        unknown: vec![broken],
        unknown_count: 1,
    }
}

async fn progress_is_saved_only_by_who_saw_it(table: impl Generations) {
    let [one, other] = ["one", "other"].map(begun);
    assert!(!settle(async || table.save(Some(&one), &other).await).await.0, "there was none");
    assert!(save(&table, None, &one).await);
    assert_eq!(progress(&table).await.as_ref(), Some(&one));
    for gone in [None, Some(&other)] {
        assert!(!settle(async || table.save(gone, &other).await).await.0, "{gone:?} is gone");
        assert_eq!(progress(&table).await.as_ref(), Some(&one));
    }
    assert!(save(&table, Some(&one), &other).await);
    assert_eq!(progress(&table).await, Some(other));
}

async fn generations_never_meet(table: impl Generations) {
    let [first, second, third] = three(&table);
    let story = Story::begin("main", 1).received().uploaded();
    for (rows, version) in [(&first, 2), (&second, 3), (&third, 1)] {
        let (answer, first_try) = put(rows, &story.at(version)).await;
        assert!(answer == PutOutcome::Written || !first_try, "version {version}");
    }
    for (rows, version) in [(&first, 2), (&second, 3), (&third, 1)] {
        assert_eq!(get(rows, &story.key).await, Some(story.at(version)));
        let query = ListQuery::all(Tenant::default(), usize::MAX);
        let (page, _) = settle(async || rows.list(&query).await).await;
        assert_eq!(page.assets, [story.at(version)]);
    }
    let purged = Story::begin("main", 2).received().deleted().purged().asset();
    put(&first, &purged).await;
    put(&second, &purged).await;
    let late = purged.updated_at + TimeDelta::days(99);
    settle(async || first.sweep(late).await).await;
    assert_eq!(get(&second, &purged.key).await, Some(purged));
}

async fn what_was_set_aside_is_of_no_generation(table: impl Generations) {
    let [first, second, _] = three(&table);
    let story = Story::begin("main", 1).received();
    let (key, at) = (story.key.clone(), Clock::default().0);
    let aside =
        Parked { key, version: 2, error: "no version 2".to_owned(), at, contradicted: false };
    settle(async || first.park(&aside).await).await;
    assert_eq!(parked(&second).await, [story.key.asset]);
    put(&second, &story.asset()).await;
    assert_eq!(parked(&first).await, [story.key.asset], "its own row has not reached it");
    put(&first, &story.asset()).await;
    assert_eq!(parked(&first).await, []);
}

async fn a_generation_is_removed_whole_and_alone(table: impl Generations) {
    let [first, second, third] = three(&table);
    let stories: Vec<_> = (1..=30).map(|nth| Story::begin("main", nth)).collect();
    for story in &stories {
        for rows in [&first, &second] {
            put(rows, &story.asset()).await;
        }
    }
    let (removed, first_try) = settle(async || table.remove(Generation::FIRST.next()).await).await;
    assert!(removed == 30 || !first_try, "{removed}");
    assert_eq!(settle(async || table.remove(Generation::FIRST.next()).await).await.0, 0);
    for story in &stories {
        assert_eq!(get(&first, &story.key).await, Some(story.asset()));
        assert_eq!(get(&second, &story.key).await, None);
        assert_eq!(get(&third, &story.key).await, None);
    }
}

async fn pages_give_every_row_once(table: impl Generations) {
    let [first, second, _] = three(&table);
    let mut assets: Vec<_> = (1..MANY).map(|nth| Story::begin("main", nth).asset()).collect();
    assets.push(Story::begin("main", MANY).received().deleted().purged().asset());
    join_all(assets.iter().map(|asset| put(&first, asset))).await;
    put(&second, &Story::begin("main", MANY + 1).asset()).await;

    let parts = all(&first, &Tenant::default()).await;
    let mut found: Vec<_> = parts.into_values().flatten().collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let expected = assets.into_iter().map(|asset| (asset.key.asset.to_string(), asset));
    assert!(found.into_iter().eq(expected), "the pages are not the rows");
}

#[allow(clippy::expect_used, reason = "the suite names its tenants itself")]
async fn the_rows_of_a_tenant_are_its_own(table: impl Generations) {
    let [first, ..] = three(&table);
    let (mine, theirs) = (Story::begin("main", 1), Story::begin("main-2", 2));
    for story in [&mine, &theirs] {
        put(&first, &story.asset()).await;
    }
    for (tenant, rows) in [("main", vec![mine.asset()]), ("main-2", vec![theirs.asset()])] {
        let parts = all(&first, &tenant.parse().expect("a tenant")).await;
        let found: Vec<_> = parts.into_values().flatten().map(|(_, asset)| asset).collect();
        assert_eq!(found, rows);
    }
    let parts = all(&first, &"mai".parse().expect("a tenant")).await;
    assert!(parts.into_values().all(|rows| rows.is_empty()));
}

#[allow(clippy::expect_used, reason = "the suite names its tenants itself")]
async fn every_tenant_of_a_generation_is_named(table: impl Generations) {
    let [first, second, third] = three(&table);
    for (rows, tenant) in [(&first, "a"), (&first, "a-b"), (&first, "aa"), (&second, "b")] {
        put(rows, &Story::begin(tenant, 1).asset()).await;
        put(rows, &Story::begin(tenant, 2).asset()).await;
    }
    let (key, at) = (Story::begin("c", 3).key, Clock::default().0);
    let aside = Parked { key, version: 1, error: "none".to_owned(), at, contradicted: false };
    settle(async || first.park(&aside).await).await;
    for (rows, of) in [(&first, "a a-b aa c"), (&second, "b c"), (&third, "c")] {
        let (mut tenants, _) = settle(async || rows.tenants().await).await;
        tenants.retain(is_of_the_suite);
        assert!(tenants.iter().map(Tenant::as_str).eq(of.split(' ')), "{tenants:?} {of}");
    }
}

async fn a_row_is_erased_and_no_other(table: impl Generations) {
    let (one, other) = (Story::begin("main", 1).received(), Story::begin("main", 2));
    let list = list(&table).await;
    let rows = table.rows(list.current);
    for story in [&one, &other] {
        put(&rows, &story.asset()).await;
    }
    let (part, id) = (rows.part_of(&one.key), one.key.asset.to_string());
    for _ in 0..2 {
        settle(async || rows.erase(&one.key.tenant, part, &id).await).await;
        assert_eq!(get(&rows, &one.key).await, None);
    }
    assert_eq!(get(&rows, &other.key).await, Some(other.asset()));
    // Nothing of it is left that could exclude an earlier version.
    put(&rows, &one.at(1)).await;
    assert_eq!(get(&rows, &one.key).await, Some(one.at(1)));
}
