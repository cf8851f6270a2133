//! The contract of [`Views`], each part a test of its own.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use ledger::asset::{Asset, AssetStatus, Declaration, Event, UploadKind};
use ledger::id::{AssetId, Key, Tenant};
use ledger::objects::ObjectVersion;

use super::{Story, parking, settle};
use crate::row;
use crate::views::{AssetPage, ListQuery, PutOutcome, Views};

/// Verifies that the views of `make`, empty each time, keep the contract of [`Views`].
///
/// # Panics
/// If they do not.
pub async fn conformance<V: Views>(make: impl AsyncFn() -> V) {
    a_row_comes_back_as_it_was_put(make().await).await;
    only_newer_rows_are_written(make().await).await;
    a_row_that_the_history_does_not_have_is_never_overwritten(make().await).await;
    a_long_history_is_put_over_any_of_its_rows(make().await).await;
    puts_in_any_order_leave_the_same_row(&make).await;
    many_rows_at_once_are_as_each_alone(make().await).await;
    lists_are_newest_first_and_whole(make().await).await;
    a_walk_goes_on_while_assets_are_added(make().await).await;
    a_list_of_a_state_is_of_what_is_shown(make().await).await;
    a_page_holds_what_was_asked_for(make().await).await;
    a_list_of_an_owner_has_no_one_else_s(make().await).await;
    tombstones_hide_the_asset_and_keep_it_gone(make().await).await;
    expired_tombstones_may_go_and_nothing_else(make().await).await;
    tenants_do_not_see_each_other(make().await).await;
    parking::conformance(&make).await;
}

pub(super) async fn put(views: &impl Views, asset: &Asset) -> (PutOutcome, bool) {
    settle(async || views.put(asset).await).await
}

async fn get(views: &impl Views, key: &Key) -> Option<Asset> {
    settle(async || views.get(key).await).await.0
}

pub(super) async fn list(views: &impl Views, query: &ListQuery) -> AssetPage {
    let (page, _) = settle(async || views.list(query).await).await;
    assert!(page.assets.len() <= query.limit, "more than {} rows", query.limit);
    let ids = ids(&page.assets);
    assert!(ids.is_sorted_by(|a, b| a > b), "not newest first: {ids:?}");
    assert!(query.after.is_none_or(|after| ids.iter().all(|id| *id < after)), "before its cursor");
    page
}

async fn walk(views: &impl Views, mut query: ListQuery) -> Vec<Asset> {
    let mut all = Vec::new();
    loop {
        let page = list(views, &query).await;
        all.extend(page.assets);
        let Some(next) = page.next else { return all };
        assert!(query.after.is_none_or(|after| next < after), "the cursor must move on");
        query.after = Some(next);
    }
}

pub(super) fn all(limit: usize) -> ListQuery {
    ListQuery::all(tenant("main"), limit)
}

#[allow(clippy::expect_used, reason = "the suite names its tenants itself")]
pub(super) fn tenant(name: &str) -> Tenant {
    name.parse().expect("a tenant's name")
}

fn ids(assets: &[Asset]) -> Vec<AssetId> {
    assets.iter().map(|asset| asset.key.asset).collect()
}

/// An asset in each state, and one with every optional field.
fn each_state() -> Vec<Story> {
    let declaration = Declaration {
        upload: UploadKind::Declared,
        filename: Some("Prüfung \"q3\" 'x'; -- 🗂️👩‍👩‍👧.pdf".to_owned()),
        content_type: Some("application/pdf; charset=utf-8".to_owned()),
        size: Some(5 << 30),
        sha256: Some("b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9".to_owned()),
        tags: BTreeMap::from([("team 🏦", "a:b#c"), ("", ""), ("e\u{301}", "é")])
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    };
    let pin = ObjectVersion {
        version_id: "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY".to_owned(),
        size: 0,
        sha256: declaration.sha256.clone(),
        etag: "5eb63bbbe01eeed093cb22bb8f5acdc3-2".to_owned(),
    };
    let begin = |nth| Story::begin("main", nth);
    vec![
        begin(1),
        begin(2).received(),
        begin(3).received().uploaded(),
        begin(4).received().uploaded().deleted(),
        begin(5).then(Event::SoftDeleted { reason: None }),
        begin(6).received().deleted().then(Event::PurgeRequested),
        begin(7).received().deleted().purged(),
        begin(8).received().uploaded().deleted().then(Event::Restored),
        Story::declared("main", 9, declaration).then(Event::Received(pin)).uploaded(),
    ]
}

