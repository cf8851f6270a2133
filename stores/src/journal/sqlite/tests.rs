//! Properties of the file: disk faults, other programs, several processes.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Barrier, mpsc};
use std::{fs, thread};

use chrono::DateTime;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use ledger::error::StoreErrorKind;
use ledger::id::AssetId;
use ledger::journal::scan::{Chains, Scan};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    async fn open(&self) -> Result<SqliteJournal, StoreError> {
        SqliteJournal::open(self.0.path(), OpenMode::OrCreate).await
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join(FILE)
    }

    /// A connection of another program.
    fn stranger(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }
}

fn key(of: u128) -> Key {
    let asset = AssetId::new(DateTime::UNIX_EPOCH, of);
    Key { tenant: "main".parse().unwrap(), asset }
}

fn line(version: u64, text: &str) -> StoredLine {
    StoredLine { version, body: format!("{{\"text\":{text:?}}}") }
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> StoreErrorKind {
    outcome.unwrap_err().kind
}

#[tokio::test]
async fn what_was_answered_is_there_when_the_file_is_opened_again() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    for version in 1..=3 {
        journal.append(&key(1), line(version, "kept")).await.unwrap();
    }
    let (before, latest) = (journal.arrivals(0, 9).await.unwrap(), *journal.latest().borrow());
    drop(journal);
    let again = SqliteJournal::open(folder.0.path(), OpenMode::Existing).await.unwrap();
    assert_eq!(again.arrivals(0, 9).await.unwrap(), before);
    assert_eq!((before.len(), *again.latest().borrow()), (3, latest));
}

#[tokio::test]
async fn a_history_of_any_length_is_read_whole() {
    let journal = Folder::new();
    let journal = journal.open().await.unwrap();
    for version in 1..=2 * SHORT as u64 {
        journal.append(&key(1), line(version, "kept")).await.unwrap();
        let history = journal.history(&key(1)).await.unwrap();
        assert!(history.iter().map(|line| line.version).eq(1..=version), "{version}");
    }
}

#[tokio::test]
async fn only_its_owner_may_read_it() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    journal.append(&key(1), line(1, "kept")).await.unwrap();
    let names = fs::read_dir(folder.0.path()).unwrap().map(Result::unwrap);
    let modes: Vec<_> = names.map(|it| it.metadata().unwrap().permissions().mode()).collect();
    assert!(modes.len() == 3 && modes.iter().all(|mode| mode & 0o777 == 0o600), "{modes:?}");
}

#[tokio::test]
async fn events_are_not_changed_deleted_or_replaced_by_accident() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    journal.append(&key(1), line(1, "first")).await.unwrap();
    let stranger = folder.stranger();
    for accident in ["UPDATE events SET body = '{}'", "DELETE FROM events"] {
        let error = stranger.execute(accident, []).unwrap_err().to_string();
        assert!(error.contains("append-only"), "{accident}: {error}");
    }
    for accident in [
        "REPLACE INTO events (pk, sk, body) SELECT pk, sk, '{}' FROM events",
        "REPLACE INTO events SELECT arrival, 'main#x', 7, '{}' FROM events",
    ] {
        let _ = stranger.execute(accident, []);
        assert_eq!(journal.history(&key(1)).await.unwrap(), [line(1, "first")], "{accident}");
    }
}

