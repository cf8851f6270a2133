//! How a file is opened: connections with their settings, and the form that the file has.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::Schema;
use ledger::error::{StoreError, StoreErrorKind};

/// Pages in the write-ahead log before they are moved to the file: 16 MiB, since each move waits
/// for the disk twice.
const CHECKPOINT: u32 = 4_096;
/// Bytes of the log that stay on disk to be written over, and beyond which the writer waits for
/// readers to let go of it. Readers that never pause would let it grow without end.
pub(super) const LOG: u32 = 64 << 20;
/// How long it waits for them.
pub(super) const READERS_BUSY: Duration = Duration::from_secs(1);
/// How long one process waits for another that holds the file's write lock.
const BUSY: Duration = Duration::from_secs(5);
/// How long it pauses in between where SQLite does not wait by itself.
const PAUSE: Duration = Duration::from_millis(5);

/// A connection that may write. With `create`, a file that is missing is made.
pub(super) fn connect(path: &Path, create: bool) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
        // Made for its owner alone, whatever folder it is in; the files beside it follow. What
        // cannot be made is told by SQLite.
        let _ = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path);
    }
    let connection = Connection::open_with_flags(path, flags)?;
    be_patient(&connection)?;
    Ok(connection)
}

/// Lets a connection wait for whoever holds the file's lock.
pub(super) fn be_patient(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)
}

/// Moves the log to the file and empties it, unless somebody reads on in it.
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
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Sets the journal mode. SQLite does not wait here for another process that is setting it on the
/// same new file, so that is done by hand.
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

/// How many of the schema's steps the file has had. It only reads; a file that is foreign, or
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
    // One statement, so that all three are of the same moment.
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

/// Brings the file to the form that this program knows.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    schema: &Schema,
) -> Result<(), StoreError> {
    let failed = |error| describe(schema.name, path, error);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Asked again: another process may have been faster.
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

/// A failure with the file that it is of.
pub(super) fn describe(name: &str, path: &Path, error: rusqlite::Error) -> StoreError {
    translate(format!("{name} ({})", path.display()), error)
}

/// The kind that a caller can act on.
pub(super) fn translate(context: String, error: rusqlite::Error) -> StoreError {
    use ErrorCode as C;
    let kind = match error.sqlite_error_code() {
        Some(C::PermissionDenied | C::ReadOnly | C::CannotOpen) => StoreErrorKind::Misconfigured,
        // No code at all: a value that is not of the type its column was declared with.
        Some(C::DatabaseCorrupt | C::NotADatabase) | None => StoreErrorKind::Corrupt,
        Some(_) => StoreErrorKind::Unavailable,
    };
    StoreError::caused(kind, context, error)
}
