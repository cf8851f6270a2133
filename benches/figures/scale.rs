//! A ledger that grows to ten million events: the time, memory and disk of each part.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ledger::id::AssetId;
use stores::SqliteJournal;
use stores::sqlite::OpenMode;

use crate::journal::rate;
use crate::offline::history;
use crate::program::{Program, Taken};
use crate::rebuild::fill;
use crate::table::ResultsTable;

/// Events of an asset.
const EVENTS: u64 = 5;
/// Assets of each size.
const SIZES: [u64; 3] = [20_000, 200_000, 2_000_000];
/// Requests of each kind.
const REQUESTS: u64 = 2_000;

pub(crate) async fn grown(table: &mut ResultsTable) -> Result<()> {
    for assets in SIZES {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        of_size(table, folder.path(), assets).await?;
    }
    Ok(())
}

async fn of_size(table: &mut ResultsTable, data: &Path, assets: u64) -> Result<()> {
    let events = assets * EVENTS;
    let mut told = |what: &str, figure: String, beside: &str| {
        table.figure(&format!("{events} events: {what}"), &figure, beside, "");
    };
    let start = Instant::now();
    let journal = SqliteJournal::open(data, OpenMode::OrCreate).await?;
    fill(&journal, assets).await?;
    told("append", format!("{:.0}/s", rate(events, start.elapsed())), "512 at once");
    drop(journal);
    told("journal.sqlite", size(&data.join("journal.sqlite"), events)?, "");
    let start = Instant::now();
    Program::serve(data)?.caught_up().await?;
    let taken = start.elapsed();
    let follow = format!("{:.1} s, {:.0}/s", taken.as_secs_f64(), rate(events, taken));
    told("first rows, by following the journal", follow, "serve, from its start");
    let ran = Program::run("replay", data, &[]).await?;
    told("replay, with comparison", speed(events, &ran), &memory(&ran));
    told("views.sqlite", size(&data.join("views.sqlite"), assets)?, "bytes an asset");
    let ran = Program::run("verify", data, &[]).await?;
    told("verify, histories and rows", speed(events, &ran), &memory(&ran));
    let out = data.join("export");
    let ran = Program::run("export", data, &[Path::new("--out"), &out]).await?;
    told("export", speed(events, &ran), &memory(&ran));
    std::fs::remove_dir_all(&out)?;
    let program = Arc::new(Program::serve(data)?);
    let step = (assets / REQUESTS).max(1);
    let ids = (0..assets).step_by(usize::try_from(step)?).map(id).collect::<Result<Vec<_>>>()?;
    let paths = |form: fn(&AssetId) -> String| ids.iter().map(form).collect::<Vec<_>>();
    for (what, paths) in [
        ("GET /asset/{id}/state", paths(|id| format!("/asset/{id}/state"))),
        ("GET /asset/{id}/history", paths(|id| format!("/asset/{id}/history"))),
        ("GET /asset, a page of 100", vec!["/asset?limit=100".to_owned(); 200]),
    ] {
        let [p50, p99] = latencies(&program.address, &paths).await?;
        let p50 = format!("{:.2} ms", p50.as_secs_f64() * 1e3);
        told(&format!("{what}, p50"), p50, &format!("p99: {:.2} ms", p99.as_secs_f64() * 1e3));
    }
    told("serve, resident memory", format!("{:.0} MiB", program.resident()?), "after all of these");
    Ok(())
}

fn id(number: u64) -> Result<AssetId> {
    Ok(history(number)?.asset().key.asset)
}

/// One request at a time.
async fn latencies(address: &str, paths: &[String]) -> Result<[Duration; 2]> {
    let (http, mut taken) = (reqwest::Client::new(), Vec::with_capacity(paths.len()));
    for path in paths {
        let asked = Instant::now();
        let answer = http.get(format!("http://{address}{path}")).send().await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.bytes().await?;
        taken.push(asked.elapsed());
    }
    taken.sort_unstable();
    let at = |percent: usize| taken.get(taken.len() * percent / 100).copied();
    Ok([at(50).context("no request")?, at(99).context("no request")?])
}

fn size(file: &Path, things: u64) -> Result<String> {
    let bytes = std::fs::metadata(file)?.len();
    Ok(format!("{} MB, {} bytes each", bytes / 1_000_000, bytes / things))
}

fn speed(events: u64, ran: &Taken) -> String {
    format!("{:.1} s, {:.0}/s", ran.time.as_secs_f64(), rate(events, ran.time))
}

fn memory(ran: &Taken) -> String {
    format!("peak memory: {:.0} MiB", ran.peak)
}
