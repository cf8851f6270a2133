//! `kill -9` under load: acknowledged events exist after the restart; unacknowledged changes are
//! complete or absent.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::server::{PATIENCE, ServeProcess};

const ROUNDS: u64 = 20;
const CLIENTS: usize = 16;

/// The answers about one asset.
#[derive(Clone, Default)]
struct Told {
    id: String,
    version: u64,
    uploaded: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_under_load_lose_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (mut acknowledged, mut uploads) = (0, 0);
    for round in 0..ROUNDS {
        let server = ServeProcess::start(&data);
        let told = load_until_killed(server, Duration::from_millis(150 + 37 * round)).await;
        let server = ServeProcess::start(&data);
        for told in &told {
            check(&server, told).await;
        }
        check_rows(&server, &told).await;
        acknowledged += told.iter().map(|told| told.version).sum::<u64>();
        uploads += told.iter().filter(|told| told.uploaded).count();
        server.kill();
    }
    println!("{ROUNDS} kills: {acknowledged} acknowledged events and {uploads} uploads, 0 lost");
    assert!(acknowledged > 100 && uploads > 20, "there was no load to speak of");
    check_files(&data);
}

async fn load_until_killed(server: ServeProcess, after: Duration) -> Vec<Told> {
    let (over, all) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (over, all, api) = (over.clone(), all.clone(), server.api.clone());
            tokio::spawn(async move {
                let http = Client::new();
                let mut step = 0;
                while !over.load(Ordering::Relaxed) {
                    step += 1;
                    let mut told = Told::default();
                    // A request cut off by the kill may fail.
                    let _ = live(&http, &api, client + step, &mut told).await;
                    all.lock().unwrap().push(told);
                }
            })
        })
        .collect();
    tokio::time::sleep(after).await;
    server.kill();
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let all = all.lock().unwrap().clone();
    all.into_iter().filter(|told: &Told| told.version > 0).collect()
}

/// Creates, uploads, and confirms or deletes an asset; records each answer.
async fn live(http: &Client, api: &str, step: usize, told: &mut Told) -> reqwest::Result<()> {
    let created: Value = http.post(format!("{api}/asset")).send().await?.json().await?;
    created["id"].as_str().unwrap().clone_into(&mut told.id);
    told.version = 1;
    let url = created["upload_url"].as_str().unwrap();
    let bytes = content(&told.id, step);
    told.uploaded = http.put(url).body(bytes).send().await?.status() == StatusCode::OK;
    let path = format!("{api}/asset/{}", told.id);
    let request = if step.is_multiple_of(3) { http.delete(path) } else { http.put(path) };
    let changed = request.send().await?;
    let tag = changed.headers().get("etag").and_then(|tag| tag.to_str().ok());
    let version = tag.and_then(|tag| tag.trim_matches('"').parse().ok());
    told.version = version.unwrap_or(told.version);
    Ok(())
}

/// Bytes with the asset's id, of many sizes.
fn content(id: &str, step: usize) -> Vec<u8> {
    id.as_bytes().iter().copied().cycle().take(37 + 4_001 * (step % 50)).collect()
}

async fn check(server: &ServeProcess, told: &Told) {
    let state = server.state(&told.id).await;
    assert!(state["version"].as_u64().unwrap() >= told.version, "lost an event: {state}");
    if !told.uploaded {
        return;
    }
    // The notification was in the outbox when the upload was acknowledged.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while server.state(&told.id).await["version_id"].is_null() {
        assert!(tokio::time::Instant::now() < deadline, "an acknowledged upload is not received");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if server.state(&told.id).await["state"] == "UPLOADED" {
        check_bytes(server, &told.id).await;
    }
}

async fn check_bytes(server: &ServeProcess, id: &str) {
    let answer: Value = server.get(&format!("/asset/{id}")).await.json().await.unwrap();
    let url = answer["download_url"].as_str().unwrap();
    let bytes = server.http.get(url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, answer["size"].as_u64().unwrap());
    assert!(bytes.starts_with(id.as_bytes()), "other bytes came back");
}

/// Rows catch up: the list has every asset at its acknowledged version or later.
async fn check_rows(server: &ServeProcess, told: &[Told]) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let listed = server.list().await;
        let version = |id: &str| {
            let row = listed.iter().find(|row| row["asset_id"] == id);
            row.and_then(|row| row["version"].as_u64()).unwrap_or(0)
        };
        if told.iter().all(|told| version(&told.id) >= told.version) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "rows do not catch up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// After the last restart every file is an object's, every object has its file, and no temporary
/// file remains.
fn check_files(data: &Path) {
    assert!(ServeProcess::start(data).stop(), "it did not end in good order");
    let bucket = data.join("s3");
    assert_eq!(names(&bucket.join("tmp")), [""; 0]);
    let rows = rusqlite::Connection::open(bucket.join("objects.sqlite")).unwrap();
    let sql = "SELECT version_id FROM versions WHERE size IS NOT NULL ORDER BY version_id";
    let mut rows = rows.prepare(sql).unwrap();
    let ids = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(names(&bucket.join("objects")), ids.map(Result::unwrap).collect::<Vec<_>>());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