#[tokio::test]
async fn a_missing_file_is_made_only_when_that_is_asked_for() {
    let folder = Folder::new();
    let missing = SqliteJournal::open(folder.0.path(), OpenMode::Existing).await;
    assert_eq!(kind(missing), StoreErrorKind::Misconfigured);
    assert!(!folder.file().exists());
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_left_as_it_was() {
    let somebody_elses = "CREATE TABLE letters (a TEXT); INSERT INTO letters VALUES ('dear')";
    let another_program = "PRAGMA application_id = 7";
    let only_versioned = "PRAGMA user_version = 1";
    for script in [somebody_elses, another_program, only_versioned] {
        let folder = Folder::new();
        folder.stranger().execute_batch(script).unwrap();
        assert_eq!(refused(&folder).await, StoreErrorKind::Misconfigured, "{script}");
    }
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused_and_left_as_it_was() {
    let folder = Folder::new();
    let stranger = folder.stranger();
    stranger.pragma_update(None, "application_id", SCHEMA.application_id).unwrap();
    stranger.pragma_update(None, "user_version", SCHEMA.steps.len() + 1).unwrap();
    drop(stranger);
    assert_eq!(refused(&folder).await, StoreErrorKind::Misconfigured);
}

#[tokio::test]
async fn a_file_of_every_older_form_is_migrated_with_its_events_and_is_read_as_it_is() {
    for applied in 1..SCHEMA.steps.len() {
        let folder = Folder::new();
        let older = folder.stranger();
        for step in &SCHEMA.steps[..applied] {
            older.execute_batch(step).unwrap();
        }
        older.pragma_update(None, "application_id", SCHEMA.application_id).unwrap();
        older.pragma_update(None, "user_version", applied).unwrap();
        let insert = "INSERT INTO events (pk, sk, body) VALUES (?1, 1, ?2)";
        older.execute(insert, [key(1).partition(), line(1, "first").body]).unwrap();
        drop(older);
        for open in [OpenMode::ReadOnly, OpenMode::Existing, OpenMode::ReadOnly] {
            let journal = SqliteJournal::open(folder.0.path(), open).await.unwrap();
            assert_eq!(journal.history(&key(1)).await.unwrap(), [line(1, "first")], "{open:?}");
            journal.database().close().await;
        }
        let migrated: usize =
            folder.stranger().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(migrated, SCHEMA.steps.len());
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_was() {
    let folder = Folder::new();
    fs::write(folder.file(), "not a database ".repeat(400)).unwrap();
    assert_eq!(refused(&folder).await, StoreErrorKind::Corrupt);
}

async fn refused(folder: &Folder) -> StoreErrorKind {
    let before = fs::read(folder.file()).unwrap();
    let kind = kind(folder.open().await);
    assert!(fs::read(folder.file()).unwrap() == before, "the file was left as it was");
    let beside = fs::read_dir(folder.0.path()).unwrap().count();
    assert_eq!(beside, 1, "and nothing was put beside it");
    kind
}

#[tokio::test]
async fn a_damaged_page_is_corrupt() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    for version in 1..=50 {
        journal.append(&key(1), line(version, &"x".repeat(400))).await.unwrap();
    }
    drop(journal);
    folder.stranger().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mut bytes = fs::read(folder.file()).unwrap();
    let page = 4096;
    bytes[2 * page..].fill(0xa5);
    fs::write(folder.file(), bytes).unwrap();
    let damaged = folder.open().await;
    let seen = match damaged {
        Ok(journal) => kind(journal.history(&key(1)).await),
        Err(error) => error.kind,
    };
    assert_eq!(seen, StoreErrorKind::Corrupt);
}

/// Takes five seconds, the time that callers wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_kept_locked_is_unavailable_and_well_again_afterwards() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    let holder = folder.stranger();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let appended = journal.append(&key(1), line(1, "locked out")).await;
    assert_eq!(kind(appended), StoreErrorKind::Unavailable);
    assert_eq!(journal.history(&key(1)).await.unwrap(), [], "reading goes on");
    assert!(folder.open().await.is_ok(), "and so does opening it");
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(journal.append(&key(1), line(1, "in")).await.unwrap(), Appended::Written);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_answered_and_passes() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    limit_pages(&journal, 20).await;
    let mut kept = Vec::new();
    let refused = loop {
        let line = line(kept.len() as u64 + 1, &"x".repeat(1_000));
        match journal.append(&key(1), line.clone()).await {
            Ok(answer) => assert_eq!(answer, Appended::Written),
            Err(error) => break error,
        }
        kept.push(line);
    };
    assert_eq!(refused.kind, StoreErrorKind::Unavailable);
    assert!(kept.len() > 10);
    assert_eq!(journal.history(&key(1)).await.unwrap(), kept);
    limit_pages(&journal, 1_000).await;
    let next = line(kept.len() as u64 + 1, "room again");
    assert_eq!(journal.append(&key(1), next).await.unwrap(), Appended::Written);
}

async fn limit_pages(journal: &SqliteJournal, pages: u32) {
    let limit = move |file: &Connection| {
        file.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    };
    journal.database.write(limit).await.unwrap();
}

#[tokio::test]
async fn one_failed_job_fails_its_whole_group_and_all_of_it_is_rolled_back() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    journal.append(&key(1), line(1, "before")).await.unwrap();
    let arrived = *journal.latest().borrow();

    let release = hold_the_writer(&journal).await;
    let (one, two) = (key(1), key(2));
    let failing = |file: &Connection| file.execute("INSERT INTO nowhere", []);
    let (ahead, conflict, failed, behind, ()) = tokio::join!(
        journal.append(&one, line(2, "ahead of it")),
        journal.append(&one, line(1, "a conflict, which is an answer too")),
        journal.database.write(failing),
        journal.append(&two, line(1, "behind it")),
        async { release.send(()).unwrap() },
    );
    let failed = kind(failed);
    for outcome in [ahead, conflict, behind] {
        assert_eq!(kind(outcome), failed);
    }
    assert_eq!(journal.history(&key(1)).await.unwrap(), [line(1, "before")]);
    assert_eq!(journal.history(&key(2)).await.unwrap(), []);
    assert_eq!(*journal.latest().borrow(), arrived, "nobody was told of what was rolled back");
    assert_eq!(journal.append(&key(1), line(2, "after")).await.unwrap(), Appended::Written);
}

/// Blocks the writer until it is released, so that the jobs meanwhile form one group.
async fn hold_the_writer(journal: &SqliteJournal) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel();
    let (started, starts) = oneshot::channel();
    let hold = move |_: &Connection| {
        started.send(()).unwrap();
        wait.recv().unwrap();
        Ok(())
    };
    let mut writing = Box::pin(journal.database.write(hold));
    tokio::select! {
        _ = &mut writing => panic!("the writer was not held"),
        started = starts => started.unwrap(),
    }
    release
}

