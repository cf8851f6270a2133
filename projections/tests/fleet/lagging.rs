//! Reads with eventual consistency: a replica that lags causes more work, and hides no event.

use std::sync::Arc;
use std::time::Duration;

use projections::Runner;
use projections::feed::LanedFeed;
use projections::runner::ProjectionHint;
use projections::testing::{Clock, Story, walk};
use tokio::time::sleep;

use crate::cloud::{Cloud, Connection, ProcessClock};
use crate::whole_feed;

struct World {
    cloud: Arc<Cloud>,
    runner: Runner,
    story: Story,
}

/// A story of three events in the journal. Then some time passes.
async fn world() -> World {
    let cloud = Arc::new(Cloud::new(1, 0));
    let connection = Arc::new(Connection(cloud.clone()));
    let clock = Arc::new(ProcessClock::new(cloud.clone()));
    let runner = Runner::new(connection.clone(), connection, clock);
    let story = Story::begin("main", 1).received().uploaded();
    for line in &story.lines {
        cloud.command(&story.key, line.clone()).await;
    }
    sleep(Duration::from_secs(1)).await;
    World { cloud, runner, story }
}

impl World {
    fn hint(&self, version: usize) -> ProjectionHint {
        let line = self.story.lines[version - 1].clone();
        ProjectionHint { key: self.story.key.clone(), version: line.version, lines: vec![line] }
    }

    /// Projects a batch, and returns the half read units.
    async fn project(&self, batch: &[ProjectionHint]) -> u64 {
        let before = self.cloud.spent().half_reads;
        let report = self.runner.project(batch).await;
        assert!(report.failed.is_empty() && report.parked == 0, "{report:?}");
        self.cloud.spent().half_reads - before
    }

    async fn heard(&self) -> Vec<u64> {
        let journal = Arc::new(Connection(self.cloud.clone()));
        let feed = LanedFeed::new(self.cloud.lanes.clone(), journal, Arc::new(Clock::default()));
        walk(&feed, whole_feed()).await.0.iter().map(|event| event.line.version).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_that_lags_is_read_again_before_its_asset_is_parked() {
    let world = world().await;
    let ahead = Story::begin("main", 2).received();
    world.cloud.freeze();
    sleep(Duration::from_secs(1)).await;
    for line in &ahead.lines {
        world.cloud.command(&ahead.key, line.clone()).await;
    }
    let [_, last] = &ahead.lines[..] else { panic!("two events were told") };
    let (key, version, lines) = (ahead.key.clone(), last.version, vec![last.clone()]);
    world.project(&[ProjectionHint { key, version, lines }]).await;
    assert_eq!(world.heard().await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_record_without_its_event_may_be_of_a_change_and_is_checked_against_the_journal() {
    let world = world().await;
    world.project(&[world.hint(3)]).await;
    world.cloud.freeze();
    let cheap = world.project(&[world.hint(2), world.hint(3)]).await;
    let changed = ProjectionHint { lines: Vec::new(), ..world.hint(2) };
    assert_eq!(world.project(&[changed, world.hint(3)]).await, cheap + 1);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_lags_lets_events_be_announced_again_and_never_fewer() {
    let world = world().await;
    world.project(&[world.hint(1)]).await;
    assert_eq!(world.heard().await, [1]);
    sleep(Duration::from_secs(1)).await;
    world.cloud.freeze();
    sleep(Duration::from_secs(1)).await;
    world.project(&[world.hint(2)]).await;
    world.project(&[world.hint(3)]).await;
    assert_eq!(world.heard().await, [1, 2, 2, 3, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_removed_row_of_another_history_marks_nothing_as_announced() {
    let world = world().await;
    let other = Story::begin("main", 1).received().deleted().purged();
    world.cloud.show_removed(other.asset());
    world.project(&[world.hint(3)]).await;
    assert_eq!(world.heard().await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_does_not_take_a_removed_row_for_the_present_one() {
    let world = world().await;
    world.cloud.show_removed(world.story.asset());
    assert!(world.runner.redrive(&world.story.key).await.is_some());
    assert_eq!(world.heard().await, [1, 2, 3]);
}
