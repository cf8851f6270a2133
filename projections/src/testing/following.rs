//! Helpers for tests of a follower, for all stores.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use std::sync::Arc;

use ledger::journal::{Arrivals, Journal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Clock, Story};
use crate::follower::{FollowerProgress, JournalFollower};
use crate::generations::Generations;
use crate::position::Positions;
use crate::runner::Runner;
use crate::views::{ListQuery, Views};

/// A follower of `journal` that projects to the rows of `views`.
#[must_use]
pub fn follower(
    journal: &Arc<impl Journal + Arrivals + 'static>,
    views: &Arc<impl Generations + Positions + 'static>,
) -> JournalFollower {
    let effects = Arc::new(Clock::default());
    let runner = Runner::new(Arc::clone(journal) as _, Arc::clone(views) as _, effects);
    JournalFollower::new(Arc::clone(journal) as _, Arc::clone(views) as _, runner)
}

/// A running follower.
pub struct Running {
    /// Ends when the follower does.
    pub task: JoinHandle<()>,
    /// Stops the follower; so does dropping it.
    pub shutdown: watch::Sender<bool>,
    /// Its progress.
    pub progress: FollowerProgress,
}

impl Running {
    /// Starts the follower on a task of its own.
    #[must_use]
    pub fn start(mut follower: JournalFollower) -> Self {
        let (shutdown, signal) = watch::channel(false);
        let progress = follower.progress();
        let task = tokio::spawn(async move { follower.run(signal).await });
        Self { task, shutdown, progress }
    }

    /// Stops it, and waits for its end.
    pub async fn stop(self) {
        self.shutdown.send_replace(true);
        self.task.await.unwrap();
    }
}

/// Assets with three events each.
#[must_use]
pub fn stories(count: u32) -> Vec<Story> {
    (1..=count).map(|nth| Story::begin("main", nth).received().uploaded()).collect()
}

/// Appends the stories' events in turn, so that each asset's are far apart.
pub async fn append_mixed(journal: &dyn Journal, stories: &[Story]) {
    for version in 0..3 {
        for story in stories {
            journal.append(&story.key, story.lines[version].clone()).await.unwrap();
        }
    }
}

/// Asserts that the rows are exactly those of the stories.
pub async fn assert_rows(views: &dyn Views, stories: &[Story]) {
    let tenant = "main".parse().unwrap();
    let all = ListQuery::all(tenant, usize::MAX);
    let rows = views.list(&all).await.unwrap().assets;
    let folds: Vec<_> = stories.iter().rev().map(Story::asset).collect();
    assert_eq!(rows, folds);
}
