//! The statements of the read table, for each table that holds rows.

use std::sync::LazyLock;

use projections::generations::Generation;
use projections::row::Row;

pub(super) const LET_GO: &str = "DELETE FROM parked \
    WHERE pk = ?1 AND sk = ?2 AND version <= ?3 \
    AND contradicted <= ?4";

/// The table of the generations that have none of their own.
pub(super) const SHARED: &str = "assets";

/// The statements of the shared table.
pub(super) static SQL: LazyLock<Statements> = LazyLock::new(|| Statements::of(None));

/// The statements that read or write one table of rows. Their first parameter is the generation,
/// also for a table of one generation, so that both are bound in the same way.
#[derive(Debug)]
pub(super) struct Statements {
    /// The end of the names of the table's indexes.
    pub(super) suffix: String,
    pub(super) get: String,
    pub(super) put: String,
    pub(super) page: String,
    /// The part before the conditions of a statement that reads whole rows.
    pub(super) select: String,
    /// The last event of a row.
    pub(super) claim: String,
    pub(super) park: String,
    pub(super) parked: String,
    /// Unparks assets whose rows have reached the parked version.
    pub(super) void: String,
    /// Tenants, each found by one index lookup.
    pub(super) tenants: String,
    pub(super) sweep: String,
    pub(super) erase: String,
    /// The next state of rows in the index after a given one.
    pub(super) next_shown: String,
}

impl Statements {
    /// Those of a generation's own table, or of the shared one.
    pub(super) fn of(own: Option<Generation>) -> Self {
        let suffix = own.map(|own| format!("_{own}")).unwrap_or_default();
        let table = format!("{SHARED}{suffix}");
        let names = Row::ATTRIBUTES.join(", ");
        let each = |form: fn(usize, &&str) -> String| {
            Row::ATTRIBUTES.iter().enumerate().map(|(i, name)| form(i, name)).collect::<Vec<_>>()
        };
        let marks = each(|i, _| format!("?{}", i + 4)).join(", ");
        let newer = each(|_, name| format!("{name} = excluded.{name}")).join(", ");
        let select = format!("SELECT sk, {names} FROM {table}");
        let of = "generation = ?1 AND pk = ?2";
        // The generation of an own table is a constant, which is not inserted.
        let (column, mark) =
            if own.is_none() { ("generation, ", "?1, ") } else { Default::default() };
        Self {
            get: format!("{select} WHERE {of} AND sk = ?3"),
            put: format!(
                "INSERT INTO {table} ({column}pk, sk, {names}) VALUES ({mark}?2, ?3, {marks}) \
                 ON CONFLICT ({column}pk, sk) DO UPDATE SET {newer} \
                 WHERE excluded.version > {table}.version"
            ),
            page: format!("{select} WHERE {of} AND sk > ?3 ORDER BY sk LIMIT ?4"),
            claim: format!("SELECT version, head FROM {table} WHERE {of} AND sk = ?3"),
            park: park(&table),
            parked: parked(&table),
            void: format!(
                "DELETE FROM parked WHERE NOT contradicted AND EXISTS (SELECT 1 FROM {table} \
                 WHERE generation = ?1 AND pk = parked.pk AND sk = parked.sk \
                 AND version >= parked.version)"
            ),
            tenants: tenants(&table),
            sweep: format!("DELETE FROM {table} WHERE generation = ?1 AND expires_at <= ?2"),
            erase: format!("DELETE FROM {table} WHERE {of} AND sk = ?3"),
            next_shown: format!(
                "SELECT shown FROM {table} INDEXED BY assets_by_state{suffix} \
                 WHERE {of} AND shown > ?3 ORDER BY shown LIMIT 1"
            ),
            suffix,
            select,
        }
    }
}

fn park(table: &str) -> String {
    format!(
        "INSERT INTO parked (pk, sk, version, error, at, contradicted) \
         SELECT ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?7 OR NOT EXISTS (SELECT 1 FROM {table} \
             WHERE generation = ?1 AND pk = ?2 AND sk = ?3 AND version >= ?4) \
         ON CONFLICT (pk, sk) DO UPDATE SET version = excluded.version, error = excluded.error, \
             at = excluded.at, contradicted = excluded.contradicted \
         WHERE (excluded.contradicted, excluded.version) >= (parked.contradicted, parked.version)"
    )
}

fn parked(table: &str) -> String {
    format!(
        "SELECT pk, sk, version, error, at, contradicted \
         FROM parked WHERE pk = ?2 AND (contradicted OR NOT EXISTS (SELECT 1 FROM {table} \
             WHERE generation = ?1 AND pk = parked.pk AND sk = parked.sk \
             AND version >= parked.version)) \
         ORDER BY at, sk LIMIT ?3"
    )
}

fn tenants(table: &str) -> String {
    format!(
        "WITH RECURSIVE \
         of_rows(pk) AS (SELECT min(pk) FROM {table} WHERE generation = ?1 \
             UNION ALL \
             SELECT (SELECT min(pk) FROM {table} WHERE generation = ?1 AND pk > of_rows.pk) \
             FROM of_rows WHERE pk IS NOT NULL), \
         aside(pk) AS (SELECT min(pk) FROM parked \
             UNION ALL SELECT (SELECT min(pk) FROM parked WHERE pk > aside.pk) \
             FROM aside WHERE pk IS NOT NULL) \
         SELECT pk FROM of_rows WHERE pk IS NOT NULL \
         UNION SELECT pk FROM aside WHERE pk IS NOT NULL"
    )
}
