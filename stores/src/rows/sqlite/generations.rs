//! Generations of rows in the one file, and all rows of each.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::error::StoreErrorKind;
use ledger::id::{Key, Tenant};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encoded::TEXTS;
use super::statements::Statements;
use super::{SqliteViews, columns};
use projections::generations::{Generation, GenerationList, Generations, ReplayProgress};
use projections::row::{ColumnTable, Row};
use projections::rows::{RowPage, Rows, StoredRow, UnreadPage, UnreadRow};
use projections::totals::{StoredTotals, Totals};
use projections::views::PutOutcome;

/// Rows of one page: some 300 KB.
const PAGE: usize = 1_000;
/// Rows of a page that are not read yet. Their columns are small enough to be allocated again and
/// again without new memory from the system.
const UNREAD_PAGE: usize = 250;
/// Rows removed in one transaction: few enough that waiting commands are hardly delayed.
const REMOVED: usize = 2_000;
/// The note with the list of generations.
const LIST: &str = "generations";
/// The note with the progress of a replay.
const PROGRESS: &str = "replay";

const REMOVE: &str = "DELETE FROM assets WHERE (generation, pk, sk) IN \
    (SELECT generation, pk, sk FROM assets WHERE generation = ?1 LIMIT ?2)";
const BEGIN: &str = "INSERT INTO notes (name, body) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const TOTALS: &str = "SELECT name, body FROM notes WHERE name >= ?1 AND name < ?2";
const REMOVE_TOTALS: &str = "DELETE FROM notes WHERE name >= ?1 AND name < ?2";
const PUT_TOTALS: &str = "INSERT INTO notes (name, body) VALUES (?1, ?2) \
    ON CONFLICT (name) DO UPDATE SET body = excluded.body WHERE NOT json_valid(notes.body) \
    OR CAST(coalesce(json_extract(notes.body, '$.revision'), 0) AS INTEGER) < ?3";
const REPLACE: &str = "UPDATE notes SET body = ?2 WHERE name = ?1 AND body = ?3";

#[async_trait]
impl Generations for SqliteViews {
    async fn generations(&self) -> Result<GenerationList, StoreError> {
        Ok(self.database.read(|file| note(file, LIST)).await?.unwrap_or_default())
    }

    async fn replace(
        &self,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> Result<bool, StoreError> {
        let (before, body) = (text(seen)?, text(list)?);
        let (tables, seen, list) = (self.tables.clone(), seen.clone(), list.clone());
        self.database
            .write(move |file| {
                let new = seen == GenerationList::default();
                let replaced = new && write(file, BEGIN, params![LIST, body])?
                    || write(file, REPLACE, params![LIST, body, before])?;
                if replaced {
                    tables.follow(file, &seen, &list)?;
                }
                Ok(replaced)
            })
            .await
    }

    async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError> {
        self.database.read(|file| note(file, PROGRESS)).await
    }

    async fn save(
        &self,
        seen: Option<&ReplayProgress>,
        to: &ReplayProgress,
    ) -> Result<bool, StoreError> {
        let (body, seen) = (text(to)?, seen.map(text).transpose()?);
        let save = move |file: &Connection| match seen {
            None => write(file, BEGIN, params![PROGRESS, body]),
            Some(seen) => write(file, REPLACE, params![PROGRESS, body, seen]),
        };
        self.database.write(save).await
    }

    fn rows(&self, of: Generation) -> Arc<dyn Rows> {
        Arc::new(Self { generation: of, ..self.clone() })
    }

    async fn remove(&self, generation: Generation) -> Result<u64, StoreError> {
        let mut removed = self.drop_table(generation).await?;
        loop {
            let remove = move |file: &Connection| {
                file.prepare_cached(REMOVE)?.execute(params![generation.number(), REMOVED])
            };
            let some = self.database.write(remove).await?;
            removed += some as u64;
            if some < REMOVED {
                break;
            }
        }
        let remove = move |file: &Connection| {
            file.prepare_cached(REMOVE_TOTALS)?.execute(between(generation, None))
        };
        self.database.write(remove).await?;
        Ok(removed)
    }
}

#[async_trait]
impl Rows for SqliteViews {
    fn parts(&self) -> u8 {
        1
    }

    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError> {
        let generation = self.generation;
        let read = self.on_rows(move |file, sql| {
            let mut select = file.prepare_cached(&sql.tenants)?;
            // A name that is not a valid tenant belongs to no asset's row.
            let names = select.query_map([generation.number()], |row| {
                Ok(row.get_ref(0)?.as_str().ok().and_then(|name| name.parse().ok()))
            })?;
            names.filter_map(Result::transpose).collect()
        });
        self.database.read(read).await
    }

