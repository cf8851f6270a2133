//! Disk faults: a locked file, a full disk, a damaged file.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::server::{PATIENCE, ServeProcess, program};

#[tokio::test]
async fn a_locked_journal_is_503_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    let lock = rusqlite::Connection::open(data.join("journal.sqlite")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = server.request(Method::POST, "/asset").send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "store.unavailable");
    assert!(!problem.to_string().contains("sqlite"), "the answer tells of our insides: {problem}");
    assert!(server.log_text().contains("locked"), "the log does not say why");
    let (status, told) = ready(&server).await;
    assert!(status == 503 && told.contains("writes"), "{status} {told}");
    lock.execute_batch("ROLLBACK").unwrap();
    server.create().await;
    let deadline = Instant::now() + PATIENCE;
    while ready(&server).await.0 != 200 {
        assert!(Instant::now() < deadline, "it stays unready: {}", ready(&server).await.1);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let told = ready(&server).await.1;
    assert!(told.contains("0 events behind"), "{told}");
    assert!(server.stop());
}

async fn ready(server: &ServeProcess) -> (u16, String) {
    let answer = server.get("/readyz").await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// An empty ledger in its place would look correct.
#[tokio::test]
async fn a_journal_that_is_gone_is_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    server.create().await;
    assert!(server.stop());
    let journal = data.join("journal.sqlite");
    let whole = std::fs::read(&journal).unwrap();
    let start = || {
        let ports = ["--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0"];
        program().arg("serve").args(ports).arg("--data").arg(&data).output().unwrap()
    };
    for lost in [None, Some("")] {
        let _ = std::fs::remove_file(&journal);
        if let Some(empty) = lost {
            std::fs::write(&journal, empty).unwrap();
        }
        let refused = start();
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            error.contains("journal.sqlite is missing") && error.contains("restore"),
            "{error}"
        );
    }
    std::fs::write(&journal, whole).unwrap();
    assert_eq!(ServeProcess::start(&data).list().await.len(), 1);
}

/// A limit on the size of files simulates a full disk: the write fails half way.
#[tokio::test]
async fn a_full_disk_is_503_and_the_process_survives() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(ServeProcess::start(&data)); // the files are made while there is room
    let mut limited = Command::new("bash");
    let line = "trap '' XFSZ; ulimit -f 256; exec \"$0\" \"$@\"";
    limited.args(["-c", line]).arg(env!("CARGO_BIN_EXE_asset-ledger"));
    let server = ServeProcess::start_as(limited, &data);
    let mut acknowledged = Vec::new();
    let refused = loop {
        let answer = server.request(Method::POST, "/asset").send().await.unwrap();
        match answer.status().as_u16() {
            201 => acknowledged.push(answer.json::<Value>().await.unwrap()),
            status => break status,
        }
        assert!(acknowledged.len() < 10_000, "the disk is not full");
    };
    assert_eq!(refused, 503);
    let created = acknowledged[0]["upload_url"].as_str().unwrap();
    let too_much = server.http.put(created).body(vec![7; 1 << 20]).send().await.unwrap();
    assert!(too_much.status().is_server_error(), "{}", too_much.status());
    assert_eq!(server.get("/healthz").await.status(), 200);
    // The log may still find room; then the file has none either. An answer is cached for a second.
    let deadline = Instant::now() + Duration::from_secs(30);
    let told = loop {
        let (status, told) = ready(&server).await;
        if status == 503 {
            break told;
        }
        assert!(Instant::now() < deadline, "it says that it can write: {told}");
        let answer = server.request(Method::POST, "/asset").send().await.unwrap();
        if answer.status() == 201 {
            acknowledged.push(answer.json::<Value>().await.unwrap());
        }
    };
    assert!(told.contains("writes"), "{told}");
    server.kill();

    let server = ServeProcess::start(&data);
    for asset in &acknowledged {
        server.state(asset["id"].as_str().unwrap()).await;
    }
    server.create().await;
    println!("{} assets acknowledged before the disk was full, all there", acknowledged.len());
}