#[test]
fn many_may_open_a_new_folder_at_once() {
    for _ in 0..20 {
        let folder = Arc::new(Folder::new());
        let start = Arc::new(Barrier::new(4));
        let openers = (0..4).map(|_| {
            let (folder, start) = (Arc::clone(&folder), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(folder.open()).map(drop)
            })
        });
        for opener in openers.collect::<Vec<_>>() {
            opener.join().unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn rows_that_are_no_asset_s_hold_up_nobody() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    journal.append(&key(1), line(1, "before")).await.unwrap();
    let intrude = |times: u32| {
        for nth in 0..times {
            let pk = format!("MAIN#{times}-{nth}");
            let insert = "INSERT INTO events (pk, sk, body) VALUES (?1, 1, 'x')";
            folder.stranger().execute(insert, [pk]).unwrap();
        }
    };
    intrude(5);
    journal.append(&key(1), line(2, "between")).await.unwrap();
    intrude(3);
    for limit in [1, 2, 100] {
        let (mut after, mut seen) = (0, Vec::new());
        while let Some(last) = journal.arrivals(after, limit).await.unwrap().last().cloned() {
            after = last.number;
            seen.push(last.line.unwrap().version);
        }
        assert_eq!(seen.last(), Some(&2), "{limit} at a time");
    }
    drop(journal);
    let again = folder.open().await.unwrap();
    let last = again.arrivals(0, 100).await.unwrap().pop().unwrap();
    assert_eq!(*again.latest().borrow(), last.number, "nobody waits for what never arrives");
}

#[tokio::test]
async fn events_of_named_streams_cost_a_reader_of_arrivals_nothing() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    let stranger = folder.stranger();
    let streams = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 2000) \
        INSERT INTO events (pk, sk, body) SELECT 'main#access', (SELECT count(*) FROM events) \
        + n, 'x' FROM n";
    for asset in 1..=2 {
        stranger.execute(streams, []).unwrap();
        journal.append(&key(asset), line(1, "between them")).await.unwrap();
    }
    stranger.execute(streams, []).unwrap();
    let steps_of = |query: &str, parameters: &[&dyn rusqlite::ToSql], found: usize| {
        let mut statement = stranger.prepare(query).unwrap();
        let rows = statement.query(parameters).unwrap().mapped(|_| Ok(())).count();
        assert_eq!(rows, found, "{query}");
        statement.get_status(rusqlite::StatementStatus::VmStep)
    };
    for (query, parameters, found) in [
        (LAST_ARRIVED, &[] as &[&dyn rusqlite::ToSql], 2),
        (ARRIVED, &[&0, &9], 2),
        (ARRIVED, &[&4002, &9], 0),
        (ARRIVED_OF_TENANT, &[&0, &9, &"main"], 2),
        (ARRIVED_OF_TENANT, &[&4002, &9, &"main"], 0),
    ] {
        let steps = steps_of(query, parameters, found);
        assert!(steps < 100, "{steps} steps: {query}");
    }
}

