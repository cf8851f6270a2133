//! The events that an asset's row lacks are announced before it is written.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::Arc;

use ledger::journal::Journal;
use ledger::record::StoredLine;
use ledger::testing::{Faulty, InjectedFault, MemoryJournal};
use projections::feed::{Announcer, FeedCursor, FeedQuery, LanedFeed, Lanes};
use projections::feed::{Feed, FeedError, FeedLane, LaneEntry, LaneWrite};
use projections::runner::{BatchReport, ProjectedAsset, ProjectionHint};
use projections::testing::{Clock, MemoryLanes, MemoryViews, Story, walk};
use projections::views::PutOutcome;
use projections::{Runner, Views};

/// A ledger with faults of lanes and rows, by the name of the call.
struct World {
    journal: Arc<MemoryJournal>,
    views: Arc<Faulty<MemoryViews>>,
    lanes: Arc<Faulty<MemoryLanes>>,
}

fn world(
    lanes: &[(&'static str, InjectedFault)],
    views: &[(&'static str, InjectedFault)],
) -> World {
    fn plan(
        of: &[(&'static str, InjectedFault)],
    ) -> impl FnMut(&'static str) -> Option<InjectedFault> + use<> {
        let mut faults = of.to_vec();
        move |name| {
            let at = faults.iter().position(|(of, _)| *of == name)?;
            Some(faults.remove(at).1)
        }
    }
    World {
        journal: Arc::default(),
        views: Arc::new(Faulty::planned(MemoryViews::default(), plan(views))),
        lanes: Arc::new(Faulty::planned(MemoryLanes::default(), plan(lanes))),
    }
}

fn sound() -> World {
    world(&[], &[])
}

/// The record of an event in the stream.
fn record(story: &Story, version: u64) -> ProjectionHint {
    let line = story.lines[usize::try_from(version).unwrap() - 1].clone();
    ProjectionHint { key: story.key.clone(), version, lines: vec![line] }
}

fn story() -> Story {
    Story::begin("main", 1).received().uploaded()
}

impl World {
    /// A new projector, independent of others.
    fn runner(&self) -> Runner {
        let clock = Arc::new(Clock::default());
        let runner = Runner::new(self.journal.clone(), self.views.clone(), clock.clone());
        runner.announcing(Announcer::new(self.lanes.clone(), clock))
    }

    async fn project(&self, hints: &[ProjectionHint]) -> BatchReport {
        self.runner().project(hints).await
    }

    /// The versions that the feed returns from its start.
    async fn heard(&self) -> Vec<u64> {
        let feed =
            LanedFeed::new(self.lanes.clone(), self.journal.clone(), Arc::new(Clock::default()));
        walk(&feed, page(100)).await.0.iter().map(|event| event.line.version).collect()
    }

    async fn row(&self, story: &Story) -> Option<u64> {
        self.views.inner().get(&story.key).await.unwrap().map(|row| row.version)
    }
}

fn page(limit: usize) -> FeedQuery {
    FeedQuery { tenant: "main".parse().unwrap(), after: None, limit, kind: None, actor: None }
}

#[tokio::test]
async fn every_event_is_announced_once_however_often_its_record_comes() {
    let (world, story) = (sound(), story());
    story.append_to(&*world.journal).await;
    for version in [1, 1, 2, 3, 1, 2, 3] {
        assert!(world.project(&[record(&story, version)]).await.failed.is_empty());
    }
    assert_eq!(world.heard().await, [1, 2, 3]);
}

#[tokio::test]
async fn records_that_come_the_wrong_way_round_are_announced_the_right_way() {
    let (world, story) = (sound(), story());
    for version in 1..=3 {
        world.journal.append(&story.key, story.lines[version - 1].clone()).await.unwrap();
    }
    for version in [2, 3, 1] {
        world.project(&[record(&story, version)]).await;
    }
    assert_eq!(world.heard().await, [1, 2, 3]);
}

#[tokio::test]
async fn what_the_stream_lost_is_announced_when_all_assets_are_gone_through() {
    let (world, story) = (sound(), story());
    story.append_to(&*world.journal).await;
    let bare = ProjectionHint { key: story.key.clone(), version: 3, lines: Vec::new() };
    let report = world.project(&[bare.clone(), bare.clone()]).await;
    assert_eq!(report.projected, 1);
    assert_eq!(world.project(&[bare]).await.stale, 1);
    assert_eq!(world.heard().await, [1, 2, 3]);
    let redriven = world.runner().redrive(&story.key).await;
    assert!(matches!(redriven, Some(ProjectedAsset::Row(PutOutcome::Stale))), "{redriven:?}");
    assert_eq!(world.heard().await, [1, 2, 3]);
}

#[tokio::test]
async fn no_row_is_written_of_what_could_not_be_announced() {
    for fault in [InjectedFault::Before, InjectedFault::After] {
        let (world, story) = (world(&[("put", fault)], &[]), story());
        story.append_to(&*world.journal).await;
        let records: Vec<_> = (1..=3).map(|version| record(&story, version)).collect();
        let failed = world.project(&records).await.failed;
        assert_eq!(failed.iter().map(|failed| failed.hint).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(world.row(&story).await, None, "{fault:?}");
        assert_eq!(world.project(&records).await.projected, 1);
        let heard = world.heard().await;
        let twice =
            if fault == InjectedFault::After { vec![1, 1, 2, 2, 3, 3] } else { vec![1, 2, 3] };
        assert_eq!((heard, world.row(&story).await), (twice, Some(3)), "{fault:?}");
    }
}

#[tokio::test]
async fn a_lane_that_fails_holds_up_no_asset_of_another() {
    let world = world(&[("put", InjectedFault::Before)], &[]);
    // Their ids end in different bytes, so they are in different lanes.
    let stories = [Story::begin("main", 1), Story::begin("main", 2)];
    for story in &stories {
        story.append_to(&*world.journal).await;
    }
    assert_ne!(FeedLane::of(&stories[0].key), FeedLane::of(&stories[1].key));
    let report = world.project(&stories.each_ref().map(|story| record(story, 1))).await;
    assert_eq!((report.projected, report.failed.len()), (1, 1));
}

#[tokio::test]
async fn a_row_that_was_announced_and_not_written_is_announced_again() {
    let (world, story) = (world(&[], &[("put", InjectedFault::Before)]), story());
    story.append_to(&*world.journal).await;
    assert_eq!(world.project(&[record(&story, 3)]).await.failed.len(), 1);
    assert_eq!(world.project(&[record(&story, 3)]).await.projected, 1);
    assert_eq!(world.heard().await, [1, 1, 2, 2, 3, 3]);
}

#[tokio::test]
async fn a_batch_takes_few_places() {
    let world = sound();
    let stories: Vec<_> = (0..100).map(|nth| Story::begin("main", nth)).collect();
    for story in &stories {
        story.append_to(&*world.journal).await;
    }
    let records: Vec<_> = stories.iter().map(|story| record(story, 1)).collect();
    assert_eq!(world.project(&records).await.projected, 100);
    for lane in FeedLane::all(&page(1).tenant) {
        let places = world.lanes.inner().places(&lane, 1, 100).await.unwrap();
        assert!(places.len() <= 2, "{lane}: {}", places.len());
        assert!(places.iter().all(|place| place.text.len() <= 4_000));
    }
    assert_eq!(world.heard().await.len(), 100);
}

#[tokio::test]
async fn two_projectors_at_the_end_of_one_lane_both_get_their_places() {
    let world = sound();
    let [one, other] = [world.runner(), world.runner()];
    let stories: Vec<_> = (0..40).map(|nth| Story::begin("main", nth * 4)).collect();
    for (nth, story) in stories.iter().enumerate() {
        story.append_to(&*world.journal).await;
        let runner = if nth % 3 == 0 { &one } else { &other };
        assert_eq!(runner.project(&[record(story, 1)]).await.projected, 1);
    }
    assert_eq!(world.heard().await.len(), 40);
}

#[tokio::test]
async fn a_forged_reference_shows_nothing_that_did_not_happen() {
    let (world, story) = (sound(), story());
    story.append_to(&*world.journal).await;
    world.project(&[record(&story, 3)]).await;
    let lane = FeedLane::of(&story.key);
    let [place] = &world.lanes.inner().places(&lane, 1, 9).await.unwrap()[..] else {
        panic!("one place was written")
    };
    for (number, text) in [
        (2, place.text.replace(" 3 ", " 4 ")),
        (3, place.text.replace(&story.key.asset.to_string(), &"0".repeat(36))),
        (4, "not JSON\n\n{}".to_owned()),
    ] {
        let put = world
            .lanes
            .inner()
            .put(&lane, &LaneEntry { number, text, expires_at: None })
            .await
            .unwrap();
        assert_eq!(put, LaneWrite::Written);
    }
    // The forged second entry refers to events 1 and 2 again, which exist.
    assert_eq!(world.heard().await, [1, 1, 2, 2, 3]);
}

#[tokio::test]
async fn a_place_that_somebody_took_away_stops_nobody_who_is_not_in_it() {
    let (world, holed) = (sound(), MemoryLanes::default());
    let stories: Vec<_> = (1..=3).map(|nth| Story::begin("main", nth * 4)).collect();
    for story in &stories {
        story.append_to(&*world.journal).await;
        world.project(&[record(story, 1)]).await;
    }
    let lane = FeedLane::of(&stories[0].key);
    for place in world.lanes.inner().places(&lane, 1, 9).await.unwrap() {
        if place.number != 2 {
            holed.put(&lane, &place).await.unwrap();
        }
    }
    let feed = LanedFeed::new(Arc::new(holed), world.journal.clone(), Arc::new(Clock::default()));
    assert_eq!(walk(&feed, page(1)).await.0.len(), 2);
}

#[tokio::test]
async fn a_read_table_that_was_made_anew_refuses_the_cursors_of_the_one_before() {
    let (world, story) = (sound(), story());
    story.append_to(&*world.journal).await;
    world.project(&[record(&story, 1)]).await;
    let cursor = |world: &World| {
        let feed =
            LanedFeed::new(world.lanes.clone(), world.journal.clone(), Arc::new(Clock::default()));
        async move { walk(&feed, page(9)).await.1 }
    };
    let before: FeedCursor = cursor(&world).await;
    for anew in [None, Some(Story::begin("main", 5))] {
        let lanes = Arc::new(MemoryLanes::default());
        if let Some(other) = anew {
            other.append_to(&*world.journal).await;
            let place = LaneEntry { number: 1, text: "other".to_owned(), expires_at: None };
            lanes.put(&FeedLane::of(&other.key), &place).await.unwrap();
        }
        let feed = LanedFeed::new(lanes, world.journal.clone(), Arc::new(Clock::default()));
        let answer = feed.page(&FeedQuery { after: Some(before.clone()), ..page(9) }).await;
        assert!(matches!(answer, Err(FeedError::Foreign)), "{answer:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_folded_is_silent_until_it_is_mended() {
    let (world, story) = (sound(), story());
    let [first, _, third] = &story.lines[..] else { panic!("three events were told") };
    for line in [first, third] {
        world.journal.append(&story.key, line.clone()).await.unwrap();
    }
    assert_eq!(world.project(&[record(&story, 3)]).await.parked, 1);
    assert!(world.heard().await.is_empty());
    let missing: StoredLine = story.lines[1].clone();
    world.journal.append(&story.key, missing).await.unwrap();
    world.runner().redrive(&story.key).await;
    assert_eq!(world.heard().await, [1, 2, 3]);
}