fn listed(stories: &[Story], shown: impl Fn(AssetStatus) -> bool) -> Vec<Asset> {
    stories.iter().rev().map(Story::asset).filter(|asset| shown(asset.status())).collect()
}

async fn filled(views: &impl Views) -> Vec<Story> {
    let stories = each_state();
    for story in &stories {
        put(views, &story.asset()).await;
    }
    stories
}

async fn a_row_comes_back_as_it_was_put(views: impl Views) {
    for story in each_state() {
        assert_eq!(get(&views, &story.key).await, None);
        for version in 1..=story.version() {
            put(&views, &story.at(version)).await;
            assert_eq!(get(&views, &story.key).await, Some(story.at(version)));
        }
    }
}

async fn only_newer_rows_are_written(views: impl Views) {
    let story = Story::begin("main", 1).received().uploaded();
    let (answer, first_try) = put(&views, &story.at(2)).await;
    assert!(answer == PutOutcome::Written || !first_try);
    for old in [2, 1] {
        assert_eq!(put(&views, &story.at(old)).await.0, PutOutcome::Stale, "version {old}");
        assert_eq!(get(&views, &story.key).await, Some(story.at(2)));
    }
    let (answer, first_try) = put(&views, &story.at(3)).await;
    assert!(answer == PutOutcome::Written || !first_try);
    assert_eq!(get(&views, &story.key).await, Some(story.at(3)));
}

async fn a_row_that_the_history_does_not_have_is_never_overwritten(views: impl Views) {
    let checked = async |story: &Story| {
        let history = story.history();
        settle(async || views.put_checked(&history).await).await
    };
    let story = Story::begin("main", 1).received().uploaded();
    let begun = story.first(1);
    let (written, first_try) = checked(&begun).await;
    assert!(written == PutOutcome::Written || !first_try, "{written:?}");
    let (written, first_try) = checked(&story).await;
    assert!(written == PutOutcome::Written || !first_try, "{written:?}");
    assert_eq!(checked(&story).await.0, PutOutcome::Stale);
    // A cut history; another event in its place; and later ones after that.
    let other = Story::begin("main", 1).received().deleted();
    let longer = other.clone().then(Event::Restored);
    for of in [begun, other, longer] {
        assert_eq!(checked(&of).await.0, PutOutcome::Contradicted(3), "version {}", of.version());
        assert_eq!(get(&views, &story.key).await, Some(story.asset()));
    }
}

async fn a_long_history_is_put_over_any_of_its_rows(views: impl Views) {
    let mut story = Story::begin("main", 1).received().uploaded();
    while story.version() < 250 {
        story = story.deleted().then(Event::Restored);
    }
    for version in [1, 100, 120, story.version()] {
        let history = story.first(usize::try_from(version).unwrap_or_default()).history();
        let (put, first_try) = settle(async || views.put_checked(&history).await).await;
        assert!(put == PutOutcome::Written || !first_try, "version {version}: {put:?}");
        assert_eq!(get(&views, &story.key).await, Some(history.asset().clone()));
    }
}

async fn puts_in_any_order_leave_the_same_row<V: Views>(make: &impl AsyncFn() -> V) {
    let story = Story::begin("main", 1).received().uploaded().deleted();
    for order in permutations(&[1, 2, 3, 4]) {
        let views = make().await;
        for version in order.iter().chain(&order) {
            put(&views, &story.at(*version)).await;
        }
        assert_eq!(get(&views, &story.key).await, Some(story.asset()), "{order:?}");
        assert_eq!(walk(&views, all(9)).await, [story.asset()], "{order:?}");
    }
}

