//! Appends per second, and raw inserts of the same rows into the same table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use ledger::chain::Hash;
use ledger::id::{AssetId, Key};
use ledger::journal::Journal;
use ledger::record::{EventRecord, StoredLine};
use rusqlite::{Connection, params};
use stores::SqliteJournal;
use stores::sqlite::OpenMode;

use crate::table::ResultsTable;

const SAMPLE: &str = include_str!("../../migrations/events/created.v1.json");
/// The duration of a measurement.
const MEASURED: Duration = Duration::from_secs(4);

/// A `created` event of a new asset: its key and its line.
pub(crate) fn event(number: u64) -> Result<(Key, StoredLine)> {
    let mut record = EventRecord::read(SAMPLE.trim_end())?;
    record.key.asset = AssetId::new(record.at, u128::from(number) << 8);
    record.prev = Hash::ZERO;
    let line = record.line()?;
    Ok((record.key, line))
}

pub(crate) async fn appends(table: &mut ResultsTable) -> Result<()> {
    let single = raw(1)?;
    for (writers, group, target) in [(1, 1, ""), (16, 16, ""), (256, 256, "≥ 0.5")] {
        let rate = ours(writers).await?;
        let limit = if group == 1 { single } else { raw(group)? };
        let below = if group == 1 {
            "raw inserts, one per commit".to_owned()
        } else {
            format!("raw inserts, {group} per commit")
        };
        table.ratio(&format!("appends, {writers} writers"), rate, &below, limit, target);
    }
    Ok(())
}

/// Assets come in the order of their ids, as with a real clock; so do the raw inserts. Filling an
/// index at 256 places at once is several times slower than at its end.
async fn ours(writers: u64) -> Result<f64> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let journal = Arc::new(SqliteJournal::open(folder.path(), OpenMode::OrCreate).await?);
    let (start, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (journal, next) = (Arc::clone(&journal), Arc::clone(&next));
            tokio::spawn(async move {
                let mut count = 0;
                while start.elapsed() < MEASURED {
                    let (key, line) = event(next.fetch_add(1, Ordering::Relaxed))?;
                    journal.append(&key, line).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await??;
    }
    Ok(rate(total, start.elapsed()))
}

fn raw(group: u64) -> Result<f64> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut file = Connection::open(folder.path().join("raw.sqlite"))?;
    file.pragma_update(None, "journal_mode", "WAL")?;
    file.pragma_update(None, "synchronous", "FULL")?;
    file.execute_batch(include_str!("../../migrations/sqlite/journal.1.sql"))?;
    let (start, mut total) = (Instant::now(), 0);
    while start.elapsed() < MEASURED {
        let transaction = file.transaction()?;
        for _ in 0..group {
            let (key, line) = event(total)?;
            transaction
                .prepare_cached("INSERT INTO events (pk, sk, body) VALUES (?1, ?2, ?3)")?
                .execute(params![key.partition(), line.version, line.body])?;
            total += 1;
        }
        transaction.commit()?;
    }
    Ok(rate(total, start.elapsed()))
}

#[allow(clippy::cast_precision_loss)]
pub(crate) fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}
