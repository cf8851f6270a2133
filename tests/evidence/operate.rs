//! The operations of an operator, called as from the command line.

use std::sync::Arc;
use std::time::Duration;

use asset_ledger::export::{
    ExportFilter, ExportObserver, ExportShape, ExportSource, ExportWriter, Layout,
};
use asset_ledger::http::AuthMode;
use asset_ledger::local::{LocalOptions, LocalServer};
use asset_ledger::system::SystemEffects;
use chrono::TimeDelta;
use ledger::Effects;
use ledger::audit::Finding;
use projections::position::{Position, PositionCommit, Positions};
use projections::replay::{self, ReplayOutcome, ReplayTally};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::OpenMode;
use tokio::sync::watch;

use crate::damage;
use crate::day::Day;
use crate::look;

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Serve,
    Commands,
    Replay,
    Accept,
    Repair,
    Export,
    Checkpoint,
}

impl Operation {
    /// Serving and commands twice: they run by themselves.
    pub(crate) const ALL: [Self; 9] = [
        Self::Serve,
        Self::Serve,
        Self::Commands,
        Self::Commands,
        Self::Replay,
        Self::Accept,
        Self::Repair,
        Self::Export,
        Self::Checkpoint,
    ];
}

/// Runs it; the error if it fails.
pub(crate) async fn run(day: &mut Day, operation: Operation) -> Result<(), String> {
    match operation {
        Operation::Serve => serve(day).await,
        Operation::Commands => {
            let steps = 1 + day.chance.below(4);
            commands(day, steps).await
        }
        Operation::Replay => replay(day, false).await,
        Operation::Accept => replay(day, true).await,
        Operation::Repair => look::look(day, true).await.map(drop),
        Operation::Export => export(day).await,
        Operation::Checkpoint => look::checkpoint(day).await.map(drop),
    }
    .map_err(|error| format!("{error:#}").chars().take(160).collect())
}

async fn start(day: &Day) -> anyhow::Result<LocalServer> {
    LocalServer::start(LocalOptions {
        data: day.data.clone(),
        listen: "127.0.0.1:0".parse()?,
        s3_listen: "127.0.0.1:0".parse()?,
        s3_url: None,
        public_urls: Vec::new(),
        cors_origins: Vec::new(),
        auth: AuthMode::None,
        rate: None,
        issuers: None,
        metrics_listen: None,
        tenant: "main".parse()?,
        any_host: false,
        drain: Duration::from_secs(1),
    })
    .await
}

async fn serve(day: &Day) -> anyhow::Result<()> {
    let local = start(day).await?;
    quiet(&day.http, &local.api_url()).await;
    local.stop().await;
    Ok(())
}

