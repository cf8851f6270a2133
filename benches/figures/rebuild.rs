//! Events replayed per second, compared with a bare scan of the same journal with decoding; and the
//! memory of the program.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use engine::Engine;
use futures::future::{join_all, try_join_all};
use ledger::history::History;
use ledger::journal::scan::Chains;
use ledger::journal::{Journal, Scan};
use ledger::record::EventRecord;
use ledger::testing::TestEffects;
use projections::replay::{Phase, Replay, ReplayOptions, ReplayOutcome};
use projections::{Generation, Generations};
use stores::sqlite::OpenMode;
use stores::{DynamoJournal, SqliteJournal};
use stores::{DynamoViews, SqliteViews};
use tokio::sync::watch;

use crate::journal::rate;
use crate::offline::history;
use crate::program::{Program, SAMPLE};
use crate::rows::bare_inserts;
use crate::table::ResultsTable;

/// Assets of five events each: fewer and more in files, and on the embedded engine.
const FEWER: u64 = 20_000;
const MORE: u64 = 200_000;
const ON_DYNAMODB: u64 = 4_000;
/// Segments: the number of cores of the reference machine.
const SEGMENTS: u32 = 2;
/// Assets appended at once.
const AT_ONCE: u64 = 512;

pub(crate) async fn replays(table: &mut ResultsTable) -> Result<()> {
    for assets in [FEWER, MORE] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        in_files(table, folder.path(), assets).await?;
    }
    on_dynamodb(table).await
}

async fn in_files(table: &mut ResultsTable, folder: &Path, assets: u64) -> Result<()> {
    let journal = Arc::new(SqliteJournal::open(folder, OpenMode::OrCreate).await?);
    fill(&*journal, assets).await?;
    let views = Arc::new(SqliteViews::open(folder, OpenMode::OrCreate)?);
    let what = format!("SQLite: replay of {} events", assets * 5);
    // The mean of a scan before and one after: machines vary over time.
    let before = [Step::Decode, Step::Fold].map(|step| scan(journal.clone(), assets, step));
    let before = in_turn(before).await?;
    let first = replay(journal.clone(), views.clone(), assets).await?;
    let again = replay(journal.clone(), views.clone(), assets).await?;
    let after = [Step::Decode, Step::Fold].map(|step| scan(journal.clone(), assets, step));
    let after = in_turn(after).await?;
    let scanned = [0, 1].map(|nth| f64::midpoint(before[nth], after[nth]));
    told(table, &what, first, again, scanned, "≥ 0.6");
    // The steps of a replay in sequence, since scanning and inserting share the cores.
    let limit = 5.0 / (5.0 / scanned[0] + 1.0 / bare_inserts(folder)?);
    table.ratio("the same", first.made, "bare scan, then bare inserts of the rows", limit, "");
    ensure!(views.generations().await?.current != Generation::FIRST, "nothing was switched to");
    let peak = Program::run("replay", folder, &[]).await?.peak;
    let what = format!("the program, peak memory, {} events", assets * 5);
    table.figure(&what, &format!("{peak:.0} MiB"), "with comparison and switch", "< 100 MiB, flat");
    drop((journal, views));
    // Else the disk is busy with what was written until here.
    ensure!(Command::new("sync").status()?.success(), "no sync");
    let before = Program::scan(folder, assets).await?.time;
    let verified = Program::run("verify", folder, &[]).await?;
    let hashed = rate(assets * 5, (before + Program::scan(folder, assets).await?.time) / 2);
    let what = format!("the program, verify of {} events and their rows", assets * 5);
    let below = "a program that scans and takes SHA-256 of each line, same number of segments";
    table.ratio(&what, rate(assets * 5, verified.time), below, hashed, "≥ 0.6");
    let peak = format!("{:.0} MiB", verified.peak);
    table.figure("the same, peak memory", &peak, "", "< 100 MiB, flat");
    Ok(())
}

async fn on_dynamodb(table: &mut ResultsTable) -> Result<()> {
    let tables = Engine::new().tables().await;
    let journal = Arc::new(DynamoJournal::new(tables.client.clone(), tables.journal));
    fill(&*journal, ON_DYNAMODB).await?;
    let views = Arc::new(DynamoViews::new(tables.client, tables.views, 8));
    let before = [Step::Decode, Step::Fold].map(|step| scan(journal.clone(), ON_DYNAMODB, step));
    let before = in_turn(before).await?;
    let first = replay(journal.clone(), views.clone(), ON_DYNAMODB).await?;
    let again = replay(journal.clone(), views, ON_DYNAMODB).await?;
    let after = [Step::Decode, Step::Fold].map(|step| scan(journal.clone(), ON_DYNAMODB, step));
    let after = in_turn(after).await?;
    let what = format!("DynamoDB: replay of {} events", ON_DYNAMODB * 5);
    let scanned = [0, 1].map(|nth| f64::midpoint(before[nth], after[nth]));
    told(table, &what, first, again, scanned, "≥ 0.5");
    // Before the scan begins, a replay waits until no runner uses an earlier list.
    let waited = "the same without the wait for lists, which is constant";
    table.ratio(waited, first.filled, FOLDED, scanned[1], "≥ 0.5");
    Ok(())
}

