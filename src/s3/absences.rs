//! Notes about missing versions, stored with the bucket's rows: an older copy of the rows then has
//! older notes, and the time of a missing version starts again.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::absences::{Absence, Absences, NOTE_TTL};
use ledger::error::StoreError;
use ledger::id::Key;
use rusqlite::{Connection, params};
use stores::sqlite::Database;

/// Notes in `objects.sqlite`.
pub(super) struct SqliteAbsences {
    pub(super) db: Arc<Database>,
}

#[async_trait]
impl Absences for SqliteAbsences {
    async fn missed(
        &self,
        absence: &Absence,
        at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError> {
        let absence = absence.clone();
        let first = self.db.write(move |tx| missed(tx, &absence, at)).await?;
        Ok(DateTime::from_timestamp_micros(first).unwrap_or(at))
    }

    async fn ended(&self, key: &Key) -> Result<(), StoreError> {
        let asset = key.partition();
        let sql = "SELECT EXISTS (SELECT 1 FROM absences WHERE asset = ?1)";
        let of = asset.clone();
        // There is almost never a note, and a read does not wait for the disk.
        if self.db.read(move |db| db.prepare_cached(sql)?.query_row([of], |row| row.get(0))).await?
        {
            let sql = "DELETE FROM absences WHERE asset = ?1";
            self.db.write(move |tx| tx.prepare_cached(sql)?.execute([&asset])).await?;
        }
        Ok(())
    }
}

fn missed(tx: &Connection, absence: &Absence, at: DateTime<Utc>) -> rusqlite::Result<i64> {
    let Absence { key, version_id, asset_version } = absence;
    let expired = (at - NOTE_TTL).timestamp_micros();
    tx.prepare_cached("DELETE FROM absences WHERE first < ?1")?.execute([expired])?;
    let sql = "INSERT INTO absences (asset, version_id, asset_version, first)
               VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (asset) DO UPDATE SET
                   first = iif(version_id = excluded.version_id
                               AND asset_version = excluded.asset_version, first, excluded.first),
                   version_id = excluded.version_id,
                   asset_version = excluded.asset_version
               RETURNING first";
    tx.prepare_cached(sql)?.query_row(
        params![key.partition(), version_id, asset_version, at.timestamp_micros()],
        |row| row.get(0),
    )
}

#[cfg(test)]
mod tests {
    use ledger::testing::absences::conformance;
    use stores::sqlite::OpenMode;

    use super::super::rows::SCHEMA;
    use super::*;

    #[tokio::test]
    async fn sqlite_keeps_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("objects.sqlite");
        conformance(async || {
            let db = Database::open(&file, &SCHEMA, OpenMode::OrCreate).unwrap();
            Arc::new(SqliteAbsences { db: Arc::new(db) })
        })
        .await;
    }
}
