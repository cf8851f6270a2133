//! The position of the follower, in the same file as the rows.

use async_trait::async_trait;
use ledger::StoreError;
use ledger::error::StoreErrorKind;
use ledger::history::History;
use ledger::id::Key;
use rusqlite::{Connection, params};

use super::tables::RowTables;
use super::{CheckedRow, SqliteViews};
use projections::generations::Generation;
use projections::position::{Position, PositionCommit, Positions};
use projections::views::PutOutcome;

const LOAD: &str = "SELECT number, hash FROM position";
const MOVE: &str = "UPDATE position SET number = ?1, hash = ?2 WHERE number = ?3 AND hash = ?4";

#[async_trait]
impl Positions for SqliteViews {
    async fn load(&self) -> Result<Position, StoreError> {
        let load =
            |file: &Connection| file.prepare_cached(LOAD)?.query_row([], |row| row.try_into());
        let (number, hash): (u64, String) = self.database.read(load).await?;
        let hash = hash.parse().map_err(|e| {
            StoreError::caused(StoreErrorKind::Corrupt, "views: the position cannot be read", e)
        })?;
        Ok(Position { number, hash })
    }

    async fn commit(
        &self,
        generations: &[Generation],
        histories: &[History],
        from: &Position,
        to: &Position,
    ) -> Result<PositionCommit, StoreError> {
        let (mut rows, mut unfit) = (Vec::with_capacity(histories.len()), Vec::new());
        for history in histories {
            match CheckedRow::of(history) {
                Ok(row) => rows.push(row),
                Err(_) => unfit.push(history.asset().key.clone()),
            }
        }
        if !unfit.is_empty() {
            return Ok(PositionCommit::Apart(unfit));
        }
        let (generations, from, to) = (generations.to_vec(), *from, *to);
        let tables = self.tables.clone();
        let commit =
            move |file: &Connection| commit(file, &tables, &generations, &rows, &from, &to);
        self.database.write(commit).await
    }
}

/// Checks everything before it writes: other jobs share the transaction.
fn commit(
    file: &Connection,
    tables: &RowTables,
    generations: &[Generation],
    rows: &[CheckedRow],
    from: &Position,
    to: &Position,
) -> rusqlite::Result<PositionCommit> {
    let mut apart: Vec<Key> = Vec::new();
    // The current rows are the evidence. A replay's rows may be newer than this batch, and the kept
    // ones may be of another journal: a row that does not continue them does not change them.
    let read = generations.first();
    for row in rows {
        if let Some(read) = read
            && tables.run(file, *read, |sql| row.contradiction(file, sql, *read))?.is_some()
        {
            apart.push(row.key.clone());
        }
    }
    if !apart.is_empty() {
        return Ok(PositionCommit::Apart(apart));
    }
    let place = params![to.number, to.hash.to_string(), from.number, from.hash.to_string()];
    if file.prepare_cached(MOVE)?.execute(place)? == 0 {
        return Ok(PositionCommit::Elsewhere);
    }
    let mut puts: Vec<PutOutcome> = Vec::new();
    for (nth, generation) in generations.iter().enumerate() {
        let some = tables.run(file, *generation, |sql| {
            // The current rows were judged above, in this transaction.
            let put = if nth == 0 { CheckedRow::write } else { CheckedRow::put };
            rows.iter().map(|row| put(row, file, sql, *generation)).collect()
        })?;
        if nth == 0 {
            puts = some;
        }
    }
    Ok(PositionCommit::Moved(puts))
}
