//! The read table in a SQLite file: the embedded default.

mod encoded;
mod generations;
mod list;
mod position;
mod statements;
mod tables;

use std::path::Path;
use std::sync::Arc;

use crate::sqlite::{Database, OpenMode, Schema};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::asset::Asset;
use ledger::error::StoreErrorKind;
use ledger::history::History;
use ledger::id::{AssetId, Key, Tenant};
use ledger::time;
use rusqlite::types::{Type, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use encoded::EncodedRows;
use projections::generations::Generation;
use projections::row::{AttributeError, Column, Row};
use projections::views::{AssetPage, ListQuery, Parked, PutOutcome, Views};
use statements::{LET_GO, Statements};
use tables::RowTables;

/// The file's name in a data folder.
const FILE: &str = "views.sqlite";

/// Not durable: rows and the position after them are one commit, so a power failure loses the
/// latest rows together with the position, and following again restores both. An fsync for each
/// commit would only slow this down.
const SCHEMA: Schema = Schema {
    name: "views",
    application_id: 0x616c_7631, // "alv1"
    steps: &[
        include_str!("../../../migrations/sqlite/views.1.sql"),
        include_str!("../../../migrations/sqlite/views.2.sql"),
        include_str!("../../../migrations/sqlite/views.3.sql"),
        include_str!("../../../migrations/sqlite/views.4.sql"),
    ],
    durable: false,
};

/// A read table in a SQLite file. As [`Views`] it is one generation, by default the first.
#[derive(Debug, Clone)]
pub struct SqliteViews {
    database: Arc<Database>,
    tables: Arc<RowTables>,
    generation: Generation,
}

impl SqliteViews {
    /// Whether a data folder has a read table.
    #[must_use]
    pub fn is_there(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Opens the read table of a data folder.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(folder: &Path, open: OpenMode) -> Result<Self, StoreError> {
        let database = Arc::new(Database::open(&folder.join(FILE), &SCHEMA, open)?);
        Ok(Self { database, tables: Arc::default(), generation: Generation::FIRST })
    }

    /// The file, for its checks and its end.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// A job for the file: statements on the table with the rows of this generation.
    fn on_rows<T, R>(&self, run: R) -> impl FnOnce(&Connection) -> rusqlite::Result<T> + use<T, R>
    where
        R: Fn(&Connection, &Statements) -> rusqlite::Result<T>,
    {
        let (tables, of) = (self.tables.clone(), self.generation);
        move |file| tables.run(file, of, |sql| run(file, sql))
    }
}

#[async_trait]
impl Views for SqliteViews {
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        let (of, pk, sk) = (self.generation, key.tenant.to_string(), key.asset.to_string());
        let named = key.clone();
        let get = self.on_rows(move |file, sql| {
            let mut select = file.prepare_cached(&sql.get)?;
            let bound = params![of.number(), pk, sk];
            select.query_row(bound, |row| Ok(read_row(row, 1)?.asset(named.clone()))).optional()
        });
        self.database.look_up(get).await?.transpose()
    }

    async fn put(&self, asset: &Asset) -> Result<PutOutcome, StoreError> {
        let values = values(self.generation, asset)?;
        self.database.write(self.on_rows(move |file, sql| put(file, sql, &values))).await
    }

    async fn put_checked(&self, history: &History) -> Result<PutOutcome, StoreError> {
        let (of, history) = (self.generation, CheckedRow::of(history)?);
        self.database.write(self.on_rows(move |file, sql| history.put(file, sql, of))).await
    }

    /// One job for all rows: a wake-up of the thread for each row would dominate the cost.
    async fn put_all(&self, assets: &[Asset]) -> Vec<Result<PutOutcome, StoreError>> {
        let written = match EncodedRows::of(assets) {
            Ok(rows) => {
                let of = self.generation;
                let put_all = move |file: &Connection, sql: &Statements| rows.put(file, sql, of);
                self.database.write(self.on_rows(put_all)).await
            }
            Err(error) => Err(error),
        };
        match written {
            Ok(written) => written.into_iter().map(Ok).collect(),
            Err(error) => assets.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError> {
        let (of, asked) = (self.generation, query.clone());
        let list = self.on_rows(move |file, sql| list::rows(file, sql, of, &asked));
        let rows = self.database.read(list).await?;
        Ok(AssetPage::cut(rows, query))
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        let Parked { key, version, error, at, contradicted } = parked.clone();
        let (of, version) = (self.generation, whole(version)?);
        let park = move |file: &Connection, sql: &Statements| {
            let (pk, sk) = (key.tenant.as_str(), key.asset.to_string());
            file.prepare_cached(&sql.park)?.execute(params![
                of.number(),
                pk,
                sk,
                version,
                error,
                time::format(at),
                contradicted
            ])
        };
        self.database.write(self.on_rows(park)).await.map(drop)
    }

    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let (of, pk) = (self.generation, tenant.to_string());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = self.on_rows(move |file, sql| {
            let mut select = file.prepare_cached(&sql.parked)?;
            let rows = select.query_map(params![of.number(), pk, limit], |row| row.try_into())?;
            rows.collect::<rusqlite::Result<Vec<ParkedColumns>>>()
        });
        self.database.read(read).await?.into_iter().map(parked).collect()
    }

    async fn let_go(&self, parked: &Parked) -> Result<(), StoreError> {
        let (key, version) = (parked.key.clone(), whole(parked.version)?);
        let contradicted = parked.contradicted;
        let let_go = move |file: &Connection| {
            let (pk, sk) = (key.tenant.as_str(), key.asset.to_string());
            file.prepare_cached(LET_GO)?.execute(params![pk, sk, version, contradicted])
        };
        self.database.write(let_go).await.map(drop)
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let (of, now) = (self.generation, now.timestamp());
        let sweep = self.on_rows(move |file, sql| {
            // First: a tombstone unparks too.
            file.prepare_cached(&sql.void)?.execute([of.number()])?;
            file.prepare_cached(&sql.sweep)?.execute(params![of.number(), now])
        });
        Ok(self.database.write(sweep).await? as u64)
    }
}

/// The parameters of `put`. They are built before the write is queued: an asset with a number that
/// SQLite cannot store must not roll back the writes that share its transaction.
fn values(of: Generation, asset: &Asset) -> Result<Vec<Value>, StoreError> {
    let row = Row::from(asset);
    let [pk, sk] = [asset.key.tenant.to_string(), asset.key.asset.to_string()].map(Value::Text);
    let key = [of.number().into(), pk, sk];
    let columns = row.columns().map_err(|error| unwritable(asset, error))?;
    let columns = columns.into_iter().map(|column| match column {
        Column::Null | Column::Other => Value::Null,
        Column::Integer(number) => Value::Integer(number),
        Column::Text(text) => Value::Text(text.into_owned()),
    });
    Ok(key.into_iter().chain(columns).collect())
}

fn unwritable(asset: &Asset, error: AttributeError) -> StoreError {
    let context = format!("the row of {} cannot be written", asset.key.partition());
    StoreError::caused(StoreErrorKind::Corrupt, context, error)
}

/// A row to be written, and every event that a valid older row may be of.
struct CheckedRow {
    values: Vec<Value>,
    key: Key,
    hashes: Vec<String>,
}

impl CheckedRow {
    fn of(history: &History) -> Result<Self, StoreError> {
        let asset = history.asset();
        // Each write sets the generation.
        let values = values(Generation::FIRST, asset)?;
        let hashes = history.entries().iter().map(|entry| entry.hash.to_string()).collect();
        Ok(Self { values, key: asset.key.clone(), hashes })
    }

    /// The version of the stored row, if it is of an event that the history does not have.
    fn contradiction(
        &self,
        file: &Connection,
        sql: &Statements,
        of: Generation,
    ) -> rusqlite::Result<Option<u64>> {
        let (pk, sk) = (self.key.tenant.as_str(), self.key.asset.to_string());
        let claim = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let mut select = file.prepare_cached(&sql.claim)?;
        let claim: Option<(i64, String)> =
            select.query_row(params![of.number(), pk, sk], claim).optional()?;
        let Some((version, head)) = claim else { return Ok(None) };
        let place = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
        let known = place.and_then(|place| self.hashes.get(place)).is_some_and(|it| *it == head);
        Ok(if known { None } else { Some(u64::try_from(version).unwrap_or_default()) })
    }

    fn write(
        &self,
        file: &Connection,
        sql: &Statements,
        of: Generation,
    ) -> rusqlite::Result<PutOutcome> {
        let mut values = self.values.clone();
        if let Some(generation) = values.first_mut() {
            *generation = of.number().into();
        }
        put(file, sql, &values)
    }

    fn put(
        &self,
        file: &Connection,
        sql: &Statements,
        of: Generation,
    ) -> rusqlite::Result<PutOutcome> {
        match self.contradiction(file, sql, of)? {
            Some(version) => Ok(PutOutcome::Contradicted(version)),
            None => self.write(file, sql, of),
        }
    }
}

fn put(file: &Connection, sql: &Statements, values: &[Value]) -> rusqlite::Result<PutOutcome> {
    let written = file.prepare_cached(&sql.put)?.execute(params_from_iter(values))?;
    Ok(outcome(written))
}

/// The result of a put that changed so many rows.
fn outcome(changed: usize) -> PutOutcome {
    if changed == 0 { PutOutcome::Stale } else { PutOutcome::Written }
}

fn key(tenant: &Tenant, sk: &str) -> Result<Key, StoreError> {
    let asset: AssetId = sk.parse().map_err(|e| {
        StoreError::caused(
            StoreErrorKind::Corrupt,
            format!("views: {sk:?} is not an asset's key"),
            e,
        )
    })?;
    Ok(Key { tenant: tenant.clone(), asset })
}

/// The stored columns of a parked asset.
type ParkedColumns = (String, String, u64, String, String, bool);

fn parked(row: ParkedColumns) -> Result<Parked, StoreError> {
    let (pk, sk, version, error, at, contradicted) = row;
    let corrupt =
        || StoreError::new(StoreErrorKind::Corrupt, format!("views: {pk}#{sk} is parked wrongly"));
    let tenant: Tenant = pk.parse().map_err(|_| corrupt())?;
    let at = time::parse(&at).ok_or_else(corrupt)?;
    Ok(Parked { key: key(&tenant, &sk)?, version, error, at, contradicted })
}

fn whole(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version).map_err(|e| {
        StoreError::caused(StoreErrorKind::Corrupt, "no asset has this many events", e)
    })
}

/// The attributes from the column `first` on.
fn read_row<'a>(from: &'a rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Row<'a>> {
    Row::of_columns(columns(from, first)).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(first, Type::Null, Box::new(error))
    })
}

/// The columns from `first` on, without an end.
fn columns<'a>(from: &'a rusqlite::Row<'_>, first: usize) -> impl Iterator<Item = Column<'a>> {
    (first..).map(move |index| match from.get_ref(index) {
        Ok(ValueRef::Null) => Column::Null,
        Ok(ValueRef::Integer(number)) => Column::Integer(number),
        Ok(ValueRef::Text(text)) => {
            str::from_utf8(text).map_or(Column::Other, |text| Column::Text(text.into()))
        }
        Ok(ValueRef::Real(_) | ValueRef::Blob(_)) | Err(_) => Column::Other,
    })
}

#[cfg(test)]
mod tests;
