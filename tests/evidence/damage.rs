//! Damage to a folder without a running server.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::day::Day;

/// A copy of the folder from an earlier moment.
#[derive(Debug, Clone)]
pub(crate) struct Copy(pub(crate) PathBuf);

/// Parts to restore alone.
const PARTS: [&str; 4] = ["journal.sqlite", "views.sqlite", "s3/objects.sqlite", "s3/objects"];

/// Copies a folder file by file, like `cp -r`: also during writes to it.
pub(crate) fn copy(from: &Path, to: &Path) -> Copy {
    copy_all(from, to);
    Copy(to.to_owned())
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else if let Err(error) = fs::copy(entry.path(), to) {
            // A draft, renamed meanwhile.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

/// A random damage; its description.
pub(crate) fn some(day: &mut Day) -> String {
    match day.chance.below(10) {
        0 => cut(day, 1),
        1 => {
            let tail = 2 + day.chance.below(4);
            cut(day, tail)
        }
        2 => alter(day, "remove an asset", "DELETE FROM events WHERE pk = ?1"),
        3 => alter(
            day,
            "edit an event",
            "UPDATE events SET body = replace(body, 'client', 'klient') \
             WHERE pk = ?1 AND sk = (SELECT max(sk) FROM events WHERE pk = ?1)",
        ),
        4 => moved(day),
        9 => alter(
            day,
            "cut the newest event of",
            "DELETE FROM events WHERE pk = ?1 AND sk > 1 \
             AND sk = (SELECT max(sk) FROM events WHERE pk = ?1)",
        ),
        5 => put_back(day, &PARTS),
        6 => put_back(day, &PARTS[..1]),
        _ => {
            let part = *day.chance.pick(&PARTS).unwrap();
            put_back(day, &[part])
        }
    }
}

/// The journal, opened directly, with its triggers dropped.
fn by_hand(day: &Day) -> Option<Connection> {
    let path = day.data.join("journal.sqlite");
    let file = Connection::open(path).unwrap();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
    let names: Result<Vec<String>, _> =
        file.prepare(names).and_then(|mut it| it.query_map([], |row| row.get(0))?.collect());
    // A file with the log of another may be unreadable: that is damage enough.
    let names = names.ok()?;
    for name in names {
        file.execute(&format!("DROP TRIGGER {name}"), []).ok()?;
    }
    Some(file)
}

fn cut(day: &Day, events: u64) -> String {
    let Some(file) = by_hand(day) else { return "nothing: unreadable".to_owned() };
    let newest = "DELETE FROM events WHERE arrival IN \
                  (SELECT arrival FROM events ORDER BY arrival DESC LIMIT ?1)";
    let cut = file.execute(newest, [i64::try_from(events).unwrap()]);
    format!("cut the newest {events}: {cut:?}")
}

fn alter(day: &Day, what: &str, sql: &str) -> String {
    let Some(file) = by_hand(day) else { return "nothing: unreadable".to_owned() };
    let all = "SELECT DISTINCT pk FROM events ORDER BY pk";
    let all: Result<Vec<String>, _> =
        file.prepare(all).and_then(|mut it| it.query_map([], |row| row.get(0))?.collect());
    let all = all.unwrap_or_default();
    let Some(pk) = day.chance.pick(&all) else { return "nothing: empty".to_owned() };
    let done = file.execute(sql, [pk]);
    format!("{what} {pk}: {done:?}")
}

fn moved(day: &mut Day) -> String {
    let to = day.fresh("data");
    fs::rename(&day.data, &to).unwrap();
    day.data = to;
    "move the folder".to_owned()
}

/// Restores parts from a copy: with their logs, without logs, or with logs of another copy.
fn put_back(day: &mut Day, parts: &[&str]) -> String {
    let Copy(from) = day.chance.pick(&day.copies).unwrap().clone();
    let Copy(other) = day.chance.pick(&day.copies).unwrap().clone();
    let logs = day.chance.below(3);
    for part in parts {
        let (old, new) = (from.join(part), day.data.join(part));
        if old.is_dir() {
            keep_files(&old, &new, day);
            continue;
        }
        fs::copy(&old, &new).unwrap();
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(with(&new, suffix));
        }
        let log = match logs {
            0 => continue,
            1 => with(&old, "-wal"),
            _ => with(&other.join(part), "-wal"),
        };
        if log.exists() {
            fs::copy(log, with(&new, "-wal")).unwrap();
        }
    }
    let logs = ["no logs", "their logs", "logs of another"][usize::try_from(logs).unwrap()];
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    format!("put back {parts:?} of {} with {logs} ({})", name(&from), name(&other))
}

/// Replaces the folder of objects with an older one.
fn keep_files(old: &Path, new: &Path, day: &mut Day) {
    let away = day.fresh("objects");
    fs::rename(new, away).unwrap();
    copy_all(old, new);
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}
