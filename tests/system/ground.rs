//! The data folder is moved, copied over or removed while `serve` runs on it.

use std::fs;
use std::path::Path;
use std::process::Command;

use reqwest::Method;
use tempfile::TempDir;

use crate::server::{ServeProcess, program};

fn shell(folder: &Path, line: &str) {
    let done = Command::new("sh").args(["-c", line]).current_dir(folder).status().unwrap();
    assert!(done.success(), "{line}");
}

/// Whether a write is acknowledged or the service reports ready.
async fn acknowledges(server: &ServeProcess) -> bool {
    let created = server.request(Method::POST, "/asset").send().await;
    let ready = server.request(Method::GET, "/readyz").send().await;
    [created, ready].into_iter().flatten().any(|answer| answer.status().is_success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_moved_and_copied_is_not_written_to_twice() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let first = ServeProcess::start(&data);
    let asset = first.create().await;
    let id = asset["id"].as_str().unwrap();
    shell(folder.path(), "mv data data.old && cp -r data.old data");
    assert!(!acknowledges(&first).await, "it goes on with the folder that was moved away");
    let second = ServeProcess::start(&data);
    let log = first.log.clone();
    assert!(!first.ended(), "it ends, and not as if all were well");
    let told = fs::read_to_string(log).unwrap();
    assert!(told.contains("was replaced") || told.contains("was moved"), "{told}");
    second.wait_for(id, "CREATED").await;
    second.create().await;
    assert!(second.stop());
    let verified = program().args(["verify", "--data"]).arg(&data).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_removed_acknowledges_nothing_more() {
    let folder = TempDir::new().unwrap();
    let server = ServeProcess::start(&folder.path().join("data"));
    server.create().await;
    shell(folder.path(), "rm -rf data");
    assert!(!acknowledges(&server).await, "what is acknowledged now is lost");
    assert!(!server.ended());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_replaced_while_nobody_writes_is_let_go_of() {
    let folder = TempDir::new().unwrap();
    let server = ServeProcess::start(&folder.path().join("data"));
    shell(folder.path(), "mv data data.old && cp -r data.old data");
    assert!(!server.ended());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_leaves_no_log_and_nothing_that_others_may_read() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    server.create().await;
    server.list().await;
    assert!(server.stop());
    for log in ["journal.sqlite-wal", "views.sqlite-wal", "s3/objects.sqlite-wal"] {
        let left = data.join(log).metadata().map_or(0, |log| log.len());
        assert_eq!(left, 0, "{log}");
    }
    let open = Command::new("find").arg(&data).args(["-perm", "/077"]).output().unwrap();
    assert!(open.stdout.is_empty(), "{}", String::from_utf8_lossy(&open.stdout));
}