#[tokio::test]
async fn what_somebody_else_wrote_is_told_as_such_and_holds_up_nobody() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    let pk = key(1).partition();
    let intrusions = [
        format!("('{pk}', -1, 'x')"),
        format!("('{pk}', 9, CAST(x'7bff' AS TEXT))"),
        "(CAST(x'6dff' AS TEXT), 1, 'x')".to_owned(),
        "(CAST(x'6dff' AS TEXT), 2, 'x')".to_owned(),
    ];
    for intrusion in intrusions {
        let insert = format!("INSERT INTO events (pk, sk, body) VALUES {intrusion}");
        folder.stranger().execute(&insert, []).unwrap();
    }
    journal.append(&key(2), line(1, "after")).await.unwrap();
    let arrivals = journal.arrivals(0, 9).await.unwrap();
    let versions = arrivals.iter().map(|arrival| match &arrival.line {
        Ok(line) => line.version.to_string(),
        Err(stray) => format!("stray {}", stray.version),
    });
    assert!(versions.eq(["stray -1", "stray 9", "1"]), "{arrivals:?}");
    assert_eq!(kind(journal.history(&key(1)).await), StoreErrorKind::Corrupt);
    assert_eq!(journal.history(&key(2)).await.unwrap().len(), 1);
    drop(journal);
    assert!(folder.open().await.is_ok());
}

#[tokio::test]
async fn segments_are_about_equal_in_whatever_order_events_arrived() {
    for step in [1_u32, 7, 500] {
        let folder = Folder::new();
        let journal = folder.open().await.unwrap();
        assert_eq!(journal.segments(4).await.unwrap().len(), 1);
        for nth in 0..1_009 {
            journal.append(&key((1 + nth * step % 1_009).into()), line(1, "x")).await.unwrap();
        }
        let (mut sizes, segments) = (Vec::new(), journal.segments(4).await.unwrap());
        for segment in &segments {
            let (mut chains, mut size) = (Chains::new(&journal, segment, None), 0_u32);
            while chains.next().await.unwrap().is_some() {
                size += 1;
            }
            sizes.push(size);
        }
        let (total, equal) = (sizes.iter().sum::<u32>(), (200..300));
        assert!(sizes.iter().all(|size| equal.contains(size)), "{step}: {sizes:?}");
        assert_eq!((sizes.len(), total), (4, 1_009), "{step}");
    }
}

#[tokio::test]
async fn a_scan_goes_past_partitions_that_are_no_text_wherever_a_page_ends() {
    let folder = Folder::new();
    let journal = folder.open().await.unwrap();
    let mut stranger = folder.stranger();
    let intrusion = stranger.transaction().unwrap();
    for nth in 0..2_500_u32 {
        let insert = "INSERT INTO events (pk, sk, body) VALUES (CAST(?1 AS TEXT), 1, 'x')";
        let pk = [b"m\xff".as_slice(), &nth.to_be_bytes()].concat();
        intrusion.execute(insert, [pk]).unwrap();
    }
    intrusion.commit().unwrap();
    journal.append(&key(1), line(1, "before them")).await.unwrap();
    journal.append(&Key { tenant: "n".parse().unwrap(), ..key(1) }, line(1, "x")).await.unwrap();
    let (mut seen, mut known) = (0, 0);
    for segment in journal.segments(3).await.unwrap() {
        let mut chains = Chains::new(&journal, &segment, None);
        while let Some(chain) = chains.next().await.unwrap() {
            seen += 1;
            known += u32::from(chain.key().is_some());
        }
    }
    assert_eq!((seen, known), (2_502, 2));
}
