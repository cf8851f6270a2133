//! The statements of the read table.

use std::sync::LazyLock;

use projections::row::Row;

pub(super) const PARK: &str = "INSERT INTO parked (pk, sk, version, error, at, contradicted) \
    SELECT ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?7 OR NOT EXISTS (SELECT 1 FROM assets \
        WHERE generation = ?1 AND pk = ?2 AND sk = ?3 AND version >= ?4) \
    ON CONFLICT (pk, sk) DO UPDATE SET version = excluded.version, error = excluded.error, \
        at = excluded.at, contradicted = excluded.contradicted \
    WHERE (excluded.contradicted, excluded.version) >= (parked.contradicted, parked.version)";

pub(super) const PARKED: &str = "SELECT pk, sk, version, error, at, contradicted \
    FROM parked WHERE pk = ?2 AND (contradicted OR NOT EXISTS (SELECT 1 FROM assets \
        WHERE generation = ?1 AND pk = parked.pk AND sk = parked.sk \
        AND version >= parked.version)) \
    ORDER BY at, sk LIMIT ?3";

pub(super) const LET_GO: &str = "DELETE FROM parked \
    WHERE pk = ?1 AND sk = ?2 AND version <= ?3 \
    AND contradicted <= ?4";

/// Unparks assets whose rows have reached the parked version.
pub(super) const VOID: &str = "DELETE FROM parked \
    WHERE NOT contradicted AND EXISTS (SELECT 1 FROM assets WHERE generation = ?1 \
        AND pk = parked.pk AND sk = parked.sk AND version >= parked.version)";

/// The last event of a row.
pub(super) const CLAIM: &str =
    "SELECT version, head FROM assets WHERE generation = ?1 AND pk = ?2 AND sk = ?3";

/// Tenants, each found by one index lookup.
pub(super) const TENANTS: &str = "WITH RECURSIVE \
    of_rows(pk) AS (SELECT min(pk) FROM assets WHERE generation = ?1 \
        UNION ALL SELECT (SELECT min(pk) FROM assets WHERE generation = ?1 AND pk > of_rows.pk) \
        FROM of_rows WHERE pk IS NOT NULL), \
    aside(pk) AS (SELECT min(pk) FROM parked \
        UNION ALL SELECT (SELECT min(pk) FROM parked WHERE pk > aside.pk) \
        FROM aside WHERE pk IS NOT NULL) \
    SELECT pk FROM of_rows WHERE pk IS NOT NULL UNION SELECT pk FROM aside WHERE pk IS NOT NULL";

pub(super) const SWEEP: &str = "DELETE FROM assets WHERE generation = ?1 AND expires_at <= ?2";

pub(super) const ERASE: &str = "DELETE FROM assets WHERE generation = ?1 AND pk = ?2 AND sk = ?3";

pub(super) static SQL: LazyLock<Statements> = LazyLock::new(Statements::new);

/// The statements that name every attribute, generated from the one list of attributes.
pub(super) struct Statements {
    pub(super) get: String,
    pub(super) put: String,
    pub(super) page: String,
    /// The part before the conditions of a statement that reads whole rows.
    pub(super) select: String,
}

impl Statements {
    fn new() -> Self {
        let names = Row::ATTRIBUTES.join(", ");
        let each = |form: fn(usize, &&str) -> String| {
            Row::ATTRIBUTES.iter().enumerate().map(|(i, name)| form(i, name)).collect::<Vec<_>>()
        };
        let marks = each(|i, _| format!("?{}", i + 4)).join(", ");
        let newer = each(|_, name| format!("{name} = excluded.{name}")).join(", ");
        let select = format!("SELECT sk, {names} FROM assets");
        let of = "generation = ?1 AND pk = ?2";
        Self {
            get: format!("{select} WHERE {of} AND sk = ?3"),
            put: format!(
                "INSERT INTO assets (generation, pk, sk, {names}) VALUES (?1, ?2, ?3, {marks}) \
                 ON CONFLICT (generation, pk, sk) DO UPDATE SET {newer} \
                 WHERE excluded.version > assets.version"
            ),
            page: format!("{select} WHERE {of} AND sk > ?3 ORDER BY sk LIMIT ?4"),
            select,
        }
    }
}
