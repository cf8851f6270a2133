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
    let path = uploaded(&ours.address, None).await?;
    for (method, what, path, target) in [
        ("GET", "/healthz", "/healthz", "≥ 0.6"),
        ("GET", "/asset/{id}/state", &format!("{path}/state"), "≥ 0.25"),
        ("GET", "/asset/{id}", &path, "≥ 0.2"),
        ("POST", "/asset", "/asset", "≥ 0.15"),
    ] {
        let limit = load(&bare.address, method, path, None).await?;
        let figures = load(&ours.address, method, path, None).await?;
        let what = format!("{method} {what}");
        let below = "a bare axum handler";
        let named = format!("{what}, {CONNECTIONS} connections");
        table.ratio(&named, figures.rate, below, limit.rate, target);
        let (p50, p99) = (figures.percentile(50), figures.percentile(99));
        let p50_shown = format!("p50: {:.2} ms", p50 * 1e3);
        let p99_shown = format!("{:.2} ms = {:.1} x p50", p99 * 1e3, p99 / p50);
        table.figure(&format!("{what}, p99"), &p99_shown, &p50_shown, "≤ 5 x p50");
    }
    Ok(())
}

/// Creates a downloadable asset; returns its path.
pub(crate) async fn uploaded(address: &str, credential: Option<&str>) -> Result<String> {
    let http = reqwest::Client::new();
    let send = async |request: reqwest::RequestBuilder| {
        let request = match credential {
            Some(credential) => request.bearer_auth(credential),
            None => request,
        };
        request.send().await?.error_for_status()
    };
    let created: Value = send(http.post(format!("http://{address}/asset"))).await?.json().await?;
    let url = created["upload_url"].as_str().context("no upload_url")?;
    http.put(url).body("bytes").send().await?.error_for_status()?;
    let path = format!("/asset/{}", created["id"].as_str().context("no id")?);
    send(http.put(format!("http://{address}{path}"))).await?;
    Ok(path)
}

/// What the clients saw.
pub(crate) struct Load {
    pub(crate) rate: f64,
    /// Seconds of each request, sorted.
    latencies: Vec<f64>,
}

impl Load {
    fn percentile(&self, percent: usize) -> f64 {
        self.latencies[(self.latencies.len() * percent / 100).min(self.latencies.len() - 1)]
    }
}

pub(crate) async fn load(
    address: &str,
    method: &'static str,
    path: &str,
    credential: Option<&str>,
) -> Result<Load> {
    let bearer = credential.map(|credential| format!("Bearer {credential}"));
    let start = Instant::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (address, path, bearer) = (address.to_owned(), path.to_owned(), bearer.clone());
            tokio::spawn(async move {
                let mut connection = connect(&address).await?;
                let mut latencies = Vec::new();
                while start.elapsed() < MEASURED {
                    let asked = Instant::now();
                    ask(&mut connection, &address, method, &path, bearer.as_deref()).await?;
                    latencies.push(asked.elapsed().as_secs_f64());
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for client in clients {
        latencies.extend(client.await??);
    }
    let rate = rate(latencies.len() as u64, start.elapsed());
    latencies.sort_unstable_by(f64::total_cmp);
    Ok(Load { rate, latencies })
}

pub(crate) async fn connect(address: &str) -> Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

pub(crate) async fn ask(
    connection: &mut SendRequest<Empty<Bytes>>,
    address: &str,
    method: &str,
    path: &str,
    bearer: Option<&str>,
) -> Result<()> {
    let mut request = Request::builder().method(method).uri(path).header("host", address);
    if let Some(bearer) = bearer {
        request = request.header("authorization", bearer);
    }
    let answer = connection.send_request(request.body(Empty::new())?).await?;
    ensure!(answer.status().is_success(), "{method} {path}: {}", answer.status());
    answer.into_body().collect().await?;
    Ok(())
}
