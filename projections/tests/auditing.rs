//! An audit of files reads the rows beside the journal, in several segments, and finds what is
//! wrong with each.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::Arc;
use std::time::Duration;

use ledger::audit::FindingKind;
use projections::Generations;
use projections::audit::{AuditProgress, RowAudit};
use projections::testing::{Clock, Story};
use stores::sqlite::OpenMode;
use stores::{SqliteJournal, SqliteViews};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Assets of each tenant: more than a page of the journal and of the rows.
const ASSETS: u32 = 1_100;
const TENANTS: [&str; 3] = ["a", "a-b", "main"];

type Told = Vec<(FindingKind, String)>;

async fn audited(folder: &TempDir, segments: u32) -> (Told, (u64, u64, u64)) {
    let journal = SqliteJournal::open(folder.path(), OpenMode::Existing).await.unwrap();
    let views = SqliteViews::open(folder.path(), OpenMode::Existing).unwrap();
    let audit = RowAudit {
        journal: Arc::new(journal),
        views: Arc::new(views),
        tenant: None,
        effects: Arc::new(Clock::default()),
        patience: Duration::ZERO,
        repair: false,
        segments,
    };
    let (findings, mut heard) = mpsc::channel(1_000);
    let progress = Arc::<AuditProgress>::default();
    audit.run(&findings, &progress).await.unwrap();
    drop(findings);
    let mut told = Told::new();
    while let Some(finding) = heard.recv().await {
        told.push((finding.kind, finding.asset));
    }
    told.sort();
    (told, progress.figures())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_row_is_found_once_whatever_the_segments() {
    let folder = TempDir::new().unwrap();
    let journal = SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap();
    let views = SqliteViews::open(folder.path(), OpenMode::OrCreate).unwrap();
    let rows = views.rows(views.generations().await.unwrap().current);
    for tenant in TENANTS {
        let story = |nth| Story::begin(tenant, nth).received();
        let stories: Vec<_> = (1..=ASSETS).map(story).collect();
        futures::future::join_all(stories.iter().map(|story| story.append_to(&journal))).await;
        let assets: Vec<_> = stories.iter().map(Story::asset).collect();
        assert!(rows.put_all(&assets).await.iter().all(Result::is_ok));
    }
    drop((rows, views, journal));
    let all = u64::from(ASSETS) * 3;
    for segments in [1, 2, 3, 7] {
        assert_eq!(audited(&folder, segments).await, (Told::new(), (all, all * 2, all)));
    }

    let file = rusqlite::Connection::open(folder.path().join("views.sqlite")).unwrap();
    let name = |tenant: &str, nth| Story::begin(tenant, nth).key.partition();
    let id = |nth| Story::begin("a", nth).key.asset.to_string();
    let mut expected = Told::new();
    for (tenant, nth) in TENANTS.into_iter().flat_map(|it| [1, 600, ASSETS].map(|nth| (it, nth))) {
        let alter = "UPDATE assets SET filename = 'x' WHERE pk = ?1 AND sk = ?2";
        let drop = "DELETE FROM assets WHERE pk = ?1 AND sk = ?2";
        let (kind, wrong) = if nth == 600 {
            (FindingKind::RowMissing, drop)
        } else {
            (FindingKind::RowAltered, alter)
        };
        assert_eq!(file.execute(wrong, [tenant, &id(nth)]), Ok(1));
        expected.push((kind, name(tenant, nth)));
    }
    // Before all histories of a tenant, among them, and after them.
    for (tenant, sk) in [("a", "!"), ("a-b", &format!("{}x", id(500))), ("main", "zz"), ("z", "1")]
    {
        let copy = "CREATE TEMP TABLE copy AS SELECT * FROM assets WHERE pk = 'a' AND sk = ?1";
        file.execute(copy, [id(2)]).unwrap();
        file.execute("ALTER TABLE copy DROP COLUMN shown", []).unwrap();
        file.execute("UPDATE copy SET pk = ?1, sk = ?2", [tenant, sk]).unwrap();
        let names = "SELECT group_concat(name) FROM pragma_table_info('copy')";
        let names: String = file.query_row(names, [], |row| row.get(0)).unwrap();
        let plant = format!("INSERT INTO assets ({names}) SELECT {names} FROM copy");
        assert_eq!(file.execute(&plant, []), Ok(1));
        file.execute("DROP TABLE copy", []).unwrap();
        expected.push((FindingKind::RowOrphaned, format!("{tenant}#{sk}")));
    }
    drop(file);
    expected.sort();
    for segments in [1, 2, 3, 7] {
        let (told, (assets, events, read)) = audited(&folder, segments).await;
        assert_eq!(told, expected, "{segments} segments");
        assert_eq!((assets, events, read), (all, all * 2, all + 1), "{segments} segments");
    }
}
