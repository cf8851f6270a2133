//! Many rows as parameters of one statement, so that a row needs no allocations that the writer's
//! thread would have to free.

use ledger::StoreError;
use ledger::asset::Asset;
use projections::generations::Generation;
use projections::row::{Column, ColumnTable, Row};
use projections::views::PutOutcome;
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::statements::Statements;
use super::{outcome, unwritable};

/// The columns of a row: its key within the generation, and its attributes.
const COLUMNS: usize = 2 + Row::ATTRIBUTES.len();
/// Bytes of a typical row's texts.
pub(super) const TEXTS: usize = 480;

/// The parameters of `put` for each of some rows, without the generation. They are made before the
/// write is queued, as those of a single row are.
pub(super) struct EncodedRows(ColumnTable);

impl EncodedRows {
    pub(super) fn of(assets: &[Asset]) -> Result<Self, StoreError> {
        let mut table = ColumnTable::with_capacity(assets.len() * COLUMNS, assets.len() * TEXTS);
        for asset in assets {
            table.push(&Column::Text(asset.key.tenant.as_str().into()));
            table.push(&Column::Text(asset.key.asset.to_string().into()));
            let row = Row::from(asset);
            for column in row.columns().map_err(|error| unwritable(asset, error))? {
                table.push(&column);
            }
        }
        Ok(Self(table))
    }

    /// Puts each row on its own, and returns the result of each.
    pub(super) fn put(
        &self,
        file: &Connection,
        sql: &Statements,
        of: Generation,
    ) -> rusqlite::Result<Vec<PutOutcome>> {
        let mut put = file.prepare_cached(&sql.put)?;
        put.raw_bind_parameter(1_usize, of.number())?;
        let mut outcomes = Vec::with_capacity(self.0.len() / COLUMNS);
        for first in (0..self.0.len()).step_by(COLUMNS) {
            for (parameter, column) in (2_usize..).zip(self.0.columns(first).take(COLUMNS)) {
                put.raw_bind_parameter(parameter, ToSqlOutput::Borrowed(value(&column)))?;
            }
            outcomes.push(outcome(put.raw_execute()?));
        }
        Ok(outcomes)
    }
}

/// The stored value of a column.
fn value<'a>(column: &'a Column<'_>) -> ValueRef<'a> {
    match column {
        Column::Null | Column::Other => ValueRef::Null,
        Column::Integer(number) => ValueRef::Integer(*number),
        Column::Text(text) => ValueRef::Text(text.as_bytes()),
    }
}
