//! Reading leaves every file unchanged, with any concurrent writer.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use crate::sqlite::{Database, OpenMode};

use super::*;

const ONE: &str = "CREATE TABLE numbers (n INTEGER)";
const TWO: &str = "CREATE TABLE more (n INTEGER)";
const SCHEMA: Schema =
    Schema { name: "test", application_id: 7, steps: &[ONE, TWO], durable: true };

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("a test?#%.sqlite")
    }

    fn open(&self, schema: &Schema, open: OpenMode) -> Database {
        Database::open(&self.file(), schema, open).unwrap()
    }

    /// Every file with its bytes and its modification time.
    fn seen(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        let files = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap());
        let seen = |file: &fs::DirEntry| {
            let written = file.metadata().unwrap().modified().unwrap();
            (fs::read(file.path()).unwrap(), written)
        };
        files.map(|file| (file.path(), seen(&file))).collect()
    }
}

async fn add(db: &Database, n: u64) {
    db.write(move |file| file.execute("INSERT INTO numbers VALUES (?1)", [n])).await.unwrap();
}

async fn count(db: &Database) -> u64 {
    let count = "SELECT count(*) FROM numbers";
    db.read(|file| file.query_row(count, [], |row| row.get(0))).await.unwrap()
}

/// A copy of the files as after a crash: the log has content that the file does not have.
fn crashed(of: &Desk) -> Desk {
    let crashed = Desk::new();
    for end in ["", "-wal", "-shm"] {
        fs::copy(beside(&of.file(), end), beside(&crashed.file(), end)).unwrap();
    }
    crashed
}

#[tokio::test]
async fn a_log_that_a_crash_left_is_read_and_left_as_it_was() {
    let desk = Desk::new();
    let writer = desk.open(&SCHEMA, OpenMode::OrCreate);
    add(&writer, 1).await;
    add(&writer, 2).await;
    let crashed = crashed(&desk);
    let before = crashed.seen();
    assert!(before.len() == 3, "file, log and index: {:?}", before.keys());
    let evidence = crashed.open(&SCHEMA, OpenMode::ReadOnly);
    assert_eq!(count(&evidence).await, 2);
    let refused = evidence.write(|file| file.execute("DELETE FROM numbers", [])).await;
    assert!(refused.is_err_and(|error| error.kind == StoreErrorKind::Misconfigured));
    drop(evidence);
    assert!(crashed.seen() == before, "not a byte was changed");
}

#[tokio::test]
async fn what_lies_still_is_read_as_it_lies_until_somebody_writes() {
    let desk = Desk::new();
    drop(desk.open(&SCHEMA, OpenMode::OrCreate));
    let tidy = Connection::open(desk.file()).unwrap();
    tidy.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(tidy);
    let before = desk.seen();
    let evidence = desk.open(&SCHEMA, OpenMode::ReadOnly);
    assert_eq!(count(&evidence).await, 0);
    assert!(desk.seen() == before, "not a byte was changed, and no file was made");
    let writer = desk.open(&SCHEMA, OpenMode::Existing);
    add(&writer, 1).await;
    assert_eq!(count(&evidence).await, 1, "what was answered before is seen");
    add(&writer, 2).await;
    drop(writer);
}

#[tokio::test]
async fn an_older_form_is_read_and_left_as_it_was() {
    let desk = Desk::new();
    let older = Schema { steps: &[ONE], ..SCHEMA };
    add(&desk.open(&older, OpenMode::OrCreate), 1).await;
    let before = desk.seen();
    let evidence = desk.open(&SCHEMA, OpenMode::ReadOnly);
    assert_eq!(count(&evidence).await, 1);
    let more = "SELECT count(*) FROM more";
    let more: u64 = evidence.read(|file| file.query_row(more, [], |row| row.get(0))).await.unwrap();
    assert_eq!(more, 0, "it is brought up to date in the copy");
    assert_eq!(desk.seen()[&desk.file()], before[&desk.file()]);
}

#[test]
fn what_is_missing_or_empty_or_newer_is_refused_and_nothing_is_made() {
    let desk = Desk::new();
    let refused = || Database::open(&desk.file(), &SCHEMA, OpenMode::ReadOnly).unwrap_err();
    assert_eq!(refused().kind, StoreErrorKind::Misconfigured);
    assert_eq!(desk.seen().len(), 0);
    fs::write(desk.file(), "").unwrap();
    assert!(refused().to_string().contains("empty"));
    let newer = Schema { steps: &[ONE, TWO, "SELECT 1"], ..SCHEMA };
    drop(desk.open(&newer, OpenMode::OrCreate));
    assert!(refused().to_string().contains("newer"));
}
