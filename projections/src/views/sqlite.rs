//! The read table in a SQLite file: the embedded default.

use std::path::Path;
use std::sync::LazyLock;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::asset::{Asset, Status};
use ledger::error::Kind;
use ledger::id::{AssetId, Key, Tenant};
use ledger::sqlite::{Database, Open, Schema};
use ledger::time;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::{Page, Parked, Put, Query, Views};
use crate::position::{Position, Positions};
use crate::row::{Row, Tags};

/// The file in a data folder.
const FILE: &str = "views.sqlite";

/// Not durable: commits reach the disk in their order, rows before the position that follows
/// them, so a power cut takes the latest rows together with the position, and following again
/// brings both back. An fsync for each would only slow that down.
const SCHEMA: Schema = Schema {
    name: "views",
    application_id: 0x616c_7631, // "alv1"
    steps: &[include_str!("../../../migrations/sqlite/views.1.sql")],
    durable: false,
};

/// A read table in a SQLite file.
#[derive(Debug)]
pub struct SqliteViews {
    database: Database,
}

impl SqliteViews {
    /// Opens the read table of a data folder.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(folder: &Path, open: Open) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(&folder.join(FILE), &SCHEMA, open)? })
    }
}

#[async_trait]
impl Views for SqliteViews {
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        let of = [key.tenant.to_string(), key.asset.to_string()];
        let row = self.database.read(|file| {
            file.prepare_cached(&SQL.get)?.query_row(of, |row| Row::read(row, 1)).optional()
        });
        row.await?.map(|row| row.asset(key.clone())).transpose()
    }

    async fn put(&self, asset: &Asset) -> Result<Put, StoreError> {
        let values = values(asset)?;
        self.database.write(|file| put(file, values)).await
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let (tenant, limit) = (query.tenant.clone(), query.limit);
        let shown = query.state.map(Status::shown);
        let after = query.after.map_or_else(|| AFTER_ALL.to_owned(), |after| after.to_string());
        let count = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let pk = query.tenant.to_string();
        let rows = self.database.read(move |file| {
            let mut select = file.prepare_cached(SQL.list(shown.is_some()))?;
            let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, Row::read(row, 1)?));
            let rows = match shown {
                Some(shown) => select.query_map(params![pk, after, count, shown], read)?,
                None => select.query_map(params![pk, after, count], read)?,
            };
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let assets = rows.await?.into_iter().map(|(sk, row)| row.asset(key(&tenant, &sk)?));
        Ok(Page::cut(assets.collect::<Result<_, _>>()?, limit))
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        let Parked { key, version, error, at } = parked.clone();
        let version = whole(version)?;
        let park = move |file: &Connection| {
            let (pk, sk) = (key.tenant.as_str(), key.asset.to_string());
            file.prepare_cached(PARK)?.execute(params![pk, sk, version, error, time::format(at)])
        };
        self.database.write(park).await.map(drop)
    }

    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let (pk, limit) = (tenant.to_string(), i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = self.database.read(move |file| {
            let mut select = file.prepare_cached(PARKED)?;
            let rows = select.query_map(params![pk, limit], |row| row.try_into())?;
            rows.collect::<rusqlite::Result<Vec<(String, String, u64, String, String)>>>()
        });
        rows.await?.into_iter().map(parked).collect()
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let now = now.timestamp();
        let sweep = "DELETE FROM assets WHERE expires_at <= ?1";
        let swept =
            self.database.write(move |file| file.prepare_cached(sweep)?.execute([now])).await?;
        Ok(swept as u64)
    }
}

#[async_trait]
impl Positions for SqliteViews {
    async fn load(&self) -> Result<Position, StoreError> {
        let select = "SELECT generation, number, hash FROM position";
        let load =
            |file: &Connection| file.prepare_cached(select)?.query_row([], |row| row.try_into());
        let (generation, number, hash): (u64, u64, String) = self.database.read(load).await?;
        let hash = hash.parse().map_err(|e| {
            StoreError::caused(Kind::Corrupt, "views: the position cannot be read", e)
        })?;
        Ok(Position { generation, number, hash })
    }

    async fn advance(&self, from: &Position, to: &Position) -> Result<bool, StoreError> {
        let (from, to) = (*from, *to);
        let advance = "UPDATE position SET generation = ?1, number = ?2, hash = ?3 \
                       WHERE generation = ?4 AND number = ?5 AND hash = ?6";
        let moved = self.database.write(move |file| {
            file.prepare_cached(advance)?.execute(params![
                to.generation,
                to.number,
                to.hash.to_string(),
                from.generation,
                from.number,
                from.hash.to_string(),
            ])
        });
        Ok(moved.await? == 1)
    }