async fn many_rows_at_once_are_as_each_alone(views: impl Views) {
    let stories: Vec<_> = (1..=9).map(|nth| Story::begin("main", nth).received()).collect();
    put(&views, &stories[0].at(1)).await;
    put(&views, &stories[1].at(2)).await;
    let mut rows: Vec<_> = stories.iter().map(Story::asset).collect();
    rows[1] = stories[1].at(1);
    for _ in 0..99 {
        let mut refused = views.put_all(&rows).await.into_iter().map(|it| it.is_err());
        assert_eq!(refused.len(), rows.len(), "an answer for each");
        rows.retain(|_| refused.next().unwrap_or(true));
    }
    assert_eq!(rows, [], "each is taken in the end");
    for story in &stories {
        assert_eq!(get(&views, &story.key).await, Some(story.asset()), "older, none, or newer");
    }
}

fn permutations(of: &[u64]) -> Vec<Vec<u64>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let ending_with = |last: &u64| {
        let last = *last;
        let rest: Vec<u64> = of.iter().copied().filter(|it| *it != last).collect();
        permutations(&rest).into_iter().map(move |order| [order, vec![last]].concat())
    };
    of.iter().flat_map(ending_with).collect()
}

async fn lists_are_newest_first_and_whole(views: impl Views) {
    assert_eq!(list(&views, &all(1)).await, AssetPage::default());
    let stories = filled(&views).await;
    let expected = listed(&stories, |status| status != AssetStatus::Purged);
    for limit in 1..=stories.len() + 1 {
        assert_eq!(walk(&views, all(limit)).await, expected, "{limit} a page");
    }
}

