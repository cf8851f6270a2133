//! Seeded bad days of a data folder: files are cut, edited, moved and restored from copies, and
//! then every command of an operator runs on them. In every case and order:
//!
//! * a finding of `verify` is reported again until a flag that names it releases it;
//! * no bytes of an object disappear: they are in `s3/objects`, in transit, or in `s3/lost`;
//! * an acknowledged event is in the journal, or its absence is reported. A refused folder is
//!   reported as a whole.
//!
//! A failing seed is printed with its steps; `ASSET_LEDGER_EVIDENCE_SEED` runs it alone.
//! `ASSET_LEDGER_EVIDENCE_SEEDS` is the seed count.
#![allow(clippy::print_stdout, reason = "what bad luck did, in figures")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, its helpers too")]

mod damage;
mod day;
mod look;
mod operate;

use std::io::Write;

use day::Day;
use futures::{StreamExt, stream};
use tokio::runtime::Handle;

/// Seeds by default: the gate runs twenty times as many.
const SEEDS: u64 = 100;
/// Days at once.
const AT_ONCE: usize = 3;

#[expect(clippy::disallowed_methods, reason = "how many seeds is asked of the environment")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|it| it.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_outlives_every_bad_day() {
    let seeds = match variable("ASSET_LEDGER_EVIDENCE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("ASSET_LEDGER_EVIDENCE_SEEDS").unwrap_or(SEEDS),
    };
    let (count, mut failed, mut named) = (seeds.end - seeds.start, 0, 0);
    let http = reqwest::Client::new();
    let days = stream::iter(seeds).map(|seed| {
        let (http, runtime) = (http.clone(), Handle::current());
        // A thread per day: most of a day is reading and writing files.
        tokio::task::spawn_blocking(move || runtime.block_on(live(seed, http)))
    });
    let mut days = days.buffered(AT_ONCE);
    while let Some(lived) = days.next().await {
        let (day, lived) = lived.unwrap();
        named += u64::from(day.ever_named);
        if let Err(why) = &lived {
            failed += 1;
            println!("seed {}: {why}", day.seed);
            println!("  again: ASSET_LEDGER_EVIDENCE_SEED={} cargo test --test evidence", day.seed);
        }
        if lived.is_err() || count == 1 {
            println!("  {}", day.steps.join("\n  "));
        }
    }
    // Past the harness, which hides the output of a passing test: the gate reads it.
    let said = format!("evidence: {count} seeds, {failed} failed; {named} had something to name");
    writeln!(std::io::stderr(), "{said}").unwrap();
    assert_eq!(failed, 0);
    assert!(count == 1 || named * 2 > count, "the days were not bad enough");
}

async fn live(seed: u64, http: reqwest::Client) -> (Day, Result<(), String>) {
    let mut day = Day::begin(seed, http).await;
    let lived = day.live().await;
    (day, lived)
}
