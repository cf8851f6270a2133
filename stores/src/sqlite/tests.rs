//! The identity of a file, and its state after closing.

use std::fs;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use rusqlite::StatementStatus;
use tempfile::TempDir;

use super::file::LOG;
use super::readers::READERS;
use super::*;

const SCHEMA: Schema = Schema {
    name: "test",
    application_id: 7,
    steps: &["CREATE TABLE parts (of BLOB)"],
    durable: false,
};

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("test.sqlite")
    }

    fn open(&self, open: OpenMode) -> Result<Database, StoreError> {
        Database::open(&self.file(), &SCHEMA, open)
    }

    fn log(&self) -> u64 {
        beside(&self.file(), "-wal").metadata().map_or(0, |log| log.len())
    }
}

async fn add(db: &Database, size: usize) -> Result<usize, StoreError> {
    db.write(move |file| file.execute("INSERT INTO parts VALUES (zeroblob(?1))", [size])).await
}

async fn fill(db: &Database, parts: usize) {
    for _ in 0..parts {
        add(db, 3_000).await.unwrap();
    }
}

async fn count(db: &Database) -> Result<usize, StoreError> {
    db.read(|file| file.query_row("SELECT count(*) FROM parts", [], |row| row.get(0))).await
}

/// Copies the file and its log as after a crash.
fn crashed(of: &Desk) -> Desk {
    let crashed = Desk::new();
    for end in ["", "-wal"] {
        fs::copy(beside(&of.file(), end), beside(&crashed.file(), end)).unwrap();
    }
    crashed
}

#[tokio::test]
async fn a_file_that_was_moved_and_copied_is_not_written_to_any_more() {
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    add(&db, 1).await.unwrap();
    db.check().unwrap();
    let old = desk.0.path().join("old.sqlite");
    fs::rename(desk.file(), &old).unwrap();
    fs::copy(&old, desk.file()).unwrap();
    assert!(add(&db, 1).await.is_err_and(|error| error.kind == StoreErrorKind::Misconfigured));
    assert!(count(&db).await.is_err(), "nor does a reader read another file");
    fs::rename(&old, desk.file()).unwrap();
    assert!(add(&db, 1).await.is_err(), "what was lost once may have been written to");
    assert!(db.check().is_err_and(|error| error.to_string().contains("was replaced")));
}

#[tokio::test]
async fn what_was_removed_acknowledges_nothing() {
    for gone in ["", "-wal", "-shm"] {
        let desk = Desk::new();
        let db = desk.open(OpenMode::OrCreate).unwrap();
        add(&db, 1).await.unwrap();
        fs::remove_file(beside(&desk.file(), gone)).unwrap();
        assert!(add(&db, 1).await.is_err(), "{gone:?}");
        assert!(db.check().is_err_and(|error| error.to_string().contains("removed")));
    }
}

#[tokio::test]
async fn whoever_closes_leaves_no_log() {
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    fill(&db, 9).await;
    assert_eq!(count(&db).await.unwrap(), 9);
    assert!(desk.log() > 0);
    db.close().await;
    assert_eq!(desk.log(), 0);
    assert!(add(&db, 1).await.is_err() && count(&db).await.is_err());
    drop(db);
    let db = desk.open(OpenMode::Existing).unwrap();
    assert_eq!(count(&db).await.unwrap(), 9);
    add(&db, 1).await.unwrap();
    drop(db);
    assert_eq!(desk.log(), 0, "nor does one that is only dropped");
}

#[tokio::test]
async fn a_writer_that_has_ended_fails_the_probe() {
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    db.probe().await.unwrap();
    db.jobs.as_ref().unwrap().send(Message::Close).await.ok().unwrap();
    db.writer.lock().unwrap().take().unwrap().join().unwrap();
    let error = db.probe().await.unwrap_err();
    assert!(error.to_string().contains("no writer"), "{error}");
}

