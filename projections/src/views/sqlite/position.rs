//! How far the journal was followed, in the same file as the rows.

use async_trait::async_trait;
use ledger::StoreError;
use ledger::error::Kind;
use rusqlite::{Connection, params};

use super::SqliteViews;
use super::generations::forget;
use crate::position::{Position, Positions};

#[async_trait]
impl Positions for SqliteViews {
    async fn load(&self) -> Result<Position, StoreError> {
        let select = "SELECT epoch, number, hash FROM position";
        let load =
            |file: &Connection| file.prepare_cached(select)?.query_row([], |row| row.try_into());
        let (epoch, number, hash): (u64, u64, String) = self.database.read(load).await?;
        let hash = hash.parse().map_err(|e| {
            StoreError::caused(Kind::Corrupt, "views: the position cannot be read", e)
        })?;
        Ok(Position { epoch, number, hash })
    }

    async fn advance(&self, from: &Position, to: &Position) -> Result<bool, StoreError> {
        let (from, to) = (*from, *to);
        let advance = "UPDATE position SET epoch = ?1, number = ?2, hash = ?3 \
                       WHERE epoch = ?4 AND number = ?5 AND hash = ?6";
        let moved = self.database.write(move |file| {
            file.prepare_cached(advance)?.execute(params![
                to.epoch,
                to.number,
                to.hash.to_string(),
                from.epoch,
                from.number,
                from.hash.to_string(),
            ])
        });
        Ok(moved.await? == 1)
    }

    async fn reset(&self) -> Result<(), StoreError> {
        self.database.write(reset).await
    }
}

const RESET: &str = "DELETE FROM assets; DELETE FROM parked; \
    UPDATE position SET epoch = epoch + 1, number = 0, \
    hash = '0000000000000000000000000000000000000000000000000000000000000000';";

fn reset(file: &Connection) -> rusqlite::Result<()> {
    forget(file)?;
    file.execute_batch(RESET)
}