    async fn page(&self, of: &Tenant, _: u8, after: Option<&str>) -> Result<RowPage, StoreError> {
        let (generation, tenant) = (self.generation, of.clone());
        let after = after.unwrap_or_default().to_owned();
        let read = self.on_rows(move |file, sql| {
            let bound = params![generation.number(), tenant.as_str(), after, PAGE];
            let mut select = file.prepare_cached(&sql.page)?;
            let rows = select.query_map(bound, |row| stored(&tenant, row))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let rows = self.database.read(read).await?;
        let next = rows.last().filter(|_| rows.len() == PAGE).map(|last| last.id.clone());
        Ok(RowPage { rows, next })
    }

    async fn unread_page(
        &self,
        of: &Tenant,
        _: u8,
        after: Option<&str>,
    ) -> Result<UnreadPage, StoreError> {
        let (generation, tenant) = (self.generation, of.to_string());
        let after = after.unwrap_or_default().to_owned();
        let read = self.on_rows(move |file, sql| {
            let bound = params![generation.number(), tenant, after, UNREAD_PAGE];
            unread(file.prepare_cached(&sql.page)?.query(bound)?)
        });
        let rows = self.database.read(read).await?;
        let next = rows.last().filter(|_| rows.len() == UNREAD_PAGE).map(|last| last.id.clone());
        Ok(UnreadPage { rows, next })
    }

    fn part_of(&self, _: &Key) -> u8 {
        0
    }

    async fn erase(&self, of: &Tenant, _: u8, id: &str) -> Result<(), StoreError> {
        let (generation, pk, sk) = (self.generation, of.to_string(), id.to_owned());
        let erase = move |file: &Connection, sql: &Statements| {
            file.prepare_cached(&sql.erase)?.execute(params![generation.number(), pk, sk])
        };
        self.database.write(self.on_rows(erase)).await.map(drop)
    }

    async fn totals(&self, tenant: Option<&Tenant>) -> Result<StoredTotals, StoreError> {
        let (of, names) = (self.generation, between(self.generation, tenant));
        let read = move |file: &Connection| {
            let mut select = file.prepare_cached(TOTALS)?;
            let notes = select.query_map(names, |row| row.try_into())?;
            notes.collect::<rusqlite::Result<Vec<(String, String)>>>()
        };
        let notes = self.database.read(read).await?.into_iter();
        let row = |(name, body): (String, String)| {
            Some((Totals::tenant(of, &name)?, Totals::of_text(&body)))
        };
        Ok(notes.filter_map(row).collect())
    }

    async fn put_totals(&self, tenant: &Tenant, row: &Totals) -> Result<PutOutcome, StoreError> {
        let (name, body, revision) =
            (Totals::name(self.generation, tenant), row.text()?, row.revision);
        let revision = i64::try_from(revision).unwrap_or(i64::MAX);
        let put = move |file: &Connection| write(file, PUT_TOTALS, params![name, body, revision]);
        let written = self.database.write(put).await?;
        Ok(if written { PutOutcome::Written } else { PutOutcome::Stale })
    }
}

impl SqliteViews {
    /// Drops the table of a generation, and returns the number of its rows.
    async fn drop_table(&self, generation: Generation) -> Result<u64, StoreError> {
        let tables = self.tables.clone();
        let rows = self.database.read(move |file| tables.count(file, generation)).await?;
        loop {
            let tables = self.tables.clone();
            let drop = move |file: &Connection| tables.drop_next(file, generation);
            if !self.database.write(drop).await? {
                return Ok(rows);
            }
        }
    }
}

/// The names of the notes of totals, from the first to before the second.
fn between(of: Generation, tenant: Option<&Tenant>) -> [String; 2] {
    let first = match tenant {
        Some(tenant) => Totals::name(of, tenant),
        None => Totals::names(of),
    };
    let end = format!("{}$", first.trim_end_matches('#')); // '$' follows '#'
    [first, end]
}

/// A row as stored: another program may have written to the file.
pub(super) fn stored(tenant: &Tenant, row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredRow> {
    Ok(StoredRow::of_columns(tenant, id(row)?, columns(row, 1)))
}

/// A row's key within its tenant.
fn id(row: &rusqlite::Row<'_>) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned())
}

/// The rows of a page, unread.
fn unread(mut rows: rusqlite::Rows<'_>) -> rusqlite::Result<Vec<UnreadRow>> {
    let mut ids = Vec::with_capacity(UNREAD_PAGE);
    let columns_of_page = UNREAD_PAGE * Row::ATTRIBUTES.len();
    let mut table = ColumnTable::with_capacity(columns_of_page, UNREAD_PAGE * TEXTS);
    while let Some(row) = rows.next()? {
        ids.push(id(row)?);
        for column in columns(row, 1).take(Row::ATTRIBUTES.len()) {
            table.push(&column);
        }
    }
    let table = Arc::new(table);
    let of = |(first, id)| UnreadRow::of_columns(id, table.clone(), first);
    Ok((0..).step_by(Row::ATTRIBUTES.len()).zip(ids).map(of).collect())
}

fn note<T: DeserializeOwned>(file: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    let mut select = file.prepare_cached("SELECT body FROM notes WHERE name = ?1")?;
    let body: Option<String> = select.query_row([name], |row| row.get(0)).optional()?;
    body.map(|body| serde_json::from_str(&body).map_err(unfit)).transpose()
}

fn write(file: &Connection, note: &str, bound: impl rusqlite::Params) -> rusqlite::Result<bool> {
    Ok(file.prepare_cached(note)?.execute(bound)? == 1)
}

fn text(note: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(note).map_err(|e| {
        StoreError::caused(StoreErrorKind::Corrupt, "views: a note cannot be written", e)
    })
}

fn unfit(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}
