//! A journal in a file, followed into rows in a file.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::Arc;

use ledger::journal::Journal;
use ledger::testing::streams;
use projections::position::Positions;
use projections::testing::MemoryViews;
use projections::testing::following::{Running, append_mixed, assert_rows, follower, stories};
use projections::views::Views;
use stores::sqlite::OpenMode;
use stores::{SqliteJournal, SqliteViews};
use tempfile::TempDir;

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

/// If one half of a commit fails, so does the other: there are no rows without the position, and no
/// position after rows that were never written.
#[tokio::test]
async fn rows_and_the_position_after_them_are_written_together_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let journal = SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap();
    let views = SqliteViews::open(folder.path(), OpenMode::OrCreate).unwrap();
    let (journal, views) = (Arc::new(journal), Arc::new(views));
    let stories = stories(3);
    append_mixed(&*journal, &stories).await;
    let file = rusqlite::Connection::open(folder.path().join("views.sqlite")).unwrap();
    let start = views.load().await.unwrap();
    let last = stories[2].key.asset;
    for refused in
        [format!("INSERT ON assets WHEN NEW.sk = '{last}'"), "UPDATE ON position".to_owned()]
    {
        let refuse = format!(
            "CREATE TRIGGER refuse BEFORE {refused} BEGIN SELECT RAISE(ABORT, 'refused'); END"
        );
        file.execute_batch(&refuse).unwrap();
        follower(&journal, &views).catch_up().await.unwrap_err();
        assert_rows(&*views, &[]).await;
        assert_eq!(views.load().await.unwrap(), start, "{refused}");
        file.execute_batch("DROP TRIGGER refuse").unwrap();
    }
    follower(&journal, &views).catch_up().await.unwrap();
    assert_rows(&*views, &stories).await;
    assert_ne!(views.load().await.unwrap(), start);
}

#[tokio::test]
async fn named_streams_are_passed_over_across_restarts() {
    let (folder, stories) = (TempDir::new().unwrap(), stories(4));
    for round in 1..=2 {
        let journal = SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap();
        let views = SqliteViews::open(folder.path(), OpenMode::OrCreate).unwrap();
        let (journal, views) = (Arc::new(journal), Arc::new(views));
        let mut running = Running::start(follower(&journal, &views));
        append_mixed(&*journal, &stories[..2 * round]).await;
        let tenant = if round == 1 { "main" } else { "other" };
        let (stream, lines) = streams::access(&tenant.parse().unwrap());
        for line in lines {
            journal.append_to(&stream, line).await.unwrap();
        }
        assert!(running.progress.caught_up().await);
        assert_eq!(running.progress.lag(), 0);
        assert_rows(&*views, &stories[..2 * round]).await;
        assert_eq!(views.parked(&stories[0].key.tenant, 9).await.unwrap(), []);
        running.stop().await;
    }
}
