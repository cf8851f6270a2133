//! The SQL of the local bucket: the row of a version, and every statement for it. The functions run
//! in a transaction or on a reading connection of their caller.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use stores::sqlite::Schema;

/// The schema of `objects.sqlite`.
pub(super) const SCHEMA: Schema = Schema {
    name: "objects",
    application_id: 0x414C_4F42, // "ALOB"
    steps: &[
        include_str!("../../migrations/sqlite/objects.1.sql"),
        include_str!("../../migrations/sqlite/objects.2.sql"),
    ],
    durable: true,
};

/// One version of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) change: i64,
    pub(super) key: String,
    pub(super) id: String,
    pub(super) at: DateTime<Utc>,
    /// `None` for a delete marker.
    pub(super) content: Option<Content>,
}

/// The content of a version that is not a delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
    pub(super) md5: [u8; 16],
    pub(super) headers: Headers,
}

impl Content {
    /// The entity tag, without quotes: the MD5, like S3's for uploads in one piece.
    pub(super) fn etag(&self) -> String {
        hex::encode(self.md5)
    }
}

/// The uploader's metadata, returned unchanged with the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Headers {
    pub(super) content_type: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

const COLUMNS: &str = "change, key, version_id, at, size, sha256, md5, headers";

/// Takes the next change number.
pub(super) fn next_change(tx: &Connection) -> rusqlite::Result<i64> {
    tx.prepare_cached("UPDATE change SET last = last + 1 RETURNING last")?
        .query_row([], |row| row.get(0))
}

/// The current version of `key`, which may be a delete marker.
pub(super) fn current(db: &Connection, key: &str) -> rusqlite::Result<Option<Version>> {
    let sql = format!("SELECT {COLUMNS} FROM versions WHERE key = ?1 ORDER BY change DESC LIMIT 1");
    db.prepare_cached(&sql)?.query_row([key], read).optional()
}

/// One version by its id.
pub(super) fn named(db: &Connection, key: &str, id: &str) -> rusqlite::Result<Option<Version>> {
    let sql = format!("SELECT {COLUMNS} FROM versions WHERE version_id = ?1 AND key = ?2");
    db.prepare_cached(&sql)?.query_row([id, key], read).optional()
}

/// Those of `ids` that are not the id of any version with bytes.
pub(super) fn strays(db: &Connection, ids: Vec<String>) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT 1 FROM versions WHERE version_id = ?1 AND size IS NOT NULL";
    let mut statement = db.prepare_cached(sql)?;
    let mut strays = Vec::new();
    for id in ids {
        if !statement.exists([&id])? {
            strays.push(id);
        }
    }
    Ok(strays)
}

pub(super) fn insert(tx: &Connection, version: &Version) -> rusqlite::Result<()> {
    let content = version.content.as_ref();
    let headers = content.map(|c| serde_json::to_string(&c.headers)).transpose();
    let headers = headers.map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    tx.prepare_cached(
        "INSERT INTO versions (change, key, version_id, at, size, sha256, md5, headers)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        version.change,
        version.key,
        version.id,
        version.at.timestamp_micros(),
        content.map(|c| c.size),
        content.map(|c| c.sha256),
        content.map(|c| c.md5),
        headers,
    ])?;
    Ok(())
}

pub(super) fn remove(tx: &Connection, version: &Version) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM versions WHERE change = ?1")?.execute([version.change])?;
    Ok(())
}

/// The start of a page of versions: after this key, or after this change of this key.
#[derive(Debug, Clone, Default)]
pub(super) struct VersionCursor {
    pub(super) key: String,
    /// `None`: after every version of the key.
    pub(super) change: Option<i64>,
}

/// Versions whose key starts with `prefix`, by key and then newest first, and whether each is its
/// key's current one. At most `limit`.
pub(super) fn list(
    db: &Connection,
    prefix: &str,
    after: &VersionCursor,
    limit: usize,
) -> rusqlite::Result<Vec<(Version, bool)>> {
    // Reads along the index while the prefix matches, without an upper bound.
    let sql = format!(
        "SELECT {COLUMNS}, change = (SELECT max(n.change) FROM versions n WHERE n.key = v.key)
         FROM versions v WHERE key >= max(?1, ?2) AND (key > ?2 OR change < ?3)
         ORDER BY key, change DESC"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let from = after.change.unwrap_or(0);
    let mut rows = statement.query(params![prefix, after.key, from])?;
    let mut page = Vec::new();
    while page.len() < limit
        && let Some(row) = rows.next()?
    {
        let version = read(row)?;
        if !version.key.starts_with(prefix) {
            break;
        }
        page.push((version, row.get(8)?));
    }
    Ok(page)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Version> {
    let at = DateTime::from_timestamp_micros(row.get(3)?)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(3, row.get(3)?))?;
    let size: Option<u64> = row.get(4)?;
    let content = size.map(|size| content(row, size)).transpose()?;
    Ok(Version { change: row.get(0)?, key: row.get(1)?, id: row.get(2)?, at, content })
}

fn content(row: &Row<'_>, size: u64) -> rusqlite::Result<Content> {
    let headers = serde_json::from_str(row.get_ref(7)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(7, Type::Text, e.into()))?;
    Ok(Content { size, sha256: row.get(5)?, md5: row.get(6)?, headers })
}
