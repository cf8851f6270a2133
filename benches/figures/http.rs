//! Requests per second at 32 connections, and of a bare axum handler in a separate process.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::journal::rate;
use crate::program::Program;
use crate::table::ResultsTable;

const CONNECTIONS: usize = 32;
const MEASURED: Duration = Duration::from_secs(4);

pub(crate) async fn serve_bare() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("BARE http://{}", listener.local_addr()?);
    let router = Router::new().fallback(any(|| async { "{}" }));
    Ok(axum::serve(listener, router).await?)
}

pub(crate) async fn requests(table: &mut ResultsTable) -> Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (ours, bare) = (Program::serve(folder.path())?, Program::bare()?);
    let below = "a bare axum handler";

    let limit = load(&bare.address, "POST", "/asset").await?;
    let posts = load(&ours.address, "POST", "/asset").await?;
    table.ratio("POST /asset, 32 connections", posts, below, limit, "");

    let path = uploaded(&ours.address).await?;
    let limit = load(&bare.address, "GET", &path).await?;
    let gets = load(&ours.address, "GET", &path).await?;
    table.ratio("GET /asset/{id}, 32 connections", gets, below, limit, "");
    Ok(())
}

/// Creates a downloadable asset; returns its path.
async fn uploaded(address: &str) -> Result<String> {
    let http = reqwest::Client::new();
    let created: Value = http.post(format!("http://{address}/asset")).send().await?.json().await?;
    let url = created["upload_url"].as_str().context("no upload_url")?;
    http.put(url).body("bytes").send().await?.error_for_status()?;
    let path = format!("/asset/{}", created["id"].as_str().context("no id")?);
    http.put(format!("http://{address}{path}")).send().await?.error_for_status()?;
    Ok(path)
}

async fn load(address: &str, method: &'static str, path: &str) -> Result<f64> {
    let start = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (address, path) = (address.to_owned(), path.to_owned());
            tokio::spawn(async move {
                let mut connection = connect(&address).await?;
                let mut count = 0;
                while start.elapsed() < MEASURED {
                    ask(&mut connection, &address, method, &path).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            })
        })
        .collect();
    let mut total = 0;
    for client in clients {
        total += client.await??;
    }
    Ok(rate(total, start.elapsed()))
}

async fn connect(address: &str) -> Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(
    connection: &mut SendRequest<Empty<Bytes>>,
    address: &str,
    method: &str,
    path: &str,
) -> Result<()> {
    let request = Request::builder().method(method).uri(path).header("host", address);
    let answer = connection.send_request(request.body(Empty::new())?).await?;
    ensure!(answer.status().is_success(), "{method} {path}: {}", answer.status());
    answer.into_body().collect().await?;
    Ok(())
}
