//! Lists with some unreadable rows.

use std::sync::Arc;

use ledger::asset::{Asset, AssetStatus};
use ledger::error::StoreErrorKind;
use ledger::id::Tenant;
use ledger::journal::Journal;
use ledger::testing::{Faulty, InjectedFault, MemoryJournal};

use crate::reader::Reader;
use crate::testing::{MemoryViews, Story};
use crate::views::{ListQuery, Views};

struct World {
    journal: Arc<MemoryJournal>,
    views: Arc<MemoryViews>,
    stories: Vec<Story>,
}

/// Three assets with their rows; the row of the second is unreadable.
async fn world() -> World {
    let stories: Vec<_> = (1..=3).map(|nth| Story::begin("main", nth).received()).collect();
    let world = World { journal: Arc::default(), views: Arc::default(), stories };
    for story in &world.stories {
        story.append_to(&*world.journal).await;
        world.views.put(&story.asset()).await.unwrap();
    }
    world.views.damage(&world.stories[1].key, "the row is garbage");
    world
}

fn query(state: Option<AssetStatus>, limit: usize) -> ListQuery {
    ListQuery { state, ..ListQuery::all(Tenant::default(), limit) }
}

impl World {
    fn reader(&self) -> Reader {
        Reader::new(self.journal.clone(), self.views.clone())
    }

    fn newest_first(&self, which: &[usize]) -> Vec<Asset> {
        which.iter().rev().map(|nth| self.stories[*nth].asset()).collect()
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_folded_in_its_place() {
    let world = world().await;
    for state in [None, Some(AssetStatus::Received)] {
        let page = world.reader().list(&query(state, 9)).await.unwrap();
        assert_eq!(page.assets, world.newest_first(&[0, 1, 2]), "{state:?}");
        assert_eq!((page.unreadable, page.next), (Vec::new(), None));
    }
    let page = world.reader().list(&query(Some(AssetStatus::Created), 9)).await.unwrap();
    assert_eq!(page.assets, [], "what it is in truth decides");
}

#[tokio::test]
async fn a_row_that_does_not_say_whose_it_is_is_folded_in_a_list_of_an_owner() {
    let world = World { journal: Arc::default(), views: Arc::default(), stories: Vec::new() };
    let mut stories = Vec::new();
    for (nth, who) in (1..).zip(["key:0000000000000001/2", "key:0000000000000002/1"]) {
        let story = Story::begun_by(who, nth).received();
        story.append_to(&*world.journal).await;
        world.views.put(&Asset { owner: None, ..story.asset() }).await.unwrap();
        stories.push(story);
    }
    let of = |owner: &str| ListQuery { owner: Some(owner.to_owned()), ..query(None, 9) };
    for (story, owner) in stories.iter().zip(["key:0000000000000001", "key:0000000000000002"]) {
        let page = world.reader().list(&of(owner)).await.unwrap();
        assert_eq!(page.assets, [story.asset()], "{owner}");
        assert_eq!(page.assets[0].owner.as_deref(), Some(owner));
    }
    let page = world.reader().list(&of("key:0000000000000003")).await.unwrap();
    assert_eq!(page.assets, []);
    assert_eq!(world.reader().list(&query(None, 9)).await.unwrap().assets.len(), 2);
}

#[tokio::test]
async fn a_walk_gives_it_once() {
    let world = world().await;
    let (mut query, mut found) = (query(None, 1), Vec::new());
    loop {
        let page = world.reader().list(&query).await.unwrap();
        found.extend(page.assets);
        let Some(next) = page.next else { break };
        query.after = Some(next);
    }
    assert_eq!(found, world.newest_first(&[0, 1, 2]));
}

#[tokio::test]
async fn an_asset_that_has_no_history_that_can_be_read_is_left_out_and_the_others_are_not() {
    let mut world = world().await;
    let mut garbled = world.stories[1].lines.clone();
    garbled[1].body = "garbage".to_owned();
    // One event of a type that only a newer program knows; none at all; and unreadable bytes.
    let mut newer = world.stories[1].lines.clone();
    newer[1].body = newer[1].body.replace("received", "archived");
    for lines in [garbled, newer, Vec::new()] {
        let journal = MemoryJournal::default();
        for story in [&world.stories[0], &world.stories[2]] {
            story.append_to(&journal).await;
        }
        for line in lines {
            journal.append(&world.stories[1].key, line).await.unwrap();
        }
        world.journal = Arc::new(journal);
        let page = world.reader().list(&query(None, 9)).await.unwrap();
        assert_eq!(page.assets, world.newest_first(&[0, 2]));
    }
}

#[tokio::test]
async fn a_journal_that_is_away_is_worth_another_try() {
    let world = world().await;
    let away = Faulty::planned(MemoryJournal::default(), |_| Some(InjectedFault::Before));
    let reader = Reader::new(Arc::new(away), world.views.clone());
    let error = reader.list(&query(None, 9)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
}
