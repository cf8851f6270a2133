//! A journal in a file, followed into rows in a file.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::Arc;

use ledger::journal::{Arrivals, Journal};
use projections::follower::FollowerProgress;
use projections::generations::Generations;
use projections::testing::{Clock, Story};
use projections::views::{ListQuery, MemoryViews, Views};
use projections::{JournalFollower, Positions, Runner};
use stores::sqlite::OpenMode;
use stores::{SqliteJournal, SqliteViews};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

fn follower(
    journal: &Arc<impl Journal + Arrivals + 'static>,
    views: &Arc<impl Generations + Positions + 'static>,
) -> JournalFollower {
    let effects = Arc::new(Clock::default());
    let runner = Runner::new(Arc::clone(journal) as _, Arc::clone(views) as _, effects);
    JournalFollower::new(Arc::clone(journal) as _, Arc::clone(views) as _, runner)
}

/// A follower at work.
struct Running {
    task: JoinHandle<()>,
    shutdown: watch::Sender<bool>,
    progress: FollowerProgress,
}

impl Running {
    fn start(follower: JournalFollower) -> Self {
        let (shutdown, signal) = watch::channel(false);
        let progress = follower.progress();
        Self { task: tokio::spawn(follower.run(signal)), shutdown, progress }
    }

    async fn stop(self) {
        self.shutdown.send_replace(true);
        self.task.await.unwrap();
    }
}

fn stories(count: u32) -> Vec<Story> {
    (1..=count).map(|nth| Story::begin("main", nth).received().uploaded()).collect()
}

/// Appends the stories' events in turn, so that each asset's lie far apart.
async fn append_mixed(journal: &dyn Journal, stories: &[Story]) {
    for version in 0..3 {
        for story in stories {
            journal.append(&story.key, story.lines[version].clone()).await.unwrap();
        }
    }
}

async fn assert_rows(views: &dyn Views, stories: &[Story]) {
    let tenant = "main".parse().unwrap();
    let all = ListQuery { tenant, state: None, after: None, limit: usize::MAX };
    let rows = views.list(&all).await.unwrap().assets;
    let folds: Vec<_> = stories.iter().rev().map(Story::asset).collect();
    assert_eq!(rows, folds);
}

#[tokio::test]
async fn what_is_no_event_does_not_stop_the_others() {
    let folder = TempDir::new().unwrap();
    let journal = SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap();
    let (journal, views) = (Arc::new(journal), Arc::<MemoryViews>::default());
    let stories = stories(3);
    append_mixed(&*journal, &stories[..2]).await;
    let file = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
    for (sk, body) in [(-1, "'x'"), (4, "CAST(x'7bff' AS TEXT)")] {
        let insert = format!("INSERT INTO events (pk, sk, body) VALUES (?1, ?2, {body})");
        file.execute(&insert, (stories[1].key.partition(), sk)).unwrap();
    }
    append_mixed(&*journal, &stories[2..]).await;
    follower(&journal, &views).catch_up().await.unwrap();
    assert_rows(&*views, &[stories[0].clone(), stories[2].clone()]).await;
    let parked = views.parked(&stories[1].key.tenant, 9).await.unwrap();
    assert_eq!((&parked[0].key, parked[0].version, parked.len()), (&stories[1].key, 4, 1));
}

#[tokio::test]
async fn files_are_followed_across_restarts_and_not_over_a_restored_copy() {
    let [folder, copy] = [(); 2].map(|()| TempDir::new().unwrap());
    let stories = stories(50);
    for round in 1..=2 {
        let journal = SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap();
        let views = SqliteViews::open(folder.path(), OpenMode::OrCreate).unwrap();
        let (journal, views) = (Arc::new(journal), Arc::new(views));
        let mut running = Running::start(follower(&journal, &views));
        append_mixed(&*journal, &stories[..25 * round]).await;
        assert!(running.progress.caught_up().await);
        assert_rows(&*views, &stories[..25 * round]).await;
        running.stop().await;
    }
    let restored = SqliteJournal::open(copy.path(), OpenMode::OrCreate).await.unwrap();
    append_mixed(&restored, &stories[10..20]).await;
    let views = Arc::new(SqliteViews::open(folder.path(), OpenMode::Existing).unwrap());
    follower(&Arc::new(restored), &views).catch_up().await.unwrap_err();
    assert_rows(&*views, &stories).await;
}
