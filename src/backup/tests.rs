//! The refusals of a backup, and the faults that it survives.

use ledger::chain::Hash;

use super::copy::CopyOutcome;
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

/// Written bytes are read back: the run that wrote a file finds a byte flipped on the way to disk,
/// and keeps nothing of the file.
#[test]
fn a_copy_that_is_not_what_was_written_is_found_by_the_run_that_made_it() {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    let bytes = vec![7; 1 << 20];
    let expected = Hash::of(&bytes);
    for flipped in [false, true] {
        // A pipe: the test decides when it ends, and the draft must have bytes first.
        let made = std::process::Command::new("mkfifo").arg(&from).status().unwrap();
        assert!(made.success());
        let (pipe, draft) = (from.clone(), copy::draft_of(&to));
        let (bytes, watch) = (bytes.clone(), RunMonitor::default());
        let seen = watch.clone();
        let feeding = std::thread::spawn(move || {
            let mut pipe = std::fs::File::options().write(true).open(pipe).unwrap();
            pipe.write_all(&bytes[..1000]).unwrap();
            while seen.reached().1 < 1000 {
                std::thread::yield_now();
            }
            if flipped {
                let draft = std::fs::File::options().write(true).open(draft).unwrap();
                draft.write_all_at(&[8], 99).unwrap();
            }
            pipe.write_all(&bytes[1000..]).unwrap();
        });
        let copied = copy::copy(&from, &to, expected, &watch).unwrap();
        feeding.join().unwrap();
        std::fs::remove_file(&from).unwrap();
        let as_it_was = if flipped { CopyOutcome::Altered } else { CopyOutcome::Whole };
        assert_eq!((copied, to.exists()), (as_it_was, !flipped));
        assert!(!copy::draft_of(&to).exists());
        let _ = std::fs::remove_file(&to);
    }
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