    async fn reset(&self) -> Result<(), StoreError> {
        self.database.write(|file| file.execute_batch(RESET)).await
    }
}

/// Sorts after every asset id, which are of lower-case hex digits and hyphens.
const AFTER_ALL: &str = "~";

const PARK: &str = "INSERT INTO parked (pk, sk, version, error, at) \
    SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS \
        (SELECT 1 FROM assets WHERE pk = ?1 AND sk = ?2 AND version >= ?3) \
    ON CONFLICT (pk, sk) DO UPDATE \
    SET version = excluded.version, error = excluded.error, at = excluded.at \
    WHERE excluded.version >= parked.version";

const PARKED: &str = "SELECT pk, sk, version, error, at FROM parked WHERE pk = ?1 \
    ORDER BY at, sk LIMIT ?2";

const VOID: &str = "DELETE FROM parked WHERE pk = ?1 AND sk = ?2 AND version <= ?3";

const RESET: &str = "DELETE FROM assets; DELETE FROM parked; \
    UPDATE position SET generation = generation + 1, number = 0, \
    hash = '0000000000000000000000000000000000000000000000000000000000000000';";

static SQL: LazyLock<Statements> = LazyLock::new(Statements::new);

/// The statements that name every attribute, made from the one list of them.
struct Statements {
    get: String,
    put: String,
    list: String,
    list_state: String,
}

impl Statements {
    fn new() -> Self {
        let names = Row::ATTRIBUTES.join(", ");
        let each = |form: fn(usize, &&str) -> String| {
            Row::ATTRIBUTES.iter().enumerate().map(|(i, name)| form(i, name)).collect::<Vec<_>>()
        };
        let marks = each(|i, _| format!("?{}", i + 3)).join(", ");
        let newer = each(|_, name| format!("{name} = excluded.{name}")).join(", ");
        let page = "pk = ?1 AND sk < ?2 AND state <> 'PURGED'";
        let newest = "ORDER BY sk DESC LIMIT ?3";
        Self {
            get: format!("SELECT sk, {names} FROM assets WHERE pk = ?1 AND sk = ?2"),
            put: format!(
                "INSERT INTO assets (pk, sk, {names}) VALUES (?1, ?2, {marks}) \
                 ON CONFLICT (pk, sk) DO UPDATE SET {newer} \
                 WHERE excluded.version > assets.version"
            ),
            // Named, because the planner would rather walk the table, tombstones and all.
            list: format!(
                "SELECT sk, {names} FROM assets INDEXED BY assets_listed WHERE {page} {newest}"
            ),
            list_state: format!(
                "SELECT sk, {names} FROM assets INDEXED BY assets_by_state \
                 WHERE {page} AND shown = ?4 {newest}"
            ),
        }
    }

    fn list(&self, of_state: bool) -> &str {
        if of_state { &self.list_state } else { &self.list }
    }
}

/// What is bound to `put`. Made before the write is handed over: one asset with a number that
/// SQLite cannot hold must not roll back the writes that share its transaction.
fn values(asset: &Asset) -> Result<Vec<Value>, StoreError> {
    let row = Row::from(asset);
    let key = [asset.key.tenant.to_string(), asset.key.asset.to_string()].map(Value::Text);
    let columns = row.columns().into_iter().map(|column| match column.to_sql()? {
        ToSqlOutput::Owned(value) => Ok(value),
        ToSqlOutput::Borrowed(value) => Ok(value.into()),
        _ => Err(rusqlite::Error::InvalidQuery),
    });
    let values: rusqlite::Result<Vec<Value>> = key.into_iter().map(Ok).chain(columns).collect();
    values.map_err(|error| {
        let context = format!("the row of {} cannot be written", asset.key.partition());
        StoreError::caused(Kind::Corrupt, context, error)
    })
}

fn put(file: &Connection, values: Vec<Value>) -> rusqlite::Result<Put> {
    // The key and, as the first attribute, the version.
    let voids = values[..3].to_vec();
    let written = file.prepare_cached(&SQL.put)?.execute(params_from_iter(values))?;
    if written == 0 {
        return Ok(Put::Stale);
    }
    file.prepare_cached(VOID)?.execute(params_from_iter(voids))?;
    Ok(Put::Written)
}

