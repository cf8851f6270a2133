//! The delay from an upload to its row, and the memory of an upload.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use crate::program::Program;
use crate::table::ResultsTable;

const UPLOADS: usize = 300;
/// The polling interval of rows: the resolution of the lag.
const LOOK: Duration = Duration::from_micros(200);
/// Interval of memory reads.
const SAMPLE: Duration = Duration::from_millis(20);
const GIB: u64 = 1 << 30;

/// From S3's answer to the upload, when its notification is committed, to the row with it.
pub(crate) async fn lag(table: &mut ResultsTable) -> Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let program = Program::serve(folder.path())?;
    let rows = Connection::open(folder.path().join("views.sqlite"))?;
    let http = reqwest::Client::new();
    let mut lags = Vec::with_capacity(UPLOADS);
    for _ in 0..UPLOADS {
        let created = create(&http, &program).await?;
        let url = created["upload_url"].as_str().context("no upload_url")?;
        http.put(url).body("bytes").send().await?.error_for_status()?;
        lags.push(until_row(&rows, created["id"].as_str().context("no id")?)?);
    }
    lags.sort();
    let at =
        |percent: usize| format!("{:.1} ms", lags[UPLOADS * percent / 100 - 1].as_secs_f64() * 1e3);
    table.figure("notification to row, p50", &at(50), "one upload at a time", "");
    table.figure("notification to row, p99", &at(99), "one upload at a time", "< 50 ms");
    Ok(())
}

async fn create(http: &reqwest::Client, program: &Program) -> Result<Value> {
    let created = http.post(format!("http://{}/asset", program.address)).send().await?;
    Ok(created.error_for_status()?.json().await?)
}

fn until_row(rows: &Connection, id: &str) -> Result<Duration> {
    let start = Instant::now();
    let query = "SELECT 1 FROM assets WHERE sk = ?1 AND version >= 2";
    while rows.prepare_cached(query)?.query_row([id], |_| Ok(())).optional()?.is_none() {
        ensure!(start.elapsed() < Duration::from_secs(10), "no row in ten seconds");
        std::thread::sleep(LOOK);
    }
    Ok(start.elapsed())
}

/// Resident memory of the process with API, S3 endpoint and projection, during 1 GiB.
pub(crate) async fn memory(table: &mut ResultsTable) -> Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let program = Program::serve(folder.path())?;
    let http = reqwest::Client::new();
    upload(&http, &program, 1 << 20).await?; // warm-up: allocations of a first request
    let idle = program.resident()?;
    let started = Instant::now();
    let sending = upload(&http, &program, GIB);
    tokio::pin!(sending);
    let mut most = idle;
    loop {
        tokio::select! {
            sent = &mut sending => break sent?,
            () = tokio::time::sleep(SAMPLE) => most = most.max(program.resident()?),
        }
    }
    let rate = 1024.0 / started.elapsed().as_secs_f64();
    ensure!(stored(folder.path())? > GIB, "the bytes are not there");
    table.figure(
        "memory over idle while 1 GiB is uploaded",
        &format!("{:.0} MiB", most - idle),
        &format!("idle: {idle:.0} MiB; {rate:.0} MiB/s, synced"),
        "< 64 MiB",
    );
    Ok(())
}

async fn upload(http: &reqwest::Client, program: &Program, size: u64) -> Result<()> {
    let created = create(http, program).await?;
    let url = created["upload_url"].as_str().context("no upload_url")?;
    let chunk = bytes::Bytes::from(vec![7; 1 << 16]);
    let chunks = std::iter::repeat_n(chunk, usize::try_from(size >> 16)?);
    let body = futures::stream::iter(chunks.map(Ok::<_, std::io::Error>));
    let put = http.put(url).header("content-length", size);
    put.body(reqwest::Body::wrap_stream(body)).send().await?.error_for_status()?;
    Ok(())
}

fn stored(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        total += if metadata.is_dir() { stored(&entry.path())? } else { metadata.len() };
    }
    Ok(total)
}
