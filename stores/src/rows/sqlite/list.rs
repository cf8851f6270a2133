//! Lists from the file, including rows that another program wrote.

use std::cmp::Reverse;

use ledger::asset::AssetStatus;
use ledger::id::Tenant;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::generations::stored;
use super::statements::Statements;
use projections::generations::Generation;
use projections::row;
use projections::views::{ListQuery, ListedRow};

/// States unknown to this program that a list reads. Only a newer program or a manual change writes
/// any.
const UNKNOWN: usize = 16;

/// The states that assets are listed in.
const LISTED: [AssetStatus; 4] =
    [AssetStatus::Created, AssetStatus::Received, AssetStatus::Uploaded, AssetStatus::Deleted];

/// Sorts after every asset id: these consist of lower-case hex digits and hyphens.
const AFTER_ALL: &str = "~";

/// The rows that one statement reads: each part is a stretch of one index.
#[derive(Clone)]
pub(super) enum ListPart {
    /// All that are listed.
    All,
    /// Those that are shown in this state.
    InState(Value),
    /// Those of this owner, or of none, that are shown in this state.
    OfOwner(Value, Value),
}

impl ListPart {
    /// The statement that reads the part, newest first.
    pub(super) fn statement(&self, sql: &Statements) -> String {
        // The index is named, because the planner would otherwise walk the table with all
        // tombstones.
        let (index, of) = match self {
            Self::All => ("assets_listed", ""),
            Self::InState(_) => ("assets_by_state", "AND shown = ?4"),
            Self::OfOwner(..) => ("assets_by_owner", "AND shown = ?4 AND owner IS ?5"),
        };
        let Statements { select, suffix, .. } = sql;
        // Without a limit: the reader decides how many of the rows belong to the list.
        format!(
            "{select} INDEXED BY {index}{suffix} WHERE generation = ?1 AND pk = ?2 AND sk < ?3 \
             AND state <> 'PURGED' {of} ORDER BY sk DESC"
        )
    }

    fn bound(&self) -> Vec<Value> {
        match self {
            Self::All => Vec::new(),
            Self::InState(state) => vec![state.clone()],
            Self::OfOwner(owner, state) => vec![state.clone(), owner.clone()],
        }
    }
}

/// The newest rows that `query` selects, and one more.
pub(super) fn rows(
    file: &Connection,
    sql: &Statements,
    of: Generation,
    query: &ListQuery,
) -> rusqlite::Result<Vec<ListedRow>> {
    let mut rows = Vec::new();
    for part in parts(file, sql, of, query)? {
        rows.extend(newest(file, sql, of, query, &part)?);
    }
    rows.sort_by_key(|row| Reverse(row.id()));
    Ok(rows)
}

/// The parts of the table that have the rows of the list.
fn parts(
    file: &Connection,
    sql: &Statements,
    of: Generation,
    query: &ListQuery,
) -> rusqlite::Result<Vec<ListPart>> {
    let named = |state: AssetStatus| Value::Text(state.shown().to_owned());
    let mut states = match (query.state, &query.owner) {
        (None, None) => return Ok(vec![ListPart::All]),
        (Some(state), _) => vec![named(state)],
        (None, Some(_)) => LISTED.map(named).to_vec(),
    };
    // A row whose state is unknown may be in any.
    states.extend(unknown(file, sql, of, &query.tenant)?);
    let Some(owner) = &query.owner else {
        return Ok(states.into_iter().map(ListPart::InState).collect());
    };
    let of_owner = |owner: Value| {
        states.iter().map(move |state| ListPart::OfOwner(owner.clone(), state.clone()))
    };
    // A row without an owner may be anyone's.
    Ok(of_owner(Value::Text(owner.clone())).chain(of_owner(Value::Null)).collect())
}

/// The newest rows of one part, and one more than the page has.
fn newest(
    file: &Connection,
    sql: &Statements,
    of: Generation,
    query: &ListQuery,
    part: &ListPart,
) -> rusqlite::Result<Vec<ListedRow>> {
    let after = query.after.map_or_else(|| AFTER_ALL.to_owned(), |after| after.to_string());
    let bound = [of.number().into(), query.tenant.to_string().into(), after.into()];
    let mut select = file.prepare_cached(&part.statement(sql))?;
    let mut found = select.query(params_from_iter(bound.into_iter().chain(part.bound())))?;
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
fn unknown(
    file: &Connection,
    sql: &Statements,
    of: Generation,
    tenant: &Tenant,
) -> rusqlite::Result<Vec<Value>> {
    let known = row::STATES.map(|it: AssetStatus| Value::Text(it.shown().to_owned()));
    let mut select = file.prepare_cached(&sql.next_shown)?;
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
