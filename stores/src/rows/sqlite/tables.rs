//! The table that holds the rows of a generation.
//!
//! Up to the generation that was the last one when the file took its fourth step, all rows are in
//! one table. Each later generation has its own. It is made in the transaction that announces the
//! generation, and dropped when the generation is removed, which takes a small part of the time of
//! deleting the rows. A generation without a table of its own has its rows in the shared one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use projections::generations::{Generation, GenerationList};
use projections::row::Row;
use rusqlite::{Connection, params};

use super::statements::{SHARED, SQL, Statements};

/// The table of a generation, and its indexes.
const TABLE: &str = include_str!("../../../../migrations/sqlite/views.generation.sql");
/// Names of indexes, without the number of the generation.
const INDEX_NAMES: [&str; 4] =
    ["assets_listed", "assets_by_state", "assets_expiring", "assets_by_owner"];
/// The last generation whose rows are in the shared table.
const SHARED_UNTIL: &str = "SELECT CAST(body AS INTEGER) FROM notes WHERE name = 'shared'";
const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2)";

/// The tables of one file.
#[derive(Debug, Default)]
pub(super) struct RowTables {
    shared_until: OnceLock<u32>,
    own: Mutex<HashMap<Generation, Arc<Statements>>>,
}

impl RowTables {
    /// Runs statements on the table that holds the rows of `generation`. They are run again, on the
    /// shared table, if the generation has no table of its own.
    pub(super) fn run<T>(
        &self,
        file: &Connection,
        generation: Generation,
        run: impl Fn(&Statements) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        if self.is_shared(file, generation)? {
            return run(&SQL);
        }
        match run(&self.own(generation)) {
            // Nothing was done: the first statement could not be prepared.
            Err(_) if !exists(file, "table", &name(generation))? => run(&SQL),
            outcome => outcome,
        }
    }

    /// Makes the table of a generation that `list` announces, in the transaction that replaces
    /// `seen`.
    pub(super) fn follow(
        &self,
        file: &Connection,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> rusqlite::Result<()> {
        let building = |list: &GenerationList| list.building.as_ref().map(|it| it.generation);
        match building(list).filter(|_| building(seen) != building(list)) {
            Some(new) => self.make(file, new),
            None => Ok(()),
        }
    }

    /// Makes a table. Rows that were written before are moved there.
    fn make(&self, file: &Connection, new: Generation) -> rusqlite::Result<()> {
        if self.is_shared(file, new)? {
            return Ok(());
        }
        file.execute_batch(&TABLE.replace("{n}", &new.to_string()))?;
        let (columns, n) = (Row::ATTRIBUTES.join(", "), new.number());
        let table = name(new);
        file.execute(
            &format!(
                "INSERT INTO {table} (pk, sk, {columns}) \
                 SELECT pk, sk, {columns} FROM {SHARED} WHERE generation = ?1"
            ),
            [n],
        )?;
        file.execute(&format!("DELETE FROM {SHARED} WHERE generation = ?1"), [n]).map(drop)
    }

    /// Drops the next index of a table of its own, or the table after them; returns whether there
    /// was anything to drop. Each is a transaction: the file stays locked for a shorter time.
    pub(super) fn drop_next(
        &self,
        file: &Connection,
        generation: Generation,
    ) -> rusqlite::Result<bool> {
        if self.is_shared(file, generation)? {
            return Ok(false);
        }
        for index in INDEX_NAMES.map(|name| format!("{name}_{generation}")) {
            if exists(file, "index", &index)? {
                return file.execute_batch(&format!("DROP INDEX {index}")).map(|()| true);
            }
        }
        let table = name(generation);
        let there = exists(file, "table", &table)?;
        if there {
            file.execute_batch(&format!("DROP TABLE {table}"))?;
        }
        Ok(there)
    }

    /// The number of rows in a table of its own.
    pub(super) fn count(&self, file: &Connection, generation: Generation) -> rusqlite::Result<u64> {
        let table = name(generation);
        if self.is_shared(file, generation)? || !exists(file, "table", &table)? {
            return Ok(0);
        }
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
    }

    fn is_shared(&self, file: &Connection, generation: Generation) -> rusqlite::Result<bool> {
        let until = if let Some(until) = self.shared_until.get() {
            *until
        } else {
            let read = file.prepare_cached(SHARED_UNTIL)?.query_row([], |row| row.get(0))?;
            *self.shared_until.get_or_init(|| read)
        };
        Ok(generation.number() <= until)
    }

    fn own(&self, generation: Generation) -> Arc<Statements> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Statements::of(Some(generation)));
        own.entry(generation).or_insert_with(made).clone()
    }
}

fn name(generation: Generation) -> String {
    format!("{SHARED}_{generation}")
}

fn exists(file: &Connection, kind: &str, name: &str) -> rusqlite::Result<bool> {
    file.prepare_cached(EXISTS)?.query_row(params![kind, name], |row| row.get(0))
}