#[tokio::test]
async fn an_older_file_beside_a_newer_log_is_refused_and_left_as_it_was() {
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    fill(&db, 9).await;
    drop(db);
    let older = fs::read(desk.file()).unwrap();
    let db = desk.open(OpenMode::Existing).unwrap();
    fill(&db, 90).await;
    drop(db);
    let db = desk.open(OpenMode::Existing).unwrap();
    fill(&db, 3).await;
    let whole = crashed(&desk);
    assert!(whole.log() > 0);
    let mixed = crashed(&desk);
    fs::write(mixed.file(), &older).unwrap();
    for open in [OpenMode::OrCreate, OpenMode::Existing, OpenMode::ReadOnly] {
        let refused = mixed.open(open).err().unwrap();
        assert!(refused.to_string().contains("does not belong"), "{refused}");
        assert!(refused.to_string().contains(mixed.file().to_str().unwrap()), "{refused}");
    }
    assert!(fs::read(mixed.file()).unwrap() == older && mixed.log() == whole.log());
    assert_eq!(count(&whole.open(OpenMode::ReadOnly).unwrap()).await.unwrap(), 102);
    assert_eq!(
        count(&whole.open(OpenMode::Existing).unwrap()).await.unwrap(),
        102,
        "a crash is none"
    );
}

/// An older file with the same page count: rows were only overwritten.
#[tokio::test]
async fn an_older_file_of_the_same_size_is_told_from_the_one_of_the_log() {
    async fn write_over(db: &Database) {
        let sql = "UPDATE parts SET of = randomblob(length(of))";
        assert_eq!(db.write(|file| file.execute(sql, [])).await.unwrap(), 9);
    }
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    fill(&db, 9).await;
    drop(db);
    let older = fs::read(desk.file()).unwrap();
    let db = desk.open(OpenMode::Existing).unwrap();
    write_over(&db).await;
    drop(db);
    assert_eq!(desk.file().metadata().unwrap().len(), older.len() as u64);
    let db = desk.open(OpenMode::Existing).unwrap();
    write_over(&db).await;
    let (whole, mixed) = (crashed(&desk), crashed(&desk));
    fs::write(mixed.file(), &older).unwrap();
    for open in [OpenMode::Existing, OpenMode::ReadOnly] {
        let refused = mixed.open(open).err().unwrap();
        assert!(refused.to_string().contains("does not belong"), "{refused}");
    }
    assert_eq!(count(&whole.open(OpenMode::Existing).unwrap()).await.unwrap(), 9);
}

