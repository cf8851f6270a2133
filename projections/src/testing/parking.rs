//! The contract of [`Views`] for parked assets.

use chrono::TimeDelta;
use ledger::id::AssetId;

use super::views::{put, tenant};
use super::{Clock, Story, settle};
use crate::views::{Parked, Views};

/// Verifies it for the views of `make`, empty each time.
pub(super) async fn conformance<V: Views>(make: &impl AsyncFn() -> V) {
    parked_assets_wait_oldest_first(make().await).await;
    a_later_version_replaces_a_parked_one(make().await).await;
    rows_void_parking_whichever_came_first(make().await).await;
    a_contradiction_stays_until_it_is_named(make().await).await;
    what_is_let_go_waits_no_more_unless_it_was_set_aside_again(make().await).await;
}

async fn park(views: &impl Views, parked: &Parked) {
    settle(async || views.park(parked).await).await;
}

async fn parked(views: &impl Views) -> Vec<(AssetId, u64)> {
    let (parked, _) = settle(async || views.parked(&tenant("main"), 9).await).await;
    parked.iter().map(|parked| (parked.key.asset, parked.version)).collect()
}

fn set_aside(story: &Story, version: u64, minute: i64) -> Parked {
    let at = Clock::default().0 + TimeDelta::minutes(minute);
    Parked {
        key: story.key.clone(),
        version,
        error: format!("no version {version} 🧩"),
        at,
        contradicted: false,
    }
}

async fn parked_assets_wait_oldest_first(views: impl Views) {
    let stories = [1, 2, 3].map(|nth| Story::begin("main", nth));
    for (story, minute) in stories.iter().zip([2, 3, 1]) {
        park(&views, &set_aside(story, 1, minute)).await;
    }
    let expected =
        [(2, 1), (0, 2), (1, 3)].map(|(nth, minute)| set_aside(&stories[nth], 1, minute));
    for limit in 0..4 {
        let (found, _) = settle(async || views.parked(&tenant("main"), limit).await).await;
        assert_eq!(found, expected[..limit.min(3)]);
    }
}

async fn a_later_version_replaces_a_parked_one(views: impl Views) {
    let story = Story::begin("main", 1);
    for (version, stays) in [(2, 2), (1, 2), (4, 4), (3, 4), (4, 4)] {
        park(&views, &set_aside(&story, version, 1)).await;
        assert_eq!(parked(&views).await, [(story.key.asset, stays)], "after version {version}");
    }
    let again = Parked { error: "looked at again".to_owned(), ..set_aside(&story, 4, 2) };
    park(&views, &again).await;
    assert_eq!(settle(async || views.parked(&tenant("main"), 9).await).await.0, [again]);
}

async fn rows_void_parking_whichever_came_first(views: impl Views) {
    let story = Story::begin("main", 1).received().uploaded().deleted();
    let neighbour = Story::begin("main", 2);
    park(&views, &set_aside(&neighbour, 1, 1)).await;
    park(&views, &set_aside(&story, 2, 2)).await;
    let (waits, too) = ((neighbour.key.asset, 1), (story.key.asset, 2));
    put(&views, &story.at(1)).await;
    assert_eq!(parked(&views).await, [waits, too]);
    put(&views, &story.at(2)).await;
    assert_eq!(parked(&views).await, [waits]);
    park(&views, &set_aside(&story, 3, 2)).await;
    put(&views, &story.asset()).await;
    assert_eq!(parked(&views).await, [waits], "there is a row beyond it");
    for version in 1..=4 {
        park(&views, &set_aside(&story, version, 3)).await;
        assert_eq!(parked(&views).await, [waits], "there is a row of version 4");
    }
    park(&views, &set_aside(&story, 5, 4)).await;
    assert_eq!(parked(&views).await, [waits, (story.key.asset, 5)]);
}

async fn a_contradiction_stays_until_it_is_named(views: impl Views) {
    let story = Story::begin("main", 1).received().uploaded().deleted();
    let contradiction = Parked { contradicted: true, ..set_aside(&story, 2, 1) };
    let waits = [(story.key.asset, 2)];
    put(&views, &story.asset()).await;
    park(&views, &contradiction).await;
    assert_eq!(parked(&views).await, waits, "whatever its row is");
    // Neither a row, nor a plain parking of a later version, nor unparking such a one.
    park(&views, &set_aside(&story, 9, 2)).await;
    settle(async || views.let_go(&set_aside(&story, 9, 2)).await).await;
    settle(async || views.sweep(Clock::default().0).await).await;
    let there = settle(async || views.contradicted(&tenant("main"), 9).await).await.0;
    assert_eq!((parked(&views).await, there), (waits.to_vec(), vec![contradiction.clone()]));
    assert_eq!(settle(async || views.contradicted(&tenant("main"), 0).await).await.0, []);
    settle(async || views.let_go(&contradiction).await).await;
    assert_eq!(parked(&views).await, []);
    // A plain parking is replaced by it.
    park(&views, &set_aside(&story, 9, 1)).await;
    park(&views, &contradiction).await;
    assert_eq!(parked(&views).await, waits);
}

async fn what_is_let_go_waits_no_more_unless_it_was_set_aside_again(views: impl Views) {
    let (story, neighbour) = (Story::begin("main", 1), Story::begin("main", 2));
    let (seen, again) = (set_aside(&story, 2, 1), set_aside(&story, 3, 2));
    let let_go = async |parked: &Parked| settle(async || views.let_go(parked).await).await;
    let_go(&seen).await;
    assert_eq!(parked(&views).await, [], "it never was");
    park(&views, &seen).await;
    park(&views, &set_aside(&neighbour, 1, 3)).await;
    let waits = (neighbour.key.asset, 1);
    let_go(&seen).await;
    assert_eq!(parked(&views).await, [waits]);
    park(&views, &again).await;
    let_go(&seen).await;
    assert_eq!(parked(&views).await, [(story.key.asset, 3), waits], "at a later version");
    let_go(&again).await;
    assert_eq!(parked(&views).await, [waits]);
}
