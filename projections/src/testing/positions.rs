//! The contract of [`Positions`], as far as one process can show it.

use ledger::chain::Hash;
use ledger::history::History;

use super::{Story, settle};
use crate::generations::Generation;
use crate::position::{Position, PositionCommit, Positions};
use crate::views::{PutOutcome, Views};

/// Verifies that the stores of `make`, empty each time, keep the contract of [`Positions`].
///
/// # Panics
/// If one does not.
pub async fn positions<T: Views + Positions>(make: impl AsyncFn() -> T) {
    a_new_view_starts_at_the_beginning(make().await).await;
    a_position_moves_on_only_from_where_it_was_found(make().await).await;
    rows_are_saved_with_the_position_or_not_at_all(make().await).await;
    a_row_that_is_contradicted_keeps_all_from_being_saved(make().await).await;
}

async fn load(positions: &impl Positions) -> Position {
    settle(async || positions.load().await).await.0
}

async fn commit(
    positions: &impl Positions,
    histories: &[History],
    from: &Position,
    to: &Position,
) -> (PositionCommit, bool) {
    let to_first = [Generation::FIRST];
    settle(async || positions.commit(&to_first, histories, from, to).await).await
}

fn place(nth: u64) -> Position {
    Position { number: nth, hash: Hash::of(&nth.to_be_bytes()) }
}

async fn a_new_view_starts_at_the_beginning(views: impl Positions) {
    assert_eq!(load(&views).await, Position::BEGINNING);
}

async fn a_position_moves_on_only_from_where_it_was_found(views: impl Positions) {
    let start = load(&views).await;
    let (one, other) = (place(7), Position { hash: Hash::of(b"2"), ..place(7) });
    let (moved, first_try) = commit(&views, &[], &start, &one).await;
    assert!(moved == PositionCommit::Moved(Vec::new()) || !first_try);
    assert_eq!(load(&views).await, one);
    for gone in [start, other] {
        assert_eq!(
            commit(&views, &[], &gone, &other).await.0,
            PositionCommit::Elsewhere,
            "{gone:?}"
        );
    }
    assert_eq!(load(&views).await, one);
}

async fn rows_are_saved_with_the_position_or_not_at_all(views: impl Views + Positions) {
    let stories = [1, 2].map(|nth| Story::begin("main", nth).received());
    let row = async |story: &Story| settle(async || views.get(&story.key).await).await.0;
    let start = load(&views).await;
    let first = [stories[0].history()];
    assert_eq!(commit(&views, &first, &place(9), &place(1)).await.0, PositionCommit::Elsewhere);
    assert_eq!(row(&stories[0]).await, None);
    let (moved, first_try) = commit(&views, &first, &start, &place(1)).await;
    assert!(moved == PositionCommit::Moved(vec![PutOutcome::Written]) || !first_try, "{moved:?}");
    assert_eq!((row(&stories[0]).await, load(&views).await), (Some(stories[0].asset()), place(1)));
    let both = stories.each_ref().map(Story::history);
    let (moved, first_try) = commit(&views, &both, &place(1), &place(2)).await;
    assert!(
        moved == PositionCommit::Moved(vec![PutOutcome::Stale, PutOutcome::Written]) || !first_try,
        "{moved:?}"
    );
    assert_eq!((row(&stories[1]).await, load(&views).await), (Some(stories[1].asset()), place(2)));
}

async fn a_row_that_is_contradicted_keeps_all_from_being_saved(views: impl Views + Positions) {
    let (there, fine) = (Story::begin("main", 1).received(), Story::begin("main", 2));
    let other = Story::begin("main", 1).deleted().received();
    settle(async || views.put(&there.asset()).await).await;
    let start = load(&views).await;
    let both = [fine.history(), other.history()];
    let apart = PositionCommit::Apart(vec![other.key.clone()]);
    assert_eq!(commit(&views, &both, &start, &place(1)).await.0, apart);
    assert_eq!(load(&views).await, start);
    assert_eq!(settle(async || views.get(&fine.key).await).await.0, None);
    assert_eq!(settle(async || views.get(&there.key).await).await.0, Some(there.asset()));
}
