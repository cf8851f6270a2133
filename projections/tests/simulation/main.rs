//! The seeded simulation: a small ledger with every kind of fault around it.
//!
//! One seed is one run on one thread in tokio's paused time, or in real time at a given endpoint.
//! Clients create, upload, confirm, delete, restore and purge the same few assets at once, also
//! directly in S3. Notifications and stream records come late, twice, in another order or not at
//! all. Requests and replies are lost, clocks go back, and any actor may crash between two steps.
//! Then faults stop, lost records are delivered, each key is reconciled again, and every check must
//! hold.
//!
//! In some runs two tenants with like names live in one world at once, and every check must hold
//! for each of them.
//!
//! A failing seed is printed. `ASSET_LEDGER_SEED=7 cargo test -p projections --test simulation`
//! runs it alone. `ASSET_LEDGER_SEEDS` is the number in memory.
#![allow(clippy::unwrap_used, reason = "a simulation that cannot set itself up has failed")]

mod actors;
mod dynamo;
mod listener;
mod rest;
mod world;

use std::any::Any;
use std::collections::HashSet;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use ledger::testing::{MemoryBucket, MemoryJournal};
use projections::feed::Lanes;
use projections::testing::{MemoryLanes, MemoryViews};
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::OpenMode;
use tempfile::TempDir;

use world::{CommandOutcome, Simulation};

/// Seeds in memory, unless `ASSET_LEDGER_SEEDS` is set: the gate runs ten times as many.
const IN_MEMORY: u64 = 1_000;
/// Seeds on SQLite files: every commit waits for the disk.
const ON_SQLITE: u64 = 200;
/// Seeds on DynamoDB, each on a separate engine, and again at a given endpoint.
const ON_DYNAMODB: u64 = 200;
/// Failing seeds printed in full.
const TOLD: usize = 3;

#[test]
fn whatever_happens_in_memory_everything_fits_at_rest() {
    let seeds = variable("ASSET_LEDGER_SEEDS").unwrap_or(IN_MEMORY);
    simulate("in memory", seeds, in_memory);
}

fn in_memory(seed: u64) -> CommandOutcome {
    let (journal, views) = (Arc::<MemoryJournal>::default(), Arc::<MemoryViews>::default());
    let world = Simulation::new(seed, journal, views, Arc::<MemoryLanes>::default());
    runtime().block_on(run(world))
}

#[test]
fn whatever_happens_on_sqlite_everything_fits_at_rest() {
    simulate("on SQLite", ON_SQLITE, |seed| {
        let folder = TempDir::new().unwrap();
        runtime().block_on(async {
            let journal = SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap();
            let views = SqliteViews::open(folder.path(), OpenMode::OrCreate).unwrap();
            let lanes = Arc::<MemoryLanes>::default();
            run(Simulation::new(seed, Arc::new(journal), Arc::new(views), lanes)).await
        })
    });
}

/// The SDK's jitter is not seeded: a failed seed may have to be repeated more than once.
#[test]
fn whatever_happens_on_dynamodb_everything_fits_at_rest() {
    simulate("on DynamoDB", ON_DYNAMODB, |seed| {
        runtime().block_on(async {
            let (journal, views, lanes) = dynamo::stores(seed).await;
            run(Simulation::new(seed, Arc::new(journal), Arc::new(views), Arc::new(lanes))).await
        })
    });
}

/// At the endpoint in `AWS_ENDPOINT_URL_DYNAMODB`, in real time: paused time runs ahead during a
/// request. The order of events is not seeded, and the network has no injected faults.
#[test]
fn whatever_happens_at_the_given_dynamodb_everything_fits_at_rest() {
    let Some(given) = real_time().block_on(dynamo::Given::make()) else {
        return tell("simulation at a given DynamoDB: none, AWS_ENDPOINT_URL_DYNAMODB is not set");
    };
    let simulated = catch_unwind(AssertUnwindSafe(|| {
        simulate("at the given DynamoDB", ON_DYNAMODB, |seed| {
            real_time().block_on(async {
                let (journal, views, lanes) = given.stores();
                run(Simulation::new(seed, Arc::new(journal), Arc::new(views), Arc::new(lanes)))
                    .await
            })
        })
    }));
    real_time().block_on(given.remove());
    drop(simulated.unwrap_or_else(|failed| resume_unwind(failed)));
}

/// Names that begin alike; a seed has one of the pairs.
const PAIRS: [[&str; 2]; 2] = [["a", "a-b"], ["a", "aa"]];
/// Seeds with two tenants, in memory and on the others.
const WITH_TWO: (u64, u64) = (300, 40);

