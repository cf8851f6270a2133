//! The seeded simulation of a fleet of projectors: the real runner, announcer and replay, in many
//! processes that know nothing of each other, over stores in memory with latency and faults.
//!
//! One seed is one run on one thread in tokio's paused time. A run is checked when everything is
//! projected: no event is missing in the feed, each asset's events are first heard in their order,
//! and each row is the fold of its events. It also counts capacity units for each event.
//!
//! `ASSET_LEDGER_FLEET_SEEDS` is the number of seeds, and `ASSET_LEDGER_FLEET_SEED` runs one alone.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a simulation that cannot set itself up has failed; its counts are small"
)]

mod cloud;
mod expiring;
mod lagging;
mod projectors;
mod weeks;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use ledger::id::{Key, Tenant};
use projections::Generations;
use projections::feed::{FeedQuery, LanedFeed};
use projections::replay::ReplayOutcome;
use projections::testing::{Clock, walk};

use cloud::Connection;
use projectors::{Fleet, FleetRun};

/// Seeds with faults, unless `ASSET_LEDGER_FLEET_SEEDS` is set.
const SEEDS: u64 = 6;
/// The seed of the table.
const TABLE: u64 = 1;

/// Four shards, each read by one poller that gathers records for a second: the template's form.
fn gathered(events_per_second: u64, environments: usize) -> Fleet {
    Fleet {
        seed: TABLE,
        events_per_second,
        seconds: if events_per_second < 1_000 { 30 } else { 6 },
        pollers: environments.min(4),
        environments,
        window: Duration::from_secs(1),
        faults: 0,
        crashes: 0,
        replay: false,
    }
}

/// Every environment reads its own part of the stream, without waiting for more records.
fn at_once(events_per_second: u64, environments: usize) -> Fleet {
    let fleet = gathered(events_per_second, environments);
    Fleet { pollers: environments, window: Duration::ZERO, ..fleet }
}

fn whole_feed() -> FeedQuery {
    let tenant = Tenant::default();
    FeedQuery { tenant, after: None, limit: 1_000, kind: None, actor: None }
}

impl FleetRun {
    fn writes(&self) -> f64 {
        self.units.writes as f64 / self.events as f64
    }

    fn reads(&self) -> f64 {
        self.units.half_reads as f64 / 2.0 / self.events as f64
    }

    fn lanes(&self) -> f64 {
        self.units.lanes as f64 / self.events as f64
    }

    /// Violated checks.
    fn violations(&self) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut violations = self.feed_violations().await;
            violations.extend(self.row_violations().await);
            violations
        })
    }

    async fn feed_violations(&self) -> Vec<String> {
        let journal = Arc::new(Connection(self.cloud.clone()));
        let feed = LanedFeed::new(self.cloud.lanes.clone(), journal, Arc::new(Clock::default()));
        let (mut violations, mut heard) = (Vec::new(), BTreeMap::<Key, u64>::new());
        for event in walk(&feed, whole_feed()).await.0 {
            let last = heard.entry(event.key.clone()).or_default();
            if event.line.version > *last + 1 {
                let (key, version) = (event.key.label(), event.line.version);
                violations.push(format!("{key}: {version} was heard after {last}"));
            }
            *last = event.line.version.max(*last);
        }
        for story in &self.stories {
            let heard = heard.get(&story.key).copied().unwrap_or_default();
            if heard != story.version() {
                let (key, version) = (story.key.label(), story.version());
                violations.push(format!("{key}: {heard} of {version} events were heard"));
            }
        }
        violations
    }

    async fn row_violations(&self) -> Vec<String> {
        let list = self.cloud.views.generations().await.unwrap();
        let rows = self.cloud.views.rows(list.current);
        let mut violations = Vec::new();
        for story in &self.stories {
            let row = rows.get(&story.key).await.unwrap();
            if row.as_ref() != Some(&story.asset()) {
                let version = row.map(|row| row.version);
                let (key, expected) = (story.key.label(), story.version());
                violations.push(format!("{key}: the row is {version:?}, not {expected}"));
            }
        }
        violations
    }
}

/// Prints also on success: a test's standard output is only shown when it fails.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[expect(clippy::disallowed_methods, reason = "which seeds to run is asked of no program's user")]
fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap())
}

#[test]
fn no_event_is_lost_and_every_assets_order_is_kept_whatever_fails() {
    let seeds = variable("ASSET_LEDGER_FLEET_SEEDS").unwrap_or(SEEDS);
    let one = variable("ASSET_LEDGER_FLEET_SEED");
    for seed in one.map_or(0..seeds, |seed| seed..seed + 1) {
        let environments = [2, 5, 16, 64][usize::try_from(seed % 4).unwrap()];
        let windows = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(1)];
        let fleet = Fleet {
            seed,
            events_per_second: 60,
            window: windows[usize::try_from(seed % 3).unwrap()],
            faults: 20 * (seed % 3),
            crashes: 50,
            replay: true,
            ..at_once(60, environments)
        };
        let run = fleet.run();
        let violations = run.violations();
        let (events, crashes) = (run.events, run.crashes);
        tell(&format!(
            "fleet {seed}: {environments} environments, {events} events, {crashes} crashes"
        ));
        assert!(violations.is_empty(), "seed {seed}:\n{}", violations.join("\n"));
        let replayed = run.replayed.as_ref().unwrap();
        assert!(matches!(replayed, ReplayOutcome::Switched(..)), "seed {seed}: {replayed:?}");
    }
}

/// The table, as in docs/COST.md.
fn table() -> String {
    let columns = "Batches | Events a second | Environments | Write units | of the feed";
    let mut table =
        format!("| {columns} | Read units | Lag |\n|---|---:|---:|---:|---:|---:|---:|\n");
    for (form, bounds) in
        [("4, of a second", [2.8, 2.2, 2.2]), ("one an environment, at once", [3.1, 3.3, 6.0])]
    {
        let fleet = if form.starts_with('4') { gathered } else { at_once };
        for (events, bound) in [10, 100, 1_000].into_iter().zip(bounds) {
            for environments in [2, 16, 64] {
                let run = fleet(events, environments).run();
                assert_eq!(run.violations(), [""; 0]);
                assert!(run.writes() <= bound, "{form}, {events}, {environments}");
                let (writes, lanes, reads) = (run.writes(), run.lanes(), run.reads());
                let lag = run.lag.as_secs_f64();
                writeln!(
                    table,
                    "| {form} | {events} | {environments} | {writes:.2} | {lanes:.2} | {reads:.2} \
                     | {lag:.2} s |"
                )
                .unwrap();
            }
        }
    }
    table
}

#[test]
fn the_table_is_the_one_in_the_documentation() {
    let table = table();
    let document = include_str!("../../../docs/COST.md");
    assert!(document.contains(&table), "docs/COST.md should have:\n\n{table}");
}
