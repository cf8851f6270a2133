//! Lists from the file, including rows that another program wrote.

use std::cmp::Reverse;

use ledger::asset::AssetStatus;
use ledger::id::Tenant;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::generations::stored;
use super::statements::SQL;
use projections::generations::Generation;
use projections::row;
use projections::views::{ListQuery, ListedRow};

/// States unknown to this program that a list reads. Only a newer program or a manual change writes
/// any.
const UNKNOWN: usize = 16;

/// Sorts after every asset id: these consist of lower-case hex digits and hyphens.
const AFTER_ALL: &str = "~";

/// The next state of rows in the index after a given one.
const NEXT_SHOWN: &str = "SELECT shown FROM assets INDEXED BY assets_by_state \
    WHERE generation = ?1 AND pk = ?2 AND shown > ?3 ORDER BY shown LIMIT 1";

/// The statement of a list: of rows in any state, or in one.
pub(super) fn statement(of_state: bool) -> String {
    // The index is named, because the planner would otherwise walk the table with all tombstones.
    let (index, shown) =
        if of_state { ("assets_by_state", "AND shown = ?4") } else { ("assets_listed", "") };
    // Without a limit: the reader decides how many of the rows belong to the list.
    format!(
        "{} INDEXED BY {index} WHERE generation = ?1 AND pk = ?2 AND sk < ?3 \
         AND state <> 'PURGED' {shown} ORDER BY sk DESC",
        SQL.select
    )
}

/// The newest rows that `query` selects, and one more.
pub(super) fn rows(
    file: &Connection,
    of: Generation,
    query: &ListQuery,
) -> rusqlite::Result<Vec<ListedRow>> {
    let Some(state) = query.state else { return shown(file, of, query, None) };
    let mut rows = shown(file, of, query, Some(state.shown().to_owned().into()))?;
    // A row whose state is unknown may be in any.
    for unknown in unknown(file, of, &query.tenant)? {
        rows.extend(shown(file, of, query, Some(unknown))?);
    }
    rows.sort_by_key(|row| Reverse(row.id()));
    Ok(rows)
}

/// The newest rows of one state, and one more.
fn shown(
    file: &Connection,
    of: Generation,
    query: &ListQuery,
    shown: Option<Value>,
) -> rusqlite::Result<Vec<ListedRow>> {
    let after = query.after.map_or_else(|| AFTER_ALL.to_owned(), |after| after.to_string());
    let bound = [of.number().into(), query.tenant.to_string().into(), after.into()];
    let mut select = file.prepare_cached(&statement(shown.is_some()))?;
    let mut found = select.query(params_from_iter(bound.into_iter().chain(shown)))?;
    let mut rows = Vec::new();
    // A row of no asset is not counted: otherwise a page of such rows would end the list.
    while rows.len() <= query.limit
        && let Some(row) = found.next()?
    {
        rows.extend(ListedRow::found(stored(&query.tenant, row)?));
    }
    Ok(rows)
}

/// The states of rows that this program does not know, each found by one index lookup.
fn unknown(file: &Connection, of: Generation, tenant: &Tenant) -> rusqlite::Result<Vec<Value>> {
    let known = row::STATES.map(|it: AssetStatus| Value::Text(it.shown().to_owned()));
    let mut select = file.prepare_cached(NEXT_SHOWN)?;
    let mut last = Value::Text(String::new());
    let mut unknown = vec![last.clone()]; // sorts before everything
    while unknown.len() < UNKNOWN {
        let next = select.query_row(params![of.number(), tenant.as_str(), last], |row| row.get(0));
        let Some(next) = next.optional()? else { break };
        if !known.contains(&next) {
            unknown.push(Value::clone(&next));
        }
        last = next;
    }
    Ok(unknown)
}
