//! Bare inserts of a replay's rows into the same table: the minimum work of any replay.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::journal::rate;

/// Rows that represent all.
const SAMPLE: usize = 20_000;
/// Rows per commit, as many as in a replay.
const GROUP: usize = 256;

/// Rows per second of the read table in `folder`, inserted unconditionally into an empty one.
pub(crate) fn bare_inserts(folder: &Path) -> Result<f64> {
    let (columns, rows) = sample(folder)?;
    let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut file = Connection::open(fresh.path().join("raw.sqlite"))?;
    file.pragma_update(None, "journal_mode", "WAL")?;
    file.pragma_update(None, "synchronous", "NORMAL")?;
    let table = include_str!("../../migrations/sqlite/views.generation.sql");
    file.execute_batch(&table.replace("{n}", "2"))?;
    let marks = vec!["?"; columns.len()].join(", ");
    let insert = format!("INSERT INTO assets_2 ({}) VALUES ({marks})", columns.join(", "));
    let start = Instant::now();
    for group in rows.chunks(GROUP) {
        let transaction = file.transaction()?;
        for row in group {
            transaction.prepare_cached(&insert)?.execute(params_from_iter(row))?;
        }
        transaction.commit()?;
    }
    Ok(rate(rows.len() as u64, start.elapsed()))
}

fn sample(folder: &Path) -> Result<(Vec<String>, Vec<Vec<Value>>)> {
    let file = Connection::open(folder.join("views.sqlite"))?;
    // The only table of a generation: earlier ones were removed or are the shared one.
    let table = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'assets!_%' \
                 ESCAPE '!' ORDER BY rowid DESC LIMIT 1";
    let table: String = file.query_row(table, [], |row| row.get(0))?;
    let mut names = file.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let columns: Vec<String> =
        names.query_map([&table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let select =
        format!("SELECT {} FROM {table} ORDER BY pk, sk LIMIT {SAMPLE}", columns.join(", "));
    let mut select = file.prepare(&select)?;
    let read = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|column| row.get(column)).collect();
    let rows: Vec<Vec<Value>> = select.query_map([], read)?.collect::<Result<_, _>>()?;
    ensure!(!rows.is_empty(), "there are no rows to insert");
    Ok((columns, rows))
}