async fn a_walk_goes_on_while_assets_are_added(views: impl Views) {
    for nth in 1..=9 {
        put(&views, &Story::begin("main", nth).asset()).await;
    }
    let (mut query, mut seen, mut newer) = (all(2), Vec::new(), 100);
    loop {
        let page = list(&views, &query).await;
        seen.extend(ids(&page.assets));
        for nth in newer..newer + 3 {
            put(&views, &Story::begin("main", nth).asset()).await;
        }
        newer += 3;
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    let there: Vec<_> = (1..=9).rev().map(|nth| Story::begin("main", nth).key.asset).collect();
    let old: Vec<_> = seen.iter().copied().filter(|id| there.contains(id)).collect();
    assert_eq!(old, there);
    assert_eq!(seen.len(), seen.iter().collect::<BTreeSet<_>>().len(), "an asset came twice");
}

async fn a_list_of_a_state_is_of_what_is_shown(views: impl Views) {
    use AssetStatus as S;
    let stories = filled(&views).await;
    for state in [S::Created, S::Received, S::Uploaded, S::Deleted, S::Purging, S::Purged] {
        let shown = |s: AssetStatus| s.shown() == state.shown() && s != S::Purged;
        for limit in [1, 2, 9] {
            let query = ListQuery { state: Some(state), ..all(limit) };
            assert_eq!(walk(&views, query).await, listed(&stories, shown), "{state:?}");
        }
    }
    let moved_on = stories[0].clone().received();
    put(&views, &moved_on.asset()).await;
    let created = ListQuery { state: Some(S::Created), ..all(9) };
    assert_eq!(walk(&views, created).await, []);
}

async fn a_list_of_an_owner_has_no_one_else_s(views: impl Views) {
    use AssetStatus as S;
    let mut assets = Vec::new();
    for nth in 0..24 {
        let begun = Story::begin("main", nth);
        let story = match nth % 6 {
            0 => begun,
            1 => begun.received(),
            2 => begun.received().uploaded(),
            3 => begun.received().deleted(),
            4 => begun.received().deleted().then(Event::PurgeRequested),
            _ => begun.received().deleted().purged(),
        };
        let owner = Some(["ann", "bob"][usize::from(nth % 4 > 1)].to_owned());
        assets.push(Asset { owner, ..story.asset() });
    }
    for asset in &assets {
        put(&views, asset).await;
    }
    let mut unowned = Story::begin("main", 99).received().asset();
    unowned.owner = None;
    put(&views, &unowned).await;
    for owner in ["ann", "bob", "eve"] {
        for state in [None, Some(S::Created), Some(S::Received), Some(S::Deleted)] {
            let owner = Some(owner.to_owned());
            let query = |limit| ListQuery { owner: owner.clone(), state, ..all(limit) };
            let newest_first = assets.iter().rev().cloned();
            let expected: Vec<_> = newest_first.filter(|asset| query(1).takes(asset)).collect();
            for limit in [1, 2, 99] {
                assert_eq!(walk(&views, query(limit)).await, expected, "{owner:?} {state:?}");
            }
            let unread = list(&views, &query(99)).await.unreadable;
            let unread: Vec<_> = unread.into_iter().map(|row| row.asset).collect();
            let may_be = state.is_none_or(|state| state == S::Received);
            let expected = may_be.then_some(unowned.key.asset);
            assert_eq!(unread, expected.into_iter().collect::<Vec<_>>(), "it may be anyone's");
        }
    }
    assert_eq!(list(&views, &all(99)).await.unreadable, []);
    assert!(walk(&views, all(99)).await.contains(&unowned), "others need no owner");
}

async fn a_page_holds_what_was_asked_for(views: impl Views) {
    for nth in 1..=3 {
        put(&views, &Story::begin("main", nth).asset()).await;
    }
    for limit in [3, 4, 1000, usize::MAX] {
        assert_eq!(walk(&views, all(limit)).await.len(), 3, "{limit} a page");
    }
    // A cursor is a position, not an asset: no row has to exist there.
    let oldest = Story::begin("main", 1).key.asset;
    for (nth, left) in [(0, 0), (1, 0), (2, 1), (9, 3)] {
        let after = Some(Story::begin("main", nth).key.asset);
        let page = walk(&views, ListQuery { after, ..all(9) }).await;
        assert_eq!(page.len(), left, "after number {nth}");
        assert!(page.last().is_none_or(|last| last.key.asset == oldest));
    }
}

async fn tombstones_hide_the_asset_and_keep_it_gone(views: impl Views) {
    let story = Story::begin("main", 1).received().uploaded().deleted().purged();
    put(&views, &story.at(3)).await;
    put(&views, &story.asset()).await;
    for late in 1..story.version() {
        assert_eq!(put(&views, &story.at(late)).await.0, PutOutcome::Stale, "version {late}");
        assert_eq!(walk(&views, all(9)).await, []);
    }
    assert_eq!(get(&views, &story.key).await, Some(story.asset()));
}

async fn expired_tombstones_may_go_and_nothing_else(views: impl Views) {
    let stories = filled(&views).await;
    let purged =
        stories.iter().map(Story::asset).find(|asset| asset.status() == AssetStatus::Purged);
    let Some(expires_at) = purged.as_ref().and_then(row::expires_at) else {
        panic!("an asset in each state, and none is purged")
    };
    let sweep = async |now: DateTime<Utc>| settle(async || views.sweep(now).await).await.0;
    assert_eq!(sweep(expires_at - TimeDelta::seconds(1)).await, 0);
    for story in &stories {
        assert_eq!(get(&views, &story.key).await, Some(story.asset()));
    }
    let swept = sweep(expires_at).await;
    let gone = purged.map(|purged| purged.key);
    for key in gone.iter().filter(|_| swept > 0) {
        assert_eq!(get(&views, key).await, None, "it was said to be dropped");
    }
    for asset in stories.iter().map(Story::asset).filter(|a| a.status() != AssetStatus::Purged) {
        assert_eq!(get(&views, &asset.key).await, Some(asset));
    }
}

async fn tenants_do_not_see_each_other(views: impl Views) {
    let mine = Story::begin("main", 1);
    let theirs = Key { tenant: tenant("main-2"), ..mine.key.clone() };
    let same_id = Asset { key: theirs.clone(), ..mine.asset() };
    put(&views, &mine.asset()).await;
    assert_eq!(get(&views, &theirs).await, None);
    put(&views, &same_id).await;
    assert_eq!(get(&views, &mine.key).await, Some(mine.asset()));
    assert_eq!(walk(&views, all(1)).await, [mine.asset()]);
    assert_eq!(walk(&views, ListQuery { tenant: theirs.tenant, ..all(1) }).await, [same_id]);
    assert_eq!(walk(&views, ListQuery { tenant: tenant("mai"), ..all(1) }).await, []);
}
