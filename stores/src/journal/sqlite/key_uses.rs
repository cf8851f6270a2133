//! The days on which keys were last used, in the journal's file: every process that authenticates
//! has it open.

use async_trait::async_trait;
use chrono::NaiveDate;
use rusqlite::params;

use super::SqliteJournal;
use ledger::StoreError;
use ledger::access::KeyId;
use ledger::error::StoreErrorKind;
use ledger::id::Tenant;
use ledger::key_uses::{KeyUses, LastUses};

const NOTE: &str = "INSERT INTO key_uses (tenant, key, day) VALUES (?1, ?2, ?3) \
    ON CONFLICT (tenant, key) DO UPDATE SET day = max(day, excluded.day)";

#[async_trait]
impl KeyUses for SqliteJournal {
    async fn note(&self, tenant: &Tenant, key: KeyId, day: NaiveDate) -> Result<(), StoreError> {
        let (tenant, key, day) = (tenant.to_string(), key.to_string(), day.to_string());
        let note = move |file: &rusqlite::Connection| {
            file.prepare_cached(NOTE)?.execute(params![tenant, key, day])
        };
        self.database.write(note).await.map(drop)
    }

    async fn last_uses(&self, tenant: &Tenant) -> Result<LastUses, StoreError> {
        let tenant = tenant.to_string();
        let rows = self.database.read(move |file| {
            let mut select =
                file.prepare_cached("SELECT key, day FROM key_uses WHERE tenant = ?1")?;
            let rows = select.query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String)>>>()
        });
        let read = |(key, day): (String, String)| Some((key.parse().ok()?, day.parse().ok()?));
        let uses: Option<LastUses> = rows.await?.into_iter().map(read).collect();
        let broken =
            || StoreError::new(StoreErrorKind::Corrupt, "journal: the use of a key is broken");
        uses.ok_or_else(broken)
    }
}
