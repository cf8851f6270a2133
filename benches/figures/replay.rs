//! Events folded per second, and bare JSON parsing of the same lines.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ledger::chain::Hash;
use ledger::history::History;
use ledger::id::Key;
use ledger::record::{EventRecord, StoredLine};

use crate::journal::rate;
use crate::table::ResultsTable;

const MEASURED: Duration = Duration::from_secs(2);
/// A typical asset's events, from the samples.
pub(crate) const SAMPLES: [&str; 5] = [
    include_str!("../../migrations/events/created.v1.json"),
    include_str!("../../migrations/events/received.v1.json"),
    include_str!("../../migrations/events/uploaded.v1.json"),
    include_str!("../../migrations/events/soft_deleted.v1.json"),
    include_str!("../../migrations/events/restored.v1.json"),
];

pub(crate) fn fold(table: &mut ResultsTable) -> Result<()> {
    let lines: Vec<StoredLine> = (1..)
        .zip(SAMPLES)
        .map(|(version, sample)| StoredLine { version, body: sample.trim_end().to_owned() })
        .collect();
    let key = EventRecord::read(&lines[0].body)?.key;
    let ours = measure(lines.len(), || verified(&key, &lines))?;
    let parsed = measure(lines.len(), || {
        lines.iter().try_for_each(|line| {
            black_box(serde_json::from_str::<serde_json::Value>(&line.body)?);
            Ok(())
        })
    })?;
    let hashed = measure(lines.len(), || {
        lines.iter().try_for_each(|line| {
            black_box(serde_json::from_str::<serde_json::Value>(&line.body)?);
            black_box(Hash::of(line.body.as_bytes()));
            Ok(())
        })
    })?;
    table.ratio("events read, chain verified, folded", ours, "bare JSON parsing", parsed, "≥ 0.7");
    table.ratio("the same", ours, "bare JSON parsing and SHA-256", hashed, "");
    Ok(())
}

fn verified(key: &Key, lines: &[StoredLine]) -> Result<()> {
    let history = History::read(key, lines.to_vec())?.context("no events")?;
    black_box(history.asset());
    Ok(())
}

fn measure(events: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let (start, mut total) = (Instant::now(), 0);
    while start.elapsed() < MEASURED {
        for _ in 0..100 {
            work()?;
            total += events as u64;
        }
    }
    Ok(rate(total, start.elapsed()))
}
