//! Undelivered notifications. A row is written in the transaction of the change that it reports,
//! and removed only after a receiver has accepted it: delivery is at least once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ledger::Backoff;
use ledger::error::StoreError;
use rusqlite::{Connection, params};
use serde_json::json;
use stores::sqlite::Database;
use tokio::sync::watch;

/// The waits after refusals.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), LONGEST_WAIT);
/// The longest wait: a receiver that recovers gets notifications within a minute.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// A notification that was not accepted for a day is set aside, like a stream on AWS drops it.
const LONGEST_LIFE: TimeDelta = TimeDelta::hours(24);

/// The notifications of a local bucket.
#[derive(Debug, Clone)]
pub struct Outbox {
    db: Arc<Database>,
    written: Arc<watch::Sender<u64>>,
}

/// The numbers of notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Not accepted yet; they are retried.
    pub waiting: u64,
    /// Set aside for an operator.
    pub dead: u64,
}

/// A notification to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DueNotification {
    pub(super) change: i64,
    pub(super) event: String,
    pub(super) at: DateTime<Utc>,
    pub(super) attempts: u32,
}

/// The fate of a notification that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RetryFate {
    Again { not_before: DateTime<Utc> },
    Dead,
}

impl Outbox {
    pub(super) fn new(db: Arc<Database>) -> Self {
        Self { db, written: Arc::new(watch::Sender::new(0)) }
    }

    /// Counts the notifications that were not accepted.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let sql = "SELECT count(*) FILTER (WHERE dead IS NULL), count(dead) FROM outbox";
        let count =
            |row: &rusqlite::Row<'_>| Ok(Backlog { waiting: row.get(0)?, dead: row.get(1)? });
        self.db.read(move |db| db.query_row(sql, [], count)).await
    }

    /// Wakes the dispatcher: a row was committed.
    pub(super) fn wake(&self) {
        self.written.send_modify(|count| *count += 1);
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// The due notifications, the longest due first and without those in `taken`, and the time at
    /// which the next one is due.
    pub(super) async fn due(
        &self,
        now: DateTime<Utc>,
        taken: &HashSet<i64>,
        limit: usize,
    ) -> Result<(Vec<DueNotification>, Option<DateTime<Utc>>), StoreError> {
        let taken = json!(taken).to_string();
        self.db.read(move |db| Ok((due(db, now, &taken, limit)?, next(db, now)?))).await
    }

    /// Removes accepted notifications.
    pub(super) async fn taken(&self, changes: Vec<i64>) -> Result<(), StoreError> {
        let remove = move |tx: &Connection| {
            let mut delete = tx.prepare_cached("DELETE FROM outbox WHERE change = ?1")?;
            changes.iter().try_for_each(|change| delete.execute([change]).map(drop))
        };
        self.db.write(remove).await
    }

    pub(super) async fn put_off(
        &self,
        change: i64,
        fate: RetryFate,
        why: String,
    ) -> Result<(), StoreError> {
        let (dead, not_before) = match fate {
            RetryFate::Dead => (Some(why), None),
            RetryFate::Again { not_before } => (None, Some(not_before.timestamp_micros())),
        };
        let sql = "UPDATE outbox SET attempts = attempts + 1, dead = ?2,
                   not_before = coalesce(?3, not_before) WHERE change = ?1";
        self.db
            .write(move |tx| tx.prepare_cached(sql)?.execute(params![change, dead, not_before]))
            .await?;
        Ok(())
    }
}

/// Writes a notification, in the transaction of the change that it reports.
pub(super) fn insert(
    tx: &Connection,
    change: i64,
    at: DateTime<Utc>,
    event: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO outbox (change, event, at, attempts, not_before) VALUES (?1, ?2, ?3, 0, ?3)",
    )?
    .execute(params![change, event, at.timestamp_micros()])?;
    Ok(())
}

impl DueNotification {
    /// The notification's fate after a refusal now.
    pub(super) fn refused(&self, now: DateTime<Utc>) -> RetryFate {
        if now - self.at >= LONGEST_LIFE {
            return RetryFate::Dead;
        }
        RetryFate::Again { not_before: now + BACKOFF.pause(self.attempts) }
    }
}

fn due(
    db: &Connection,
    now: DateTime<Utc>,
    taken: &str,
    limit: usize,
) -> rusqlite::Result<Vec<DueNotification>> {
    let mut statement = db.prepare_cached(
        // What was never tried is due whatever the clock says, and a time beyond the longest wait
        // is of a clock that has been set back since.
        "SELECT change, event, at, attempts FROM outbox
         WHERE dead IS NULL AND (not_before <= ?1 OR attempts = 0 OR not_before > ?4)
         AND change NOT IN (SELECT value FROM json_each(?2))
         ORDER BY not_before, change LIMIT ?3",
    )?;
    let latest = (now + LONGEST_WAIT).timestamp_micros();
    let rows =
        statement.query_map(params![now.timestamp_micros(), taken, limit, latest], |row| {
            let at = DateTime::from_timestamp_micros(row.get(2)?).unwrap_or_default();
            Ok(DueNotification {
                change: row.get(0)?,
                event: row.get(1)?,
                at,
                attempts: row.get(3)?,
            })
        })?;
    rows.collect()
}

fn next(db: &Connection, now: DateTime<Utc>) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let micros: Option<i64> = db
        .prepare_cached(
            "SELECT min(not_before) FROM outbox WHERE dead IS NULL AND not_before > ?1",
        )?
        .query_row([now.timestamp_micros()], |row| row.get(0))?;
    Ok(micros.and_then(DateTime::from_timestamp_micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits = [0, 1, 2, 9, 10, 40].map(|attempts| BACKOFF.pause(attempts).as_millis());
        assert_eq!(waits, [100, 200, 400, 51_200, 60_000, 60_000]);
    }

    #[test]
    fn a_day_of_refusals_is_enough() {
        let at = DateTime::UNIX_EPOCH;
        let due = DueNotification { change: 1, event: String::new(), at, attempts: 3 };
        let again = RetryFate::Again { not_before: at + Duration::from_millis(800) };
        assert_eq!(due.refused(at), again);
        assert_eq!(due.refused(at + LONGEST_LIFE), RetryFate::Dead);
    }
}