/// At any point of a log, also of one that was partly moved to the file.
#[tokio::test]
async fn a_crash_at_any_moment_is_recovered() {
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    let stranger = Connection::open(desk.file()).unwrap();
    for nth in 1..60 {
        add(&db, nth * 100).await.unwrap();
        if nth % 7 == 0 {
            stranger.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        }
        let crashed = crashed(&desk);
        assert_eq!(count(&crashed.open(OpenMode::Existing).unwrap()).await.unwrap(), nth);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_never_pause_do_not_let_the_log_grow_without_end() {
    let desk = Desk::new();
    let db = Arc::new(desk.open(OpenMode::OrCreate).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let readers = (0..3_u64).map(|nth| {
        let (db, stop) = (Arc::clone(&db), Arc::clone(&stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let query = move |file: &Connection| {
                    let mut select = file.prepare("SELECT of FROM parts")?;
                    let mut held = select.query([])?;
                    held.next()?;
                    thread::sleep(Duration::from_millis(5 + nth));
                    Ok(())
                };
                db.read(query).await.unwrap();
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    let mut longest = 0;
    for _ in 0..800 {
        add(&db, 256 << 10).await.unwrap();
        longest = longest.max(desk.log());
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(longest < u64::from(LOG) + (32 << 20), "the log grew to {longest} bytes");
}

#[tokio::test]
async fn an_aborted_read_keeps_its_permit_until_its_work_ends() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("test.sqlite");
    let db = Arc::new(Database::open(&file, &SCHEMA, OpenMode::OrCreate).unwrap());
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..20 {
        let reads = (0..READERS).map(|_| {
            let (db, now, most) = (Arc::clone(&db), Arc::clone(&now), Arc::clone(&most));
            tokio::spawn(async move {
                let query = move |_: &Connection| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(20));
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                let _ = db.read(query).await;
            })
        });
        let reads: Vec<_> = reads.collect();
        tokio::time::sleep(Duration::from_millis(5)).await;
        reads.iter().for_each(tokio::task::JoinHandle::abort);
    }
    db.read(|_| Ok(())).await.unwrap();
    let most = most.load(Ordering::SeqCst);
    assert!(most <= READERS, "{most} reads at once");
}

/// A stream of many reads whose owner reads something else between two polls.
#[tokio::test]
async fn a_read_that_waits_and_is_not_polled_does_not_keep_others_waiting() {
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    let (release, gate) =
        (Arc::new(Barrier::new(READERS + 1)), Arc::new(Barrier::new(READERS + 1)));
    let mut reads = FuturesUnordered::new();
    for _ in 0..READERS {
        let (begun, end) = (Arc::clone(&gate), Arc::clone(&release));
        reads.push(db.read(move |_| {
            begun.wait();
            end.wait();
            Ok(())
        }));
    }
    assert!(reads.next().now_or_never().is_none());
    tokio::task::spawn_blocking(move || gate.wait()).await.unwrap();
    let mut waiting: FuturesUnordered<_> = (0..2 * READERS).map(|_| db.read(|_| Ok(()))).collect();
    assert!(waiting.next().now_or_never().is_none());
    release.wait();
    let other = tokio::time::timeout(Duration::from_secs(20), db.read(|_| Ok(()))).await;
    assert!(other.is_ok(), "it waits for reads that nobody polls");
    assert_eq!(reads.count().await + waiting.count().await, 3 * READERS);
}

/// POSIX locks belong to a process: closing a descriptor that was only read would release all of
/// them, and another process would remove the log.
#[tokio::test]
async fn a_file_that_a_process_opens_twice_keeps_its_locks() {
    use std::os::unix::fs::MetadataExt;

    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    fill(&db, 1).await;
    let inode = format!(":{}", desk.file().metadata().unwrap().ino());
    let locks = || {
        let all = fs::read_to_string("/proc/locks").unwrap();
        let of_file = |line: &&str| line.split_whitespace().any(|word| word.ends_with(&inode));
        all.lines().filter(of_file).count()
    };
    // The writer holds more locks for a moment after a commit. A lost one never comes back.
    let resting = async |held: usize| {
        let mut tries = 500;
        while locks() != held && tries > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            tries -= 1;
        }
        locks()
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let held = locks();
    assert!(held > 0, "the first has a lock");
    for again in [OpenMode::OrCreate, OpenMode::Existing, OpenMode::ReadOnly] {
        drop(desk.open(again).unwrap());
        assert_eq!(resting(held).await, held, "{again:?}");
    }
    assert_eq!(count(&db).await.unwrap(), 1);
}

/// A reader in the process that has the file open, while that process closes and reopens it: it
/// opens and reads at every moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_opens_beside_an_owner_that_closes_at_any_moment() {
    let desk = Arc::new(Desk::new());
    add(&desk.open(OpenMode::OrCreate).unwrap(), 1).await.unwrap();
    let (owner, stop) = (Arc::clone(&desk), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let owner = tokio::task::spawn_blocking(move || {
        while !stopped.load(Ordering::Relaxed) {
            drop(owner.open(OpenMode::Existing).unwrap());
        }
    });
    let mut refused = Vec::new();
    for _ in 0..500 {
        let read = match desk.open(OpenMode::ReadOnly) {
            Ok(reader) => count(&reader).await,
            Err(error) => Err(error),
        };
        refused.extend(read.err().map(|error| error.to_string()));
    }
    stop.store(true, Ordering::Relaxed);
    owner.await.unwrap();
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(desk.log(), 0, "what was read leaves no log");
}

#[tokio::test]
async fn a_panic_fails_its_own_job_and_takes_back_what_that_wrote() {
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    // Blocks the writer, so that the three jobs that follow form one group.
    let busy = db.write(|_| {
        thread::sleep(Duration::from_millis(50));
        Ok(())
    });
    let faulty = db.write(|file| {
        file.execute("INSERT INTO parts VALUES (zeroblob(7))", [])?;
        assert!(file.changes() == 0, "a fault of the job");
        Ok(())
    });
    let (busy, before, failed, after) = tokio::join!(busy, add(&db, 1), faulty, add(&db, 1));
    assert!(busy.is_ok() && before.is_ok() && after.is_ok(), "{before:?} {after:?}");
    assert!(failed.is_err());
    assert_eq!(count(&db).await.unwrap(), 2, "what the job wrote was not taken back");
    let alone = db.write(|file| {
        file.execute("INSERT INTO parts VALUES (zeroblob(7))", [])?;
        assert!(file.changes() == 0, "a fault of a job without others");
        Ok(())
    });
    assert!(alone.await.unwrap_err().to_string().contains("a fault of this program"));
    assert_eq!(count(&db).await.unwrap(), 2, "what the only job wrote was not taken back");

    let told = db.write_then(|_| Ok(()), |()| panic!("a fault of who was told")).await;
    assert!(told.is_err());
    let read = db.read(|_| -> rusqlite::Result<()> { panic!("a fault of the query") }).await;
    assert!(read.is_err());
    for _ in 0..2 * READERS {
        assert_eq!(count(&db).await.unwrap(), 2, "the readers live on");
    }
    fill(&db, 1).await;
    assert_eq!(count(&db).await.unwrap(), 3, "the writer lives on");
}

#[tokio::test]
async fn a_statement_with_a_parameter_in_limit_is_prepared_once() {
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    fill(&db, 3).await;
    let again = db.read(|file| {
        let mut select = file.prepare("SELECT 1 FROM parts LIMIT ?1")?;
        for limit in 1..=3 {
            assert_eq!(select.query_map([limit], |_| Ok(()))?.count(), limit);
        }
        Ok(select.get_status(StatementStatus::RePrepare))
    });
    assert_eq!(again.await.unwrap(), 0);
}

/// A lookup that the disk keeps waiting holds its own thread only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_that_waits_does_not_keep_others_waiting() {
    let desk = Desk::new();
    let db = Arc::new(desk.open(OpenMode::OrCreate).unwrap());
    let (release, waits) = std::sync::mpsc::channel::<()>();
    let (at_work, working) = oneshot::channel();
    let slow = tokio::spawn({
        let db = Arc::clone(&db);
        async move {
            let wait = move |_: &Connection| {
                let _ = (at_work.send(()), waits.recv());
                Ok(())
            };
            db.look_up(wait).await
        }
    });
    working.await.unwrap();
    for _ in 0..2 * READERS {
        db.look_up(|_| Ok(())).await.unwrap();
    }
    assert!(!slow.is_finished());
    release.send(()).unwrap();
    slow.await.unwrap().unwrap();
}

/// The result of a write from a thread, as it is told to the writer's thread.
fn from_thread<T: Send + 'static>(
    db: &Database,
    job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Option<Result<T, StoreErrorKind>> {
    let (told, outcome) = std::sync::mpsc::channel();
    let answered = move |outcome: Result<T, StoreError>| {
        let _ = told.send(outcome.map_err(|error| error.kind));
    };
    db.write_from_thread(job, answered);
    outcome.recv_timeout(Duration::from_secs(20)).ok()
}

#[test]
fn a_write_from_a_thread_is_answered_after_the_commit_and_when_it_fails() {
    use StoreErrorKind::{Misconfigured, Unavailable};
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let desk = Desk::new();
    let db = desk.open(OpenMode::OrCreate).unwrap();
    let add = |file: &Connection| file.execute("INSERT INTO parts VALUES (zeroblob(7))", []);
    let (path, (told, seen)) = (desk.file(), std::sync::mpsc::channel());
    let answered = move |_| {
        let other = Connection::open(path).unwrap();
        let count = other.query_row("SELECT count(*) FROM parts", [], |row| row.get(0));
        told.send(count.unwrap_or(0)).unwrap();
    };
    db.write_from_thread(add, answered);
    assert_eq!(seen.recv_timeout(Duration::from_secs(20)), Ok(1), "seen by others when answered");
    let wrong = |file: &Connection| file.execute("INSERT INTO nowhere VALUES (1)", []);
    assert_eq!(from_thread(&db, wrong), Some(Err(Unavailable)));
    let fault = |_: &Connection| -> rusqlite::Result<()> { panic!("a fault of the job") };
    assert_eq!(from_thread(&db, fault), Some(Err(Unavailable)));
    assert_eq!(from_thread(&db, add), Some(Ok(1)), "the writer lives on");
    let reader = desk.open(OpenMode::ReadOnly).unwrap();
    assert_eq!(from_thread(&reader, add), Some(Err(Misconfigured)));
    runtime.block_on(db.close());
    assert_eq!(from_thread(&db, add), Some(Err(Unavailable)));
    assert_eq!(runtime.block_on(count(&reader)).unwrap(), 2);
}
