//! The journal in a SQLite file: the embedded default.

mod key_uses;
mod reservations;
mod scan;

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::watch;

use super::link;
use crate::sqlite::{Database, OpenMode, Schema};
use ledger::chain::Hash;
use ledger::error::StoreError;
use ledger::id::{Key, PartitionKey, Tenant};
use ledger::journal::scan::Stray;
use ledger::journal::{Appended, Arrival, Arrivals, Journal};
use ledger::record::{self, StoredLine};

/// The file's name in a data folder.
const FILE: &str = "journal.sqlite";
/// Events that are read by one lookup of a few pages. Most histories are shorter.
const SHORT: usize = 16;

const SCHEMA: Schema = Schema {
    name: "journal",
    application_id: 0x616c_6a31, // "alj1"
    steps: &[
        include_str!("../../../migrations/sqlite/journal.1.sql"),
        include_str!("../../../migrations/sqlite/journal.2.sql"),
        include_str!("../../../migrations/sqlite/journal.3.sql"),
        include_str!("../../../migrations/sqlite/journal.4.sql"),
        include_str!("../../../migrations/sqlite/journal.5.sql"),
    ],
    durable: true,
};

/// A journal in a SQLite file.
#[derive(Debug)]
pub struct SqliteJournal {
    database: Database,
    latest: watch::Sender<u64>,
}

impl SqliteJournal {
    /// Opens the journal of a data folder.
    pub async fn open(folder: &Path, open: OpenMode) -> Result<Self, StoreError> {
        let database = Database::open(&folder.join(FILE), &SCHEMA, open)?;
        let last = database.read(last_arrival).await?;
        Ok(Self { database, latest: watch::Sender::new(last) })
    }

    async fn arrived(
        &self,
        tenant: Option<String>,
        mut after: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        let mut found = Vec::new();
        while found.len() < limit {
            let (of, wanted) = (tenant.clone(), limit - found.len());
            let read = move |file: &Connection| arrived(file, of.as_deref(), after, wanted);
            let rows = self.database.read(read).await?;
            let Some((last, ..)) = rows.last() else { break };
            after = *last;
            let ended = rows.len() < wanted;
            // Rows without an asset key are not the end: more may follow them.
            found.extend(rows.into_iter().filter_map(arrival));
            if ended {
                break;
            }
        }
        Ok(found)
    }

    /// The file, for its checks and its end.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn history_of(&self, partition: &PartitionKey) -> Result<Vec<StoredLine>, StoreError> {
        let pk = partition.partition();
        let of = pk.clone();
        let first = "SELECT sk, body FROM events WHERE pk = ?1 ORDER BY sk LIMIT ?2";
        let first = move |file: &Connection| {
            file.prepare_cached(first)?.query_map(params![of, SHORT], line)?.collect()
        };
        let first: Vec<_> = self.database.look_up(first).await?;
        if first.len() < SHORT {
            return Ok(first);
        }
        let query = move |file: &Connection| {
            file.prepare_cached("SELECT sk, body FROM events WHERE pk = ?1 ORDER BY sk")?
                .query_map([pk], line)?
                .collect()
        };
        self.database.read(query).await
    }

    async fn events_after(
        &self,
        partition: &PartitionKey,
        version: u64,
        limit: usize,
    ) -> Result<Vec<StoredLine>, StoreError> {
        let pk = partition.partition();
        let query = "SELECT sk, body FROM events WHERE pk = ?1 AND sk > ?2 ORDER BY sk LIMIT ?3";
        let query = move |file: &Connection| {
            file.prepare_cached(query)?.query_map(params![pk, version, limit], line)?.collect()
        };
        self.database.read(query).await
    }

    async fn last_of(&self, partition: &PartitionKey) -> Result<Option<StoredLine>, StoreError> {
        let pk = partition.partition();
        let query = "SELECT sk, body FROM events WHERE pk = ?1 ORDER BY sk DESC LIMIT 1";
        let query =
            move |file: &Connection| file.prepare_cached(query)?.query_row([pk], line).optional();
        self.database.look_up(query).await
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        let pk = partition.partition();
        // A first event follows none.
        let prev = if line.version == 1 { None } else { link::prev(&line) };
        // An event of a named stream does not arrive.
        let latest = (!partition.is_named()).then(|| self.latest.clone());
        let tell = move |(number, _): &(Option<u64>, _)| {
            latest.zip(*number).map(|(latest, number)| latest.send_replace(number));
        };
        let insert = move |file: &Connection| insert(file, &pk, &line, prev);
        let (_, placed) = self.database.write_then(insert, tell).await?;
        placed.map_err(|refusal| link::broken(&partition.partition(), &refusal))
    }
}

/// The result of an append, or why the event does not follow.
type AppendOutcome = Result<Appended, String>;

