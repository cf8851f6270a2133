//! Reservations, in the journal's file: they are as durable as the events, and a copy of the file
//! has both.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::SqliteJournal;
use ledger::StoreError;
use ledger::error::StoreErrorKind;
use ledger::id::Key;
use ledger::idempotency::RepeatableCommand;
use ledger::reservations::{RESERVATION_TTL, Reservation, Reservations};

/// Expired reservations that one call removes, so that a call after a busy week is not slow.
const REMOVED: u32 = 16;

#[async_trait]
impl Reservations for SqliteJournal {
    async fn reserve(
        &self,
        wanted: &Reservation,
        at: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let of = wanted.clone();
        let held = self.database.write(move |file| reserve(file, &of, at)).await?;
        let (asset, fingerprint) = held;
        let asset = asset.parse().map_err(|error| {
            StoreError::caused(StoreErrorKind::Corrupt, "journal: a reservation is broken", error)
        })?;
        let (tenant, key) = (wanted.key.tenant.clone(), wanted.command.key.clone());
        let command = RepeatableCommand { key, fingerprint };
        Ok(Reservation { key: Key { tenant, asset }, command })
    }
}

/// The asset and the fingerprint of the reservation that holds.
fn reserve(
    file: &Connection,
    wanted: &Reservation,
    at: DateTime<Utc>,
) -> rusqlite::Result<(String, String)> {
    let expired = "DELETE FROM reservations WHERE (tenant, key) IN (SELECT tenant, key \
        FROM reservations WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
    let now = at.timestamp_micros();
    file.prepare_cached(expired)?.execute(params![now, REMOVED])?;
    let reserve = "INSERT INTO reservations (tenant, key, asset, fingerprint, expires_at) \
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (tenant, key) DO UPDATE SET \
            asset = iif(expires_at <= ?6, excluded.asset, asset), \
            fingerprint = iif(expires_at <= ?6, excluded.fingerprint, fingerprint), \
            expires_at = iif(expires_at <= ?6, excluded.expires_at, expires_at) \
        RETURNING asset, fingerprint";
    let Reservation { key, command } = wanted;
    let expires_at = (at + RESERVATION_TTL).timestamp_micros();
    file.prepare_cached(reserve)?.query_row(
        params![
            key.tenant.as_str(),
            command.key,
            key.asset.to_string(),
            command.fingerprint,
            expires_at,
            now
        ],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
