//! `asset-ledger replay` as a process: killed, stopped, beside a running `serve`, and undone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use projections::generations::GenerationList;
use projections::testing::{Clock, Story};
use projections::{Generations, JournalFollower, Runner};
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::OpenMode;

use crate::server::{PATIENCE, ServeProcess, program};

/// Assets of two events each.
const ASSETS: u32 = 3_000;

async fn filled(data: &Path) {
    std::fs::create_dir_all(data).unwrap();
    let journal = SqliteJournal::open(data, OpenMode::OrCreate).await.unwrap();
    let stories: Vec<_> = (1..=ASSETS).map(|nth| Story::begin("main", nth).received()).collect();
    futures::future::join_all(stories.iter().map(|story| story.append_to(&journal))).await;
}

fn command(data: &Path, name: &str, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg(name).args(arguments).arg("--data").arg(data);
    command
}

fn run(data: &Path, name: &str, arguments: &[&str]) -> Output {
    command(data, name, arguments).output().unwrap()
}

/// Runs it, and returns its standard output.
fn said(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, "replay", arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn views(data: &Path) -> SqliteViews {
    SqliteViews::open(data, OpenMode::OrCreate).unwrap()
}

async fn list(data: &Path) -> GenerationList {
    views(data).generations().await.unwrap()
}

/// A slow replay that has started and saved the progress of some rows.
async fn begun(data: &Path) -> Child {
    let mut child = command(data, "replay", &["--rate", "900"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !has_saved(data).await {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("no progress was saved: {:?}", child.wait_with_output());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    child
}

async fn has_saved(data: &Path) -> bool {
    let progress = views(data).progress().await.unwrap();
    progress.is_some_and(|it| it.stretches.iter().any(|stretch| stretch.assets > 0))
}

fn assert_clean(data: &Path) {
    let verified = run(data, "verify", &["--patience", "1"]);
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_was_killed_changed_nothing_and_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    filled(&data).await;
    let mut child = begun(&data).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let left = list(&data).await;
    assert_eq!((left.current.number(), left.building.is_some()), (1, true));

    let told = said(&data, &[]);
    assert!(told.contains("6000 events of 3000 assets"), "{told}");
    assert!(told.contains("generation 2 is current"), "it was begun anew: {told}");
    assert_clean(&data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_told_to_stop_says_how_to_go_on_and_another_is_told_of_one_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    filled(&data).await;
    let child = begun(&data).await;
    let second = run(&data, "replay", &[]);
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && told.contains("another replay"), "{told}");

    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let stopped = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert!(!stopped.status.success() && told.contains("again to resume"), "{told}");
    let began = Instant::now();
    assert!(said(&data, &[]).contains("generation 2 is current"));
    assert!(began.elapsed() < Duration::from_secs(9), "nobody waits for one that said good-bye");
    assert_clean(&data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_service_commands_go_on_and_going_back_is_one_command() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    filled(&data).await;
    let server = ServeProcess::start(&data);
    let replaying = {
        let data = data.clone();
        tokio::task::spawn_blocking(move || said(&data, &["--rate", "1500"]))
    };
    let mut created = Vec::new();
    while !replaying.is_finished() {
        created.push(server.create().await["id"].as_str().unwrap().to_owned());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(replaying.await.unwrap().contains("generation 2 is current"));
    assert!(created.len() > 20, "{} commands went on", created.len());
    for id in &created {
        assert_eq!(server.state(id).await["state"], "CREATED");
    }
    assert_clean(&data);
    assert!(said(&data, &["--rollback"]).contains("generation 1 is current again"));
    created.push(server.create().await["id"].as_str().unwrap().to_owned());
    assert_clean(&data);
    assert_eq!(server.list().await.len(), created.len() + ASSETS as usize);
}

#[tokio::test]
async fn a_dry_run_writes_nothing_where_there_are_no_rows_and_lets_go_of_none_that_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    filled(&data).await;
    let told = said(&data, &["--dry-run"]);
    assert!(told.contains("3000 missing") && told.contains("nothing was changed"), "{told}");
    assert!(!data.join("views.sqlite").exists(), "it made a file");

    // A generation kept long ago, for a minute.
    let long_ago = DateTime::UNIX_EPOCH;
    let list = list(&data).await;
    let next = list.announced("a", long_ago).unwrap();
    let built = next.building.clone().unwrap().generation;
    let next = next.switched(built, Some(TimeDelta::minutes(1)), long_ago).unwrap();
    assert!(views(&data).replace(&list, &next).await.unwrap());
    assert!(said(&data, &["--dry-run"]).contains("3000 missing"));
    assert_eq!(views(&data).generations().await.unwrap(), next);
}

/// A data folder with rows of a replay, an asset of it, and the file of its rows.
async fn replayed(folder: &Path) -> (PathBuf, String, rusqlite::Connection) {
    let data = folder.join("data");
    filled(&data).await;
    said(&data, &[]);
    let rows = rusqlite::Connection::open(data.join("views.sqlite")).unwrap();
    (data, Story::begin("main", 7).key.asset.to_string(), rows)
}

/// Steps 1 and 2 of 'A row looks wrong' in docs/OPERATIONS.md.
#[tokio::test]
async fn a_row_that_was_altered_or_cannot_be_read_is_mended_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let (data, id, rows) = replayed(folder.path()).await;
    assert!(said(&data, &["--asset", &id]).contains("matches its events"));
    for altered in ["filename = 'evil'", "tags = 'x'", "version = 99", "state = 'GONE'"] {
        let alter = format!("UPDATE assets_2 SET {altered} WHERE sk = ?1");
        assert!(rows.execute(&alter, [&id]).unwrap() > 0);
        let found = run(&data, "verify", &["--patience", "1"]);
        assert_eq!(found.status.code(), Some(1), "{altered}: {found:?}");
        assert!(said(&data, &["--asset", &id]).contains("was rebuilt"), "{altered}");
        assert_clean(&data);
    }
}

#[tokio::test]
async fn a_row_that_may_be_evidence_is_left_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (data, id, rows) = replayed(folder.path()).await;
    let other = "0".repeat(64);
    let alter = "UPDATE assets_2 SET head = ?2 WHERE sk = ?1";
    assert_eq!(rows.execute(alter, [&id, &other]), Ok(1));
    let refused = run(&data, "replay", &["--asset", &id]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("edited") && told.contains("was not changed"), "{told}");
    let head = "SELECT head FROM assets_2 WHERE sk = ?1";
    let head: String = rows.query_row(head, [&id], |row| row.get(0)).unwrap();
    assert_eq!(head, other);
}

#[tokio::test]
async fn an_id_that_was_mistyped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServeProcess::start(folder.path());
    let id = server.create().await["id"].as_str().unwrap().to_owned();
    server.kill();
    let other = "019aaf6b-5a00-7123-8456-0123456789ab";
    let refused = run(folder.path(), "replay", &["--asset", other]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("tenant main has no asset {other}")), "{told}");
    said(folder.path(), &["--asset", &id]);
    assert_clean(folder.path());
}

#[test]
fn a_refusal_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    drop(ServeProcess::start(folder.path()));
    let refused = run(folder.path(), "replay", &["--rollback"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(told, "asset-ledger: no earlier generation is kept\n");
}

#[tokio::test]
async fn a_journal_that_was_tampered_with_is_not_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    filled(&data).await;
    said(&data, &["--keep", "1h"]);
    let file = by_hand(&data);
    let asset = Story::begin("main", 7).key;
    let forged = "UPDATE events SET body = replace(body, 'anonymous', 'nobody') \
        WHERE pk = ?1 AND sk = 1";
    assert_eq!(file.execute(forged, [asset.partition()]).unwrap(), 1);
    for arguments in [&["--dry-run"][..], &[]] {
        let refused = run(&data, "replay", arguments);
        let told = String::from_utf8_lossy(&refused.stdout).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(told.contains(&asset.partition()), "{told}");
        assert_eq!(list(&data).await.current.number(), 2, "the rows stay as they were");
    }
    let told = said(&data, &["--accept-broken"]);
    assert!(told.contains("generation 4 is current"), "{told}");
}

/// Deletes the journal's newest event like an attacker who can write the file.
pub(crate) fn cut_newest(data: &Path) {
    let cut = "DELETE FROM events WHERE arrival = (SELECT max(arrival) FROM events)";
    assert_eq!(by_hand(data).execute(cut, []), Ok(1));
}

/// The journal without its triggers.
fn by_hand(data: &Path) -> rusqlite::Connection {
    let file = rusqlite::Connection::open(data.join("journal.sqlite")).unwrap();
    let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let names: Vec<String> = file
        .prepare(triggers)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    for name in names {
        file.execute_batch(&format!("DROP TRIGGER \"{name}\"")).unwrap();
    }
    file
}

async fn follow(data: &Path) -> Result<u64, ledger::StoreError> {
    let journal = Arc::new(SqliteJournal::open(data, OpenMode::Existing).await.unwrap());
    let views = Arc::new(views(data));
    let runner = Runner::new(journal.clone(), views.clone(), Arc::new(Clock::default()));
    JournalFollower::new(journal, views, runner).catch_up().await
}

#[tokio::test]
async fn a_cut_journal_is_found_until_a_flag_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let journal = SqliteJournal::open(data, OpenMode::OrCreate).await.unwrap();
    for nth in 1..=3 {
        Story::begin("main", nth).received().append_to(&journal).await;
    }
    drop(journal);
    follow(data).await.unwrap();
    assert_clean(data);
    cut_newest(data);

    let found = || {
        let said = run(data, "verify", &["--patience", "1"]);
        let text = String::from_utf8(said.stdout).unwrap();
        assert!(!said.status.success() && text.contains("truncated"), "{text}");
        assert!(text.contains("position-lost") && text.contains("older than its rows"), "{text}");
    };
    found();
    follow(data).await.unwrap_err();
    found();
    let refused = run(data, "replay", &[]);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && why.contains("--accept-restored"), "{why}");
    found();
    let refused = run(data, "replay", &["--accept-broken"]);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(!run(data, "verify", &["--repair", "--patience", "1"]).status.success());
    found();

    said(data, &["--accept-restored"]);
    assert_clean(data);
    let list = list(data).await;
    assert_eq!((list.current.number(), list.evidence.len(), list.kept), (2, 1, None));
    follow(data).await.unwrap();
    assert_clean(data);

    // New rows are beside the old ones, which a person drops, not the next replay.
    let newest = Story::begin("main", 3).key.asset.to_string();
    let versions = || {
        let rows = rusqlite::Connection::open(data.join("views.sqlite")).unwrap();
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'assets%'";
        let mut tables = rows.prepare(tables).unwrap();
        let tables = tables.query_map([], |row| row.get(0)).unwrap();
        let tables: Vec<String> = tables.collect::<Result<_, _>>().unwrap();
        let version = |table: String| {
            let of = format!("SELECT generation, version FROM {table} WHERE sk = ?1");
            rows.query_row(&of, [&newest], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        let mut versions: Vec<(u32, u64)> = tables.into_iter().map(version).collect();
        versions.sort_unstable();
        versions
    };
    assert_eq!(versions(), [(1, 2), (2, 1)]);
    said(data, &[]);
    assert_eq!(versions(), [(1, 2), (2, 1), (3, 1)]);
    drop(ServeProcess::start(data));
    assert_eq!(versions()[0], (1, 2));
    let mut clean = command(data, "replay", &["--clean"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut told = String::new();
    BufReader::new(clean.stdout.take().unwrap()).read_line(&mut told).unwrap();
    clean.kill().unwrap();
    clean.wait().unwrap();
    assert!(told.contains("removing the old rows"), "{told}");
    assert_eq!(self::list(data).await.evidence, []);
}

/// Yesterday's `journal.sqlite` is restored. That is no edit of each asset, and reported once.
#[tokio::test]
async fn a_journal_that_is_older_than_its_rows_is_told_apart_from_an_edit() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy.sqlite"));
    std::fs::create_dir(&data).unwrap();
    for nth in 1..=4 {
        let journal = SqliteJournal::open(&data, OpenMode::OrCreate).await.unwrap();
        Story::begin("main", nth).received().append_to(&journal).await;
        drop(journal);
        if nth == 2 {
            std::fs::copy(data.join("journal.sqlite"), &copy).unwrap();
        }
    }
    follow(&data).await.unwrap();
    let verify = || {
        let said = run(&data, "verify", &["--json", "--repair", "--patience", "0"]);
        let mut lines: Vec<_> =
            str::from_utf8(&said.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort(); // rows are read concurrently
        lines.join("\n")
    };
    let newest = std::fs::read(data.join("journal.sqlite")).unwrap();
    let edit = "UPDATE events SET body = replace(body, 'anonymous', 'nobody') WHERE arrival = 1";
    let file = by_hand(&data);
    assert_eq!(file.execute(edit, []), Ok(1));
    drop(file);
    let edited = verify();
    assert!(edited.contains("edited") && !edited.contains("position-lost"), "{edited}");
    std::fs::write(data.join("journal.sqlite"), newest).unwrap();
    assert_clean(&data);

    std::fs::copy(&copy, data.join("journal.sqlite")).unwrap();
    let older = verify();
    assert!(older.contains("position-lost") && older.contains("older than its rows"), "{older}");
    assert!(older.contains("replay --accept-restored"), "{older}");
    assert!(!older.contains("edited"), "{older}");
    assert_eq!(verify(), older, "nothing was mended away");
}