#[test]
fn a_damaged_journal_refuses_to_start_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(ServeProcess::start(&data));
    for file in ["journal.sqlite-wal", "journal.sqlite-shm"] {
        let _ = std::fs::remove_file(data.join(file));
    }
    std::fs::write(data.join("journal.sqlite"), vec![b'x'; 8192]).unwrap();
    let refused = serve(&data);
    assert!(refused.contains("journal") && refused.contains("not a database"), "{refused}");
    assert!(refused.contains("backup"), "no remedy: {refused}");
    assert_eq!(std::fs::read(data.join("journal.sqlite")).unwrap(), vec![b'x'; 8192]);
}

#[test]
fn damaged_rows_refuse_to_start_and_say_that_they_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(ServeProcess::start(&data));
    for file in ["views.sqlite-wal", "views.sqlite-shm"] {
        let _ = std::fs::remove_file(data.join(file));
    }
    std::fs::write(data.join("views.sqlite"), vec![b'x'; 8192]).unwrap();
    let refused = serve(&data);
    assert!(refused.contains("remove") && refused.contains("journal"), "no remedy: {refused}");
    std::fs::remove_file(data.join("views.sqlite")).unwrap();
    assert!(ServeProcess::start(&data).stop());
}

/// Drafts are files only; a folder among them is the user's, whatever its name.
#[tokio::test]
async fn a_folder_among_the_drafts_stops_no_start_and_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(ServeProcess::start(&data).stop());
    let id = "0123456789abcdef0123456789abcdef";
    let names = ["folder", ".tmpfolder", id, &format!("{id}.gone")].map(str::to_owned);
    let folders = names.map(|name| data.join("s3/tmp").join(name));
    for folder in &folders {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("notes.txt"), "somebody's").unwrap();
    }
    let server = ServeProcess::start(&data);
    server.received("hello").await;
    assert!(server.stop());
    for folder in &folders {
        assert_eq!(std::fs::read(folder.join("notes.txt")).unwrap(), b"somebody's");
    }
}

/// The error output of a refused `serve`.
fn serve(data: &std::path::Path) -> String {
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data"]);
    let output = command.arg(data).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

/// A database without its log.
fn flushed(file: &std::path::Path) -> Vec<u8> {
    let open = rusqlite::Connection::open(file).unwrap();
    open.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(open);
    std::fs::read(file).unwrap()
}

fn put_back(file: &std::path::Path, bytes: &[u8]) {
    for log in ["sqlite-wal", "sqlite-shm"] {
        let _ = std::fs::remove_file(file.with_extension(log));
    }
    std::fs::write(file, bytes).unwrap();
}

/// Today's files and yesterday's list: a start must not destroy files missing in the list.
#[tokio::test]
async fn an_older_list_of_objects_is_refused_and_loses_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    assert!(server.stop());
    let list = data.join("s3/objects.sqlite");
    let older = flushed(&list);
    let server = ServeProcess::start(&data);
    let id = server.received("hello").await;
    assert!(server.stop());
    let newer = flushed(&list);
    let version = std::fs::read_dir(data.join("s3/objects")).unwrap().next().unwrap().unwrap();

    put_back(&list, &older);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--s3-listen", "127.0.0.1:0", "--data"];
    let refused = program().args(serve).arg(&data).output().unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && error.contains(&id), "{error}");
    assert!(error.contains("restore"), "no remedy: {error}");
    assert_eq!(std::fs::read(version.path()).unwrap(), b"hello");

    let verify = ["verify", "--objects", "--json", "--patience", "0", "--data"];
    let looked = program().args(verify).arg(&data).output().unwrap();
    let found = String::from_utf8(looked.stdout).unwrap();
    assert!(found.contains("object-stray") && found.contains("object-missing"), "{found}");

    put_back(&list, &newer);
    let server = ServeProcess::start(&data);
    assert_eq!(server.state(&id).await["state"], "RECEIVED");
    assert!(server.stop());
}
