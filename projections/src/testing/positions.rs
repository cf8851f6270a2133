//! The contract of [`Positions`], as far as one process can show it.

use ledger::chain::Hash;

use super::{Clock, Story, settle};
use crate::position::{Position, Positions};
use crate::views::{Parked, Query, Views};

/// Shows that what `make` makes, empty each time, keeps the contract of [`Positions`].
///
/// # Panics
/// If it does not.
pub async fn positions<T: Views + Positions>(make: impl AsyncFn() -> T) {
    a_new_view_starts_at_the_beginning(make().await).await;
    a_position_moves_on_only_from_where_it_was_found(make().await).await;
    a_rebuild_forgets_everything_and_is_never_moved_over(make().await).await;
}

async fn load(positions: &impl Positions) -> Position {
    settle(async || positions.load().await).await.0
}

async fn advance(positions: &impl Positions, from: &Position, to: &Position) -> (bool, bool) {
    settle(async || positions.advance(from, to).await).await
}

async fn a_new_view_starts_at_the_beginning(views: impl Positions) {
    let start = load(&views).await;
    assert_eq!((start.number, start.hash), (0, Hash::ZERO));
}

async fn a_position_moves_on_only_from_where_it_was_found(views: impl Positions) {
    let start = load(&views).await;
    let [one, other] = [b"1", b"2"].map(|of| Position { number: 7, hash: Hash::of(of), ..start });
    let (moved, first_try) = advance(&views, &start, &one).await;
    assert!(moved || !first_try);
    assert_eq!(load(&views).await, one);
    for gone in [start, other] {
        assert!(!advance(&views, &gone, &other).await.0, "it had moved on from {gone:?}");
    }
    assert_eq!(load(&views).await, one);
}

async fn a_rebuild_forgets_everything_and_is_never_moved_over(views: impl Views + Positions) {
    let story = Story::begin("main", 1);
    settle(async || views.put(&story.asset()).await).await;
    let (key, at) = (Story::begin("main", 2).key, Clock::default().0);
    let parked = Parked { key, version: 1, error: "no event".to_owned(), at };
    settle(async || views.park(&parked).await).await;
    let start = load(&views).await;
    let there = Position { number: 7, hash: Hash::of(b"7"), ..start };
    advance(&views, &start, &there).await;
    settle(async || views.reset().await).await;

    let again = load(&views).await;
    assert_eq!((again.number, again.hash), (0, Hash::ZERO));
    assert_eq!(settle(async || views.get(&story.key).await).await.0, None);
    let all = Query { tenant: story.key.tenant.clone(), state: None, after: None, limit: 9 };
    assert_eq!(settle(async || views.list(&all).await).await.0.assets, []);
    assert_eq!(settle(async || views.parked(&story.key.tenant, 9).await).await.0, []);
    // Neither from before the rebuild, nor because a place looks the same after it.
    let before = [start, there].map(|it| Position { epoch: start.epoch, ..it });
    for position in before {
        assert!(!advance(&views, &position, &there).await.0, "{position:?} was before the reset");
    }
    assert_eq!(load(&views).await, again);
}