fn key(tenant: &Tenant, sk: &str) -> Result<Key, StoreError> {
    let asset: AssetId = sk.parse().map_err(|e| {
        StoreError::caused(Kind::Corrupt, format!("views: {sk:?} is not an asset's key"), e)
    })?;
    Ok(Key { tenant: tenant.clone(), asset })
}

fn parked(row: (String, String, u64, String, String)) -> Result<Parked, StoreError> {
    let (pk, sk, version, error, at) = row;
    let corrupt = || StoreError::new(Kind::Corrupt, format!("views: {pk}#{sk} is parked wrongly"));
    let tenant: Tenant = pk.parse().map_err(|_| corrupt())?;
    let at = time::parse(&at).ok_or_else(corrupt)?;
    Ok(Parked { key: key(&tenant, &sk)?, version, error, at })
}

fn whole(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version)
        .map_err(|e| StoreError::caused(Kind::Corrupt, "no asset has this many events", e))
}

impl ToSql for Tags {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(self)
            .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        Ok(text.into())
    }
}

impl FromSql for Tags {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map_err(|e| FromSqlError::Other(Box::new(e)))
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use tempfile::TempDir;

    use super::*;
    use crate::testing::Story;

    fn views() -> (SqliteViews, TempDir) {
        let folder = TempDir::new().unwrap();
        (SqliteViews::open(folder.path(), Open::OrCreate).unwrap(), folder)
    }

    #[tokio::test]
    async fn the_table_has_the_attributes_and_no_others() {
        let (views, _folder) = views();
        let names = views.database.read(|file| {
            file.prepare("SELECT name FROM pragma_table_info('assets')")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<String>>>()
        });
        assert_eq!(names.await.unwrap()[2..], *Row::ATTRIBUTES);
    }

    #[tokio::test]
    async fn lists_are_read_from_an_index_in_its_order() {
        let (views, _folder) = views();
        for of_state in [false, true] {
            let bound = vec!["x"; 3 + usize::from(of_state)];
            let explain = format!("EXPLAIN QUERY PLAN {}", SQL.list(of_state));
            let plan = views.database.read(move |file| {
                file.prepare(&explain)?
                    .query_map(params_from_iter(bound), |row| row.get(3))?
                    .collect::<rusqlite::Result<Vec<String>>>()
            });
            let plan = plan.await.unwrap().join("; ");
            assert!(plan.starts_with("SEARCH assets USING INDEX"), "{plan}");
            assert!(plan.contains("sk<?") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_stored_does_not_fail_its_neighbours() {
        let (views, _folder) = views();
        let mut assets: Vec<_> = (1..=64).map(|nth| Story::begin("main", nth).asset()).collect();
        assets[31].declared.size = Some(u64::MAX);
        let puts = join_all(assets.iter().map(|asset| views.put(asset))).await;
        for (put, nth) in puts.iter().zip(0..) {
            match put {
                Ok(put) => assert_eq!((*put, nth == 31), (Put::Written, false)),
                Err(error) => assert_eq!((error.kind, nth), (Kind::Corrupt, 31)),
            }
        }
    }

    #[tokio::test]
    async fn a_tombstone_is_dropped_in_the_second_in_which_it_expires() {
        let (views, _folder) = views();
        let purged = Story::begin("main", 1).received().deleted().purged().asset();
        views.put(&purged).await.unwrap();
        let expires_at = crate::row::expires_at(&purged).unwrap();
        for (late, swept) in [(-1, 0), (0, 1), (1, 0)] {
            let now = expires_at + chrono::TimeDelta::seconds(late);
            assert_eq!(views.sweep(now).await.unwrap(), swept, "{late} s late");
        }
    }

    #[tokio::test]
    async fn rows_and_position_are_there_when_the_file_is_opened_again() {
        let (views, folder) = views();
        let asset = Story::begin("main", 1).asset();
        views.put(&asset).await.unwrap();
        let start = views.load().await.unwrap();
        let there = Position { number: 1, hash: asset.head, ..start };
        assert!(views.advance(&start, &there).await.unwrap());
        drop(views);
        let views = SqliteViews::open(folder.path(), Open::Existing).unwrap();
        assert_eq!(views.get(&asset.key).await.unwrap(), Some(asset));
        assert_eq!(views.load().await.unwrap(), there);
    }
}
