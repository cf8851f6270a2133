//! The contract of [`Views`] for unreadable rows.

use ledger::asset::{Asset, AssetStatus};
use ledger::error::StoreErrorKind;
use ledger::id::Key;

use super::Story;
use super::views::{all, list, put};
use crate::views::{ListQuery, Views};

/// An attribute and the text that another program wrote to it, and whether a list by state must
/// still contain the row, because its state is unknown.
const DAMAGES: [(&str, &str); 4] =
    [("state", "ARCHIVED"), ("state", ""), ("head", "garbage"), ("tags", "no JSON")];

/// Verifies that rows which `damage` has made unreadable fail no list, for the views of `make`,
/// empty each time. `damage` sets an attribute of the row of a key to a text.
///
/// # Panics
/// If a list fails.
pub async fn unreadable_rows<V: Views>(
    make: impl AsyncFn() -> V,
    damage: impl AsyncFn(&V, &Key, &str, &str),
) {
    for (attribute, text) in DAMAGES {
        let (views, stories) = (make().await, stories());
        for story in &stories {
            put(&views, &story.asset()).await;
        }
        for nth in [1, 3] {
            damage(&views, &stories[nth].key, attribute, text).await;
        }
        for state in [None, Some(AssetStatus::Received)] {
            for limit in 1..=6 {
                let walked = walk(&views, ListQuery { state, ..all(limit) }).await;
                assert_eq!(walked, expected(&stories), "{attribute}={text:?}, {state:?}, {limit}");
            }
        }
        a_row_alone_is_told_as_such(&views, &stories[1]).await;
        a_newer_row_mends_it(&views, &stories[1]).await;
    }
}

/// Five assets, of which the second and the fourth are to be damaged.
fn stories() -> Vec<Story> {
    (1..=5).map(|nth| Story::begin("main", nth).received()).collect()
}

/// The assets that were read, and those that were not.
type Found = (Vec<Asset>, Vec<String>);

fn expected(stories: &[Story]) -> Found {
    let sound = [4, 2, 0].map(|nth: usize| stories[nth].asset());
    let unread = [3, 1].map(|nth: usize| stories[nth].key.asset.to_string());
    (sound.to_vec(), unread.to_vec())
}

async fn walk(views: &impl Views, mut query: ListQuery) -> Found {
    let (mut assets, mut unread) = (Vec::new(), Vec::new());
    loop {
        let page = list(views, &query).await;
        assert!(page.assets.len() + page.unreadable.len() <= query.limit, "{page:?}");
        assert!(page.unreadable.iter().all(|row| !row.error.is_empty()), "{page:?}");
        assets.extend(page.assets);
        unread.extend(page.unreadable.into_iter().map(|row| row.asset.to_string()));
        let Some(next) = page.next else { return (assets, unread) };
        assert!(query.after.is_none_or(|after| next < after), "the cursor must move on");
        query.after = Some(next);
    }
}

async fn a_row_alone_is_told_as_such(views: &impl Views, story: &Story) {
    let told = views.get(&story.key).await;
    assert_eq!(told.map_err(|error| error.kind), Err(StoreErrorKind::Corrupt));
}

async fn a_newer_row_mends_it(views: &impl Views, story: &Story) {
    let newer = story.clone().uploaded().asset();
    put(views, &newer).await;
    let page = list(views, &ListQuery { state: Some(AssetStatus::Uploaded), ..all(9) }).await;
    assert_eq!(page.assets, [newer]);
    assert!(page.unreadable.len() <= 1, "of the other one alone: {page:?}");
}
