//! Small uploads through the local S3 endpoint, the same bytes made durable without it, and through
//! `s3s-fs`, the file system of the same S3 library.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use rusqlite::{Connection, params};
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::journal::rate;
use crate::program::Program;
use crate::table::ResultsTable;

const CLIENTS: usize = 16;
const SIZE: usize = 4096;
/// Assets that each client has a URL for: more than it uploads in the time.
const PREPARED: usize = 1500;
const MEASURED: Duration = Duration::from_secs(4);

pub(crate) async fn small(table: &mut ResultsTable) -> Result<()> {
    // Both folders stay until the end. For some minutes after many files are deleted, ext4 steps
    // over their inodes whenever it makes a file.
    let [raw, folder, peer] = [(); 3].map(|()| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")));
    let (raw, folder, peer) = (raw?, folder?, peer?);
    let below = bare(raw.path())?;
    let program = Program::serve(folder.path())?;
    let urls = futures::future::try_join_all((0..CLIENTS).map(|_| prepared(&program)));
    let (start, total) = upload_all(urls.await?).await?;
    let uploaded = rate(total, start.elapsed());
    tokio::time::timeout(MEASURED * 10, program.caught_up()).await??;
    let projected = rate(total, start.elapsed());
    let limit = "write, fsync, rename, one group commit";
    let what = format!("PUT of 4 KiB objects, {CLIENTS} clients");
    table.ratio(&what, uploaded, limit, below, "≥ 0.7");
    table.ratio("the same, until each is `received` and projected", projected, limit, below, "");
    let unsynced = unsynced(peer.path()).await?;
    table.ratio("the same", uploaded, "`s3s-fs`, unsigned and never synced", unsynced, "");
    Ok(())
}

/// Uploads to each client's URLs for the time: when that began, and how many succeeded.
async fn upload_all(urls: Vec<Vec<Uri>>) -> Result<(Instant, u64)> {
    let start = Instant::now();
    let clients: Vec<_> = urls.into_iter().map(|urls| tokio::spawn(upload(urls, start))).collect();
    let mut total = 0;
    for client in clients {
        total += client.await??;
    }
    Ok((start, total))
}

/// The same uploads to `s3s-fs`.
async fn unsynced(folder: &Path) -> Result<f64> {
    std::fs::create_dir(folder.join("files"))?;
    let program = Program::peer(folder)?;
    let url = |client, nth| format!("http://{}/files/{client}-{nth}", program.address).parse();
    let urls = (0..CLIENTS).map(|client| (0..PREPARED * 4).map(|nth| url(client, nth)).collect());
    let (start, total) = upload_all(urls.collect::<Result<_, _>>()?).await?;
    Ok(rate(total, start.elapsed()))
}

/// Serves `s3s-fs` from this folder.
pub(crate) async fn serve_peer(folder: &Path) -> Result<()> {
    let files = FileSystem::new(folder).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let service = S3ServiceBuilder::new(files).build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("PEER http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(serving);
    }
}

async fn prepared(program: &Program) -> Result<Vec<Uri>> {
    let (http, mut urls) = (reqwest::Client::new(), Vec::with_capacity(PREPARED));
    for _ in 0..PREPARED {
        let created = http.post(format!("http://{}/asset", program.address)).send().await?;
        let created: Value = created.error_for_status()?.json().await?;
        urls.push(created["upload_url"].as_str().context("no upload_url")?.parse()?);
    }
    Ok(urls)
}

async fn upload(urls: Vec<Uri>, start: Instant) -> Result<u64> {
    let authority = urls[0].authority().context("no authority")?.to_string();
    let stream = TcpStream::connect(&authority).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (bytes, mut count) = (Bytes::from(vec![7; SIZE]), 0);
    for url in urls {
        if start.elapsed() >= MEASURED {
            return Ok(count);
        }
        let path = url.path_and_query().context("no path")?.as_str();
        let request = Request::put(path).header("host", &authority);
        let answer = sender.send_request(request.body(Full::new(bytes.clone()))?).await?;
        ensure!(answer.status().is_success(), "PUT: {}", answer.status());
        answer.into_body().collect().await?;
        count += 1;
    }
    anyhow::bail!("more uploads in the time than prepared: {PREPARED} a client")
}

/// The same writes by as many threads, and one thread that commits their rows in groups.
fn bare(folder: &Path) -> Result<f64> {
    let (rows, waiting) = mpsc::sync_channel(CLIENTS);
    let file = folder.join("raw.sqlite");
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || commit_groups(&file, &waiting));
        let start = Instant::now();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let rows = rows.clone();
                scope.spawn(move || write(client, folder, &rows, start))
            })
            .collect();
        drop(rows);
        let mut total = 0;
        for client in clients {
            total += client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        let measured = rate(total, start.elapsed());
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        Ok(measured)
    })
}

type Row = (String, mpsc::SyncSender<()>);

fn write(
    client: usize,
    folder: &Path,
    rows: &mpsc::SyncSender<Row>,
    start: Instant,
) -> Result<u64> {
    let (bytes, mut count) = ([7; SIZE], 0);
    let (committed, done) = mpsc::sync_channel(1);
    while start.elapsed() < MEASURED {
        let id = format!("{client:016x}{count:016x}");
        let draft = folder.join(format!("{id}.tmp"));
        let mut file = File::create_new(&draft)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&draft, folder.join(&id))?;
        rows.send((id, committed.clone()))?;
        done.recv()?;
        count += 1;
    }
    Ok(count)
}

fn commit_groups(file: &Path, waiting: &mpsc::Receiver<Row>) -> Result<()> {
    let mut file = Connection::open(file)?;
    file.pragma_update(None, "journal_mode", "WAL")?;
    file.pragma_update(None, "synchronous", "FULL")?;
    file.execute_batch(include_str!("../../migrations/sqlite/objects.1.sql"))?;
    let mut change = 0;
    while let Ok(first) = waiting.recv() {
        let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
        let transaction = file.transaction()?;
        for (id, _) in &group {
            change += 1;
            transaction
                .prepare_cached(
                    "INSERT INTO versions (change, key, version_id, at, size, sha256, md5, headers)
                     VALUES (?1, ?2, ?2, 0, 4096, zeroblob(32), zeroblob(16), '{}')",
                )?
                .execute(params![change, id])?;
        }
        transaction.commit()?;
        for (_, committed) in group {
            committed.send(())?;
        }
    }
    Ok(())
}