/// Waits until everything is delivered; not for a stopped follower.
async fn quiet(http: &Client, api: &str) {
    for _ in 0..20 {
        let metrics = http.get(format!("{api}/metrics")).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let lost = metrics.contains("position_lost 1");
        let waits = |name: &str| !metrics.lines().any(|line| line == format!("{name} 0"));
        if !waits("asset_ledger_outbox_waiting") && (lost || !waits("asset_ledger_arrivals_behind"))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Serves and executes commands; sometimes the folder is copied meanwhile.
pub(crate) async fn commands(day: &mut Day, steps: u64) -> anyhow::Result<()> {
    let local = start(day).await?;
    let (http, api) = (day.http.clone(), local.api_url());
    let mut told = Vec::new();
    for _ in 0..steps {
        let known = day.acknowledged.keys().map(|(asset, _)| asset.clone());
        let hurt = Some(day.hurt.clone()).filter(|it| !it.is_empty() && day.chance.happens(500));
        let known = hurt.unwrap_or_else(|| known.collect());
        match day.chance.pick(&known).filter(|_| day.chance.happens(600)) {
            Some(asset) => {
                let id = asset.trim_start_matches("main#");
                told.push(change(day, &http, &api, id).await);
            }
            None => told.extend(create(day, &http, &api).await),
        }
    }
    if day.chance.happens(400) {
        let to = day.fresh("running");
        day.copies.push(damage::copy(&day.data, &to));
    }
    if day.chance.happens(700) {
        quiet(&http, &api).await;
    }
    local.stop().await;
    look::acknowledge(day, told.into_iter().flatten()).await;
    Ok(())
}

type Told = Option<(String, u64)>;

async fn create(day: &Day, http: &Client, api: &str) -> Vec<Told> {
    let created = http.post(format!("{api}/asset")).send().await.unwrap();
    if created.status() != 201 {
        return Vec::new();
    }
    let created: Value = created.json().await.unwrap();
    let id = created["id"].as_str().unwrap().to_owned();
    let mut told = vec![Some((id.clone(), 1))];
    if day.chance.happens(800) {
        let url = created["upload_url"].as_str().unwrap();
        let put = http.put(url).body(id.clone()).send().await.unwrap();
        if put.status() == 200 && day.chance.happens(800) {
            told.push(send(http, Method::PUT, format!("{api}/asset/{id}"), &id).await);
        }
    }
    told
}

async fn change(day: &Day, http: &Client, api: &str, id: &str) -> Told {
    let path = format!("{api}/asset/{id}");
    match day.chance.below(3) {
        0 => send(http, Method::PUT, path, id).await,
        1 => send(http, Method::DELETE, path, id).await,
        _ => send(http, Method::POST, format!("{path}/restore"), id).await,
    }
}

/// Sends a command; the acknowledged version.
async fn send(http: &Client, method: Method, path: String, id: &str) -> Told {
    let answer = http.request(method, path).send().await.unwrap();
    version(&answer).map(|version| (id.to_owned(), version))
}

fn version(answer: &Response) -> Option<u64> {
    let tag = answer.headers().get("etag").filter(|_| answer.status().is_success())?;
    tag.to_str().ok()?.trim_matches('"').parse().ok()
}

/// Like `replay` and `replay --accept-restored`.
async fn replay(day: &Day, accept: bool) -> anyhow::Result<()> {
    let journal = Arc::new(SqliteJournal::open(&day.data, OpenMode::Existing).await?);
    let views = Arc::new(SqliteViews::open(&day.data, OpenMode::OrCreate)?);
    let end = Position::last_of(&*journal).await?;
    let follows = views.load().await?.is_in(&*journal).await?;
    anyhow::ensure!(accept || follows, "the rows follow another journal");
    let (_running, stop) = watch::channel(false);
    let replay = replay::Replay {
        journal: journal.clone(),
        table: views.clone(),
        effects: Arc::new(SystemEffects),
        options: replay::ReplayOptions {
            tenant: None,
            segments: 1,
            rate: None,
            keep: Some(TimeDelta::hours(1)),
            accept_broken: false,
            accept_restored: accept,
            fresh: false,
        },
        tally: Arc::new(ReplayTally::default()),
        stop,
    };
    let outcome = replay.run().await?;
    anyhow::ensure!(matches!(outcome, ReplayOutcome::Switched(..)), "refused");
    if accept {
        // Another process may move the position meanwhile; it is then read again.
        loop {
            let from = views.load().await?;
            if from.is_in(&*journal).await?
                || matches!(views.commit(&[], &[], &from, &end).await?, PositionCommit::Moved(_))
            {
                break;
            }
        }
    }
    Ok(())
}

/// No observer.
pub(crate) struct Deaf;

impl ExportObserver for Deaf {
    fn read(&mut self, _: u64) {}
    fn broken(&mut self, _: Vec<Finding>) {}
    fn too_long(&mut self, _: &str, _: usize) {}
}

async fn export(day: &mut Day) -> anyhow::Result<()> {
    let shape = ExportShape { out: day.fresh("export"), layout: Layout::Segment, gzip: false };
    let journal = SqliteJournal::open(&day.data, OpenMode::ReadOnly).await?;
    let mut writer = ExportWriter::create(shape, SystemEffects.now(), ExportFilter::default())?;
    let source = ExportSource { journal: &journal, tenant: None };
    source.export(Vec::new(), &ExportFilter::default(), &mut writer, &mut Deaf).await?;
    writer.finish().map(drop)
}
