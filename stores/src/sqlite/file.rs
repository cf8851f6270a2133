//! Opens files: connections with their settings, and the form of the file.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::Schema;
use ledger::error::{StoreError, StoreErrorKind};

/// Pages in the write-ahead log before they are moved to the file: 16 MiB, since each move waits
/// for the disk twice.
const CHECKPOINT: u32 = 4_096;
/// Bytes of the log that stay on disk for reuse. Beyond them the writer waits for readers to
/// release the log. Readers without a pause would let it grow without limit.
pub(super) const LOG: u32 = 64 << 20;
/// How long the writer waits for readers.
pub(super) const READERS_BUSY: Duration = Duration::from_secs(1);
/// How long one process waits for another that holds the file's write lock.
const BUSY: Duration = Duration::from_secs(5);
/// The pause between attempts where SQLite does not wait by itself.
const PAUSE: Duration = Duration::from_millis(5);

/// A connection that may write. With `create`, a missing file is created.
pub(super) fn connect(path: &Path, create: bool) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
        // Readable by the owner only, in any folder; the files beside it get the same mode. If this
        // fails, SQLite reports the error.
        let _ = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path);
    }
    let connection = Connection::open_with_flags(path, flags)?;
    be_patient(&connection)?;
    Ok(connection)
}

/// Lets a connection wait for the holder of the file's lock.
pub(super) fn be_patient(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)
}

/// Moves the log to the file and empties it, unless a reader still uses it.
pub(super) fn empty_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(READERS_BUSY)?;
    let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    connection.busy_timeout(BUSY)?;
    emptied.map(|blocked: i32| blocked == 0)
}

/// Settings of a connection to a file in use.
pub(super) fn tune(connection: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    write_ahead(connection)?;
    let synchronous = if schema.durable { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    connection.pragma_update(None, "journal_size_limit", LOG)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    keep_plans(connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Plans a statement once, whatever is bound to it. Otherwise SQLite prepares some statements again
/// for each new value, such as those of the pages of a scan,
/// or with a parameter in LIMIT.
pub(super) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Sets the journal mode. SQLite does not wait here for another process that is setting it on the
/// same new file, so this function waits.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let mut left = BUSY.as_millis() / PAUSE.as_millis();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(e) if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && left > 0 => {
                left -= 1;
                std::thread::sleep(PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// The number of the schema's steps that the file has. This only reads; a file that is foreign, or
/// newer than this program, is an error.
pub(super) fn steps_applied(
    file: &Connection,
    path: &Path,
    schema: &Schema,
) -> Result<usize, StoreError> {
    let failed = |error| describe(schema.name, path, error);
    let refuse = |why: String| {
        Err(StoreError::new(StoreErrorKind::Misconfigured, format!("{}: {why}", path.display())))
    };
    // One statement, so that all three values are of the same moment.
    let form = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) \
                FROM pragma_application_id, pragma_user_version";
    let form = file.query_row(form, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let (owner, applied, objects): (i32, i32, i32) = form.map_err(failed)?;
    if owner != schema.application_id && (owner, applied, objects) != (0, 0, 0) {
        return refuse(format!("is not a {} file of asset-ledger; it was left alone", schema.name));
    }
    let known = schema.steps.len();
    match usize::try_from(applied) {
        Ok(applied) if applied <= known => Ok(applied),
        _ => refuse(format!(
            "was written by a newer asset-ledger (form {applied}, this program knows {known}); \
             run that version, or a later one",
        )),
    }
}

/// Migrates the file to the form of this program.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    schema: &Schema,
) -> Result<(), StoreError> {
    let failed = |error| describe(schema.name, path, error);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Checked again: another process may have been faster.
    let applied = steps_applied(&transaction, path, schema)?;
    for step in &schema.steps[applied..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "application_id", schema.application_id)
        .and_then(|()| transaction.pragma_update(None, "user_version", schema.steps.len()))
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// An error with the name of its file.
pub(super) fn describe(name: &str, path: &Path, error: rusqlite::Error) -> StoreError {
    translate(format!("{name} ({})", path.display()), error)
}

/// The kind of the error.
pub(super) fn translate(context: String, error: rusqlite::Error) -> StoreError {
    use ErrorCode as C;
    let kind = match error.sqlite_error_code() {
        Some(C::PermissionDenied | C::ReadOnly | C::CannotOpen) => StoreErrorKind::Misconfigured,
        // Without a code: a value is not of the declared type of its column.
        Some(C::DatabaseCorrupt | C::NotADatabase) | None => StoreErrorKind::Corrupt,
        Some(_) => StoreErrorKind::Unavailable,
    };
    StoreError::caused(kind, context, error)
}