#[test]
fn two_tenants_live_in_one_world_as_if_each_were_alone() {
    let totals = simulate("of two tenants in memory", WITH_TWO.0, |seed| {
        let (journal, views) = (Arc::<MemoryJournal>::default(), Arc::<MemoryViews>::default());
        runtime().block_on(run_two(seed, journal, views, Arc::<MemoryLanes>::default()))
    });
    assert!(totals.namesakes > WITH_TWO.0, "they share ids: {}", totals.namesakes);
    simulate("of two tenants on SQLite", WITH_TWO.1, |seed| {
        let folder = TempDir::new().unwrap();
        runtime().block_on(async {
            let journal = SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap();
            let views = SqliteViews::open(folder.path(), OpenMode::OrCreate).unwrap();
            let lanes = Arc::<MemoryLanes>::default();
            run_two(seed, Arc::new(journal), Arc::new(views), lanes).await
        })
    });
    simulate("of two tenants on DynamoDB", WITH_TWO.1, |seed| {
        runtime().block_on(async {
            let (journal, views, lanes) = dynamo::stores(seed).await;
            run_two(seed, Arc::new(journal), Arc::new(views), Arc::new(lanes)).await
        })
    });
}

/// Without this a failing seed could not be reproduced.
#[test]
fn a_seed_is_all_there_is_to_a_run() {
    for seed in 0..20 {
        assert_eq!(in_memory(seed), in_memory(seed), "seed {seed}");
    }
    assert_ne!(in_memory(0), in_memory(1));
}

/// Both have the same seed, so that they do much the same to assets with the same ids.
async fn run_two<J: world::SimulatedStore, V: world::SimulatedTable>(
    seed: u64,
    journal: Arc<J>,
    views: Arc<V>,
    lanes: Arc<dyn Lanes>,
) -> CommandOutcome {
    let bucket = Arc::<MemoryBucket>::default();
    let worlds = PAIRS[usize::from(seed % 4 > 1)].map(|name| {
        let stores = (journal.clone(), views.clone(), lanes.clone(), bucket.clone());
        Arc::new(Simulation::of(name.parse().unwrap(), seed, stores))
    });
    futures::join!(actors::live(&worlds[0]), actors::live(&worlds[1]));
    for world in &worlds {
        world.faults.stop();
    }
    for world in &worlds {
        rest::settle(world).await;
    }
    let [mut first, second] = [rest::check(&worlds[0]).await, rest::check(&worlds[1]).await];
    let ids = |world: &Simulation<J, V>| world.seen().known.iter().copied().collect::<HashSet<_>>();
    first.namesakes = ids(&worlds[0]).intersection(&ids(&worlds[1])).count() as u64;
    first.add(&second);
    first.violations.extend(second.violations);
    first
}

async fn run<J: world::SimulatedStore, V: world::SimulatedTable>(
    world: Simulation<J, V>,
) -> CommandOutcome {
    let world = Arc::new(world);
    actors::live(&world).await;
    rest::settle(&world).await;
    rest::check(&world).await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn real_time() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs all seeds, or the one in the environment, and prints the failed ones.
fn simulate(name: &str, seeds: u64, run: impl Fn(u64) -> CommandOutcome + Sync) -> CommandOutcome {
    let (first, last) = variable("ASSET_LEDGER_SEED").map_or((0, seeds), |seed| (seed, seed + 1));
    let (next, started) = (AtomicU64::new(first), Instant::now());
    let (failed, totals) = (Mutex::new(Vec::new()), Mutex::new(CommandOutcome::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last {
                return;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| run(seed)));
            let outcome = outcome.unwrap_or_else(|panic| panicked(&*panic));
            if !outcome.violations.is_empty() {
                failed.lock().unwrap().push((seed, outcome.violations.clone()));
            }
            totals.lock().unwrap().add(&outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let totals = totals.into_inner().unwrap();
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    tell(&format!(
        "simulation {name}: {} seeds, {} failed, {:.1} s; {totals}",
        last - first,
        failed.len(),
        started.elapsed().as_secs_f64(),
    ));
    for (seed, violations) in failed.iter().take(TOLD) {
        tell(&format!("ASSET_LEDGER_SEED={seed}\n  {}", violations.join("\n  ")));
    }
    let seeds: Vec<_> = failed.iter().map(|(seed, _)| seed).collect();
    assert!(seeds.is_empty(), "failing seeds: {seeds:?}");
    totals
}

/// A panic is a violation like others, and must not hide its seed.
fn panicked(panic: &(dyn Any + Send)) -> CommandOutcome {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
    let violations = vec![format!("panicked: {}", message.unwrap_or("without a word"))];
    CommandOutcome { violations, ..CommandOutcome::default() }
}

#[expect(clippy::disallowed_methods, reason = "which seeds to run is asked of no program's user")]
fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap())
}

/// Prints also on success: a test's standard output is only shown when it fails.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
