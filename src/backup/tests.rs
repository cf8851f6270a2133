//! What a backup refuses, and what it comes through.

use super::*;
use crate::system::SystemEffects;

fn restored(from: &std::path::Path, data: &std::path::Path) -> anyhow::Result<Restored> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(restore(from, data, Arc::new(SystemEffects), &RunMonitor::default()))
}

#[test]
fn a_backup_is_of_a_ledger_and_in_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    let refused = |data: &std::path::Path, out: &std::path::Path| {
        take(data, out, false, &SystemEffects, &RunMonitor::default()).unwrap_err().to_string()
    };
    assert!(refused(&data, &out).contains("no ledger"), "nothing is there");
    std::fs::create_dir_all(data.join("s3")).unwrap();
    for file in ["journal.sqlite", "s3/objects.sqlite"] {
        std::fs::write(data.join(file), "").unwrap();
    }
    std::os::unix::fs::symlink(&data, folder.path().join("link")).unwrap();
    for inside in ["data", "data/backup", "data/../data/a/b", "link/backup", ""] {
        let refused = refused(&data, &folder.path().join(inside));
        assert!(refused.contains("must not be in the data folder"), "{inside}: {refused}");
    }
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("thesis.txt"), "").unwrap();
    assert!(refused(&data, &out).contains("thesis.txt"));
    std::fs::write(data.join("import.unfinished"), "").unwrap();
    assert!(refused(&data, &out).contains("import"));
}

#[test]
fn nothing_is_restored_over_anything_or_from_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (from, data) = (folder.path().join("from"), folder.path().join("data"));
    let error = restored(&from, &data).unwrap_err().to_string();
    assert!(error.contains("no whole backup"), "{error}");
    assert!(!data.exists());
}

#[test]
fn a_named_stream_that_is_not_whole_is_told_of() {
    let (_, lines) = ledger::testing::streams::access(&ledger::id::Tenant::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch("CREATE TABLE events (pk, sk, body)").unwrap();
    let read = || snapshot::read(&path, &RunMonitor::default()).unwrap();
    for line in [&lines[0], &lines[2], &lines[1]] {
        let insert = "INSERT INTO events (pk, sk, body) VALUES (?1, ?2, ?3)";
        file.execute(insert, ("main#access", line.version, &line.body)).unwrap();
        let broken = line.version == 3;
        assert_eq!(read().broken, if broken { vec!["main#access"] } else { vec![] });
    }
    file.execute("INSERT INTO events (pk, sk, body) VALUES ('main#other', 1, '{}')", []).unwrap();
    let said = read();
    assert_eq!((said.events, said.broken), (4, vec![]), "somebody else's is passed over");
}