/// Events per second until all rows exist, and until they are compared and read.
#[derive(Clone, Copy)]
struct Rates {
    made: f64,
    /// The same, from when the journal is read.
    filled: f64,
    switched: f64,
}

const FOLDED: &str = "scan, decoding and fold, same number of segments";

fn told(
    table: &mut ResultsTable,
    what: &str,
    first: Rates,
    again: Rates,
    [scanned, folded]: [f64; 2],
    target: &str,
) {
    table.ratio(what, first.made, FOLDED, folded, target);
    let below = "bare scan and decoding, same number of segments";
    table.ratio("the same", first.made, below, scanned, "");
    let what = "the same, with comparison and switch";
    table.ratio(what, again.switched, below, scanned, "");
}

/// One after the other.
async fn in_turn<const N: usize>(
    scans: [impl Future<Output = Result<f64>>; N],
) -> Result<Vec<f64>> {
    let mut rates = Vec::with_capacity(N);
    for scan in scans {
        rates.push(scan.await?);
    }
    Ok(rates)
}

/// What is done with each event of a scan.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Hash,
    Decode,
    /// Of each history, with the check of its chain.
    Fold,
}

pub(crate) async fn fill(journal: &dyn Journal, assets: u64) -> Result<()> {
    let mut next = 0;
    while next < assets {
        let upto = assets.min(next + AT_ONCE);
        let histories = (next..upto).map(history).collect::<Result<Vec<_>>>()?;
        let appends = histories.iter().map(|history| async move {
            for entry in history.entries() {
                journal.append(&history.asset().key, entry.line.clone()).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(appends).await?;
        next = upto;
    }
    Ok(())
}

/// A scan with SHA-256 of each line, by a program of its own.
pub(crate) async fn scan_alone(folder: &Path, assets: u64) -> Result<()> {
    let journal = SqliteJournal::open(folder, OpenMode::ReadOnly).await?;
    scan(Arc::new(journal), assets, Step::Hash).await.map(drop)
}

/// Reads every page of every segment, and takes a step with each event.
async fn scan(journal: Arc<dyn Scan>, assets: u64, step: Step) -> Result<f64> {
    let segments = journal.segments(SEGMENTS).await?;
    let start = Instant::now();
    let tasks = segments.into_iter().map(|segment| {
        let journal = journal.clone();
        tokio::spawn(async move {
            let (mut count, mut place) = (0, None);
            if step == Step::Fold {
                let mut chains = Chains::new(&*journal, &segment, None);
                while let Some(chain) = chains.next().await? {
                    let key = chain.key().context("a history has a key")?;
                    count += chain.lines.len() as u64;
                    black_box(History::read(&key, chain.lines)?);
                }
                return anyhow::Ok(count);
            }
            loop {
                let page = journal.page(&segment, place.as_ref()).await?;
                for stored in &page.items {
                    let Ok(line) = &stored.line else { bail!("no event") };
                    match step {
                        Step::Hash => {
                            black_box(line.hash());
                        }
                        Step::Decode | Step::Fold => {
                            black_box(EventRecord::read(&line.body)?);
                        }
                    }
                    count += 1;
                }
                place = page.next;
                if place.is_none() {
                    return anyhow::Ok(count);
                }
            }
        })
    });
    let mut events = 0;
    for counted in join_all(tasks).await {
        events += counted??;
    }
    ensure!(events == assets * 5, "{events} events were scanned");
    Ok(rate(events, start.elapsed()))
}

async fn replay<J, V>(journal: Arc<J>, table: Arc<V>, assets: u64) -> Result<Rates>
where
    J: Scan + Journal + 'static,
    V: Generations + 'static,
{
    let replay = Replay {
        journal,
        table,
        effects: Arc::new(TestEffects::seeded(1)),
        options: ReplayOptions {
            tenant: None,
            segments: SEGMENTS,
            rate: None,
            keep: None,
            accept_broken: false,
            accept_restored: false,
            fresh: false,
        },
        tally: Arc::default(),
        stop: watch::Sender::new(false).subscribe(),
    };
    let (start, tally) = (Instant::now(), replay.tally.clone());
    let work = tokio::spawn(async move { replay.run().await });
    let mut begun = start;
    while matches!(tally.seen().phase, Phase::Beginning | Phase::Filling) && !work.is_finished() {
        if tally.seen().phase == Phase::Beginning {
            begun = Instant::now();
        }
        tokio::time::sleep(SAMPLE).await;
    }
    let [made, filled] = [start, begun].map(|from| rate(assets * 5, from.elapsed()));
    match work.await?? {
        ReplayOutcome::Switched(_, report) => ensure!(report.events == assets * 5, "{report:?}"),
        other => bail!("{other:?}"),
    }
    Ok(Rates { made, filled, switched: rate(assets * 5, start.elapsed()) })
}