/// Inserts an event, and returns its arrival number if its version was free. The transaction holds
/// the write lock already, so the insert sees the same state as the reads here.
fn insert(
    file: &Connection,
    pk: &str,
    new: &StoredLine,
    prev: Option<Hash>,
) -> rusqlite::Result<(Option<u64>, AppendOutcome)> {
    let last = "SELECT sk, body FROM events WHERE pk = ?1 ORDER BY sk DESC LIMIT 1";
    let last = file.prepare_cached(last)?.query_row([pk], scan::item).optional()?.transpose();
    let last = match last {
        Ok(last) => last,
        Err(stray) => return Ok((None, Err(stray.to_string()))),
    };
    if last.as_ref().is_some_and(|last| last.version >= new.version) {
        let holder = "SELECT sk, body FROM events WHERE pk = ?1 AND sk = ?2";
        let mut holder = file.prepare_cached(holder)?;
        if let Some(holder) = holder.query_row(params![pk, new.version], line).optional()? {
            return Ok((None, Ok(Appended::Taken(holder))));
        }
    }
    if let Some(refusal) = link::refusal(new.version, prev, last.as_ref()) {
        return Ok((None, Err(refusal)));
    }
    let insert = "INSERT INTO events (pk, sk, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let inserted = file.prepare_cached(insert)?.execute(params![pk, new.version, new.body])?;
    if inserted == 0 {
        return Ok((None, Err("the file did not take the event".to_owned())));
    }
    Ok((u64::try_from(file.last_insert_rowid()).ok(), Ok(Appended::Written)))
}

#[async_trait]
impl Arrivals for SqliteJournal {
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
        self.arrived(None, after, limit).await
    }

    async fn arrivals_of(
        &self,
        tenant: &Tenant,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        self.arrived(Some(tenant.to_string()), after, limit).await
    }

    fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}

fn line(row: &Row<'_>) -> rusqlite::Result<StoredLine> {
    Ok(StoredLine { version: row.get(0)?, body: row.get(1)? })
}

/// The number of the last event that belongs to an asset.
fn last_arrival(file: &Connection) -> rusqlite::Result<u64> {
    let mut select = file.prepare(LAST_ARRIVED)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if Key::from_partition(&scan::partition(row, 1)?).is_some() {
            return row.get(0);
        }
    }
    Ok(0)
}

// The condition on `pk` is that of the partial indexes `events_of_assets` and `events_by_tenant`.
// The first is not named here: a file of an older form, which is opened for reading, lacks it.
const LAST_ARRIVED: &str = "SELECT arrival, pk FROM events \
    WHERE length(pk) - instr(pk, '#') = 36 ORDER BY arrival DESC";

const ARRIVED: &str = "SELECT sk, body, arrival, pk FROM events \
    WHERE arrival > ?1 AND length(pk) - instr(pk, '#') = 36 ORDER BY arrival LIMIT ?2";

const ARRIVED_OF_TENANT: &str = "SELECT sk, body, arrival, pk FROM events \
    INDEXED BY events_by_tenant WHERE substr(pk, 1, instr(pk, '#') - 1) = ?3 AND arrival > ?1 \
    AND length(pk) - instr(pk, '#') = 36 ORDER BY arrival LIMIT ?2";

type Arrived = (u64, String, Result<StoredLine, Stray>);

/// The arrivals after `after`: of one tenant, or of all.
fn arrived(
    file: &Connection,
    tenant: Option<&str>,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<Arrived>> {
    match tenant {
        None => {
            file.prepare_cached(ARRIVED)?.query_map(params![after, limit], arrived_row)?.collect()
        }
        Some(tenant) => file
            .prepare_cached(ARRIVED_OF_TENANT)?
            .query_map(params![after, limit, tenant], arrived_row)?
            .collect(),
    }
}

fn arrived_row(row: &Row<'_>) -> rusqlite::Result<Arrived> {
    Ok((row.get(2)?, scan::partition(row, 3)?, scan::item(row)?))
}

/// `None` for a row that belongs to no asset: a named stream's, or another program's. Readers skip
/// it.
fn arrival((number, pk, line): Arrived) -> Option<Arrival> {
    let key = Key::from_partition(&pk);
    if key.is_none() && !is_of_a_stream(&pk, &line) {
        tracing::warn!(arrival = number, pk, "skipped a row of the journal without an asset key");
    }
    Some(Arrival { number, key: key?, line })
}

fn is_of_a_stream(pk: &str, line: &Result<StoredLine, Stray>) -> bool {
    let key = PartitionKey::from_partition(pk);
    let named = key.is_some_and(|key| key.is_named());
    named && line.as_ref().is_ok_and(|line| record::is_of_a_stream(&line.body))
}

#[cfg(test)]
mod tests;
