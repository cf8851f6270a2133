//! Reads a file so that no byte of it, and of the files beside it, changes: for evidence, also on
//! read-only media.
//!
//! SQLite's own read-only mode is not sufficient: it creates missing `-shm` and `-wal` files, and
//! cannot open a file in WAL mode if it may not create them. So there are three ways:
//!
//! * A process has the file open: read beside it, under SQLite's locks. That process writes anyway.
//! * No process has, and there is no write-ahead log: read the file itself, without locks. Before
//!   each query the file is checked, and the way is chosen anew if it was changed.
//! * No process has, and there is a log from a crash, or the file is of an older form: read a
//!   private copy of file and log. It needs that much space in `$TMPDIR`.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};
use tempfile::TempDir;

use super::file::{self, describe, steps_applied};
use super::{Schema, beside, wal};
use ledger::error::{StoreError, StoreErrorKind};

/// Attempts to copy while another process writes to the file.
const TRIES: u32 = 5;

/// A file that is read only.
pub(super) struct EvidenceFile {
    path: PathBuf,
    schema: Schema,
    state: Mutex<FileState>,
}

struct FileState {
    /// The number of the check after which the way was chosen.
    look: u64,
    way: ReadMethod,
    /// Kept open: closing it would drop SQLite's locks on the file in this process.
    _probe: File,
}

#[derive(Clone)]
enum ReadMethod {
    /// Beside a process that has the file open.
    Live,
    /// The file itself.
    Still(FileStamp),
    /// A private copy.
    Copy(Arc<TempDir>),
}

/// Distinguishes states of a file and of the log beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    file: Option<WalFrames>,
    log: Option<WalFrames>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WalFrames {
    inode: (u64, u64),
    length: u64,
    at: (i64, i64),
}

impl EvidenceFile {
    /// Chooses the way; a file of an older form is migrated in a copy.
    pub(super) fn open(path: &Path, schema: &Schema) -> Result<Self, StoreError> {
        let (way, probe) = choose(path, schema)?;
        let state = FileState { look: 0, way, _probe: probe };
        let path = path.to_owned();
        Ok(Self { path, schema: *schema, state: Mutex::new(state) })
    }

    /// Checks whether the file is unchanged, and chooses the way anew if it is not. The result
    /// identifies the connections that are still valid.
    pub(super) fn look(&self) -> Result<u64, StoreError> {
        let mut state = self.state();
        if matches!(state.way, ReadMethod::Still(stamp) if stamp != FileStamp::of(&self.path)) {
            let (way, probe) = choose(&self.path, &self.schema)?;
            *state = FileState { look: state.look + 1, way, _probe: probe };
        }
        Ok(state.look)
    }

    /// Fails if the file was changed while it was read without locks.
    pub(super) fn still_as_looked_at(&self, look: u64) -> Result<(), StoreError> {
        let state = self.state();
        let same = match state.way {
            ReadMethod::Still(stamp) => stamp.file == FileStamp::of(&self.path).file,
            ReadMethod::Live | ReadMethod::Copy(_) => true,
        };
        if state.look == look && same { Ok(()) } else { Err(changed(&self.path)) }
    }

    /// A connection that reads in the chosen way.
    pub(super) fn connect(&self) -> Result<Connection, StoreError> {
        let way = self.state().way.clone();
        connect(&way, &self.path).map_err(|error| describe(self.schema.name, &self.path, error))
    }

    fn state(&self) -> MutexGuard<'_, FileState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileStamp {
    fn of(path: &Path) -> Self {
        let stamp = |path: &Path| path.metadata().ok().as_ref().map(WalFrames::of);
        let log = stamp(&beside(path, "-wal")).filter(|log| log.length > 0);
        Self { file: stamp(path), log }
    }
}

impl WalFrames {
    fn of(file: &Metadata) -> Self {
        Self {
            inode: (file.dev(), file.ino()),
            length: file.len(),
            at: (file.mtime(), file.mtime_nsec()),
        }
    }
}

fn choose(path: &Path, schema: &Schema) -> Result<(ReadMethod, File), StoreError> {
    let shown = path.display();
    let misconfigured = |why: String| StoreError::new(StoreErrorKind::Misconfigured, why);
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (length, probe) = opened.map_err(|error| {
        StoreError::caused(StoreErrorKind::Misconfigured, format!("{shown}: cannot be read"), error)
    })?;
    if length == 0 && !has_log(path) {
        return Err(misconfigured(format!("{shown}: is empty; restore it from a backup")));
    }
    // If a live process locks the file exclusively, or is just creating or removing its files, a
    // copy is read.
    if let Some(way) = first_way(path, &probe)
        && let Ok(connection) = connect(&way, path)
    {
        match steps_applied(&connection, path, schema) {
            Ok(applied) if applied == schema.steps.len() => return Ok((way, probe)),
            Err(error) if matches!(way, ReadMethod::Still(_)) => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok((copied(path, schema)?, probe))
}

/// The way without a copy, if there is one.
fn first_way(path: &Path, probe: &File) -> Option<ReadMethod> {
    let stamp = FileStamp::of(path);
    if is_open_elsewhere(probe) {
        return Some(ReadMethod::Live);
    }
    (!has_log(path)).then_some(ReadMethod::Still(stamp))
}

fn connect(way: &ReadMethod, path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match way {
        ReadMethod::Live => Connection::open_with_flags(path, flags),
        ReadMethod::Still(_) => {
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(uri(path), flags)
        }
        ReadMethod::Copy(folder) => Connection::open_with_flags(inside(folder, path), flags),
    }?;
    file::be_patient(&connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    file::keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The file and its log at one point in time, migrated to the form of this program.
fn copied(path: &Path, schema: &Schema) -> Result<ReadMethod, StoreError> {
    let shown = path.display();
    let failed = |error| {
        let why = format!("{shown}: a private copy in $TMPDIR could not be made, to read it from");
        StoreError::caused(StoreErrorKind::Unavailable, why, error)
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let copy = inside(&folder, path);
    for _ in 0..TRIES {
        let before = FileStamp::of(path);
        for end in ["", "-wal", "-journal"] {
            copy_one(&beside(path, end), &beside(&copy, end)).map_err(failed)?;
        }
        // The log may have grown: a copy of it ends with its last complete transaction.
        if FileStamp::of(path).file == before.file {
            wal::check(&copy).map_err(|error| of_original(error, &copy, path))?;
            bring_up_to_date(&copy, path, schema)?;
            return Ok(ReadMethod::Copy(Arc::new(folder)));
        }
    }
    Err(changed(path))
}

/// Converts an error about the copy to one about the original.
fn of_original(error: StoreError, copy: &Path, path: &Path) -> StoreError {
    let told = error.to_string().replace(&*copy.to_string_lossy(), &path.to_string_lossy());
    StoreError::caused(error.kind, told, error)
}

fn bring_up_to_date(copy: &Path, path: &Path, schema: &Schema) -> Result<(), StoreError> {
    let failed = |error| describe(schema.name, path, error);
    let mut connection = file::connect(copy, false).map_err(failed)?;
    let applied = steps_applied(&connection, path, schema)?;
    let scratch = Schema { durable: false, ..*schema };
    file::tune(&connection, &scratch).map_err(failed)?;
    if applied < schema.steps.len() {
        file::migrate(&mut connection, path, schema)?;
    }
    Ok(())
}

/// A file that does not exist is not copied.
fn copy_one(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    io::copy(&mut from, &mut File::create(to)?).map(drop)
}

/// Whether another process has the file open with SQLite, which then holds a lock on it.
pub(super) fn is_open_elsewhere(probe: &File) -> bool {
    let whole = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    matches!(fcntl_getlk(probe, &whole), Ok(Some(_)))
}

fn has_log(path: &Path) -> bool {
    let has = |end| beside(path, end).metadata().is_ok_and(|log| log.len() > 0);
    has("-wal") || has("-journal")
}

fn inside(folder: &TempDir, path: &Path) -> PathBuf {
    folder.path().join(path.file_name().unwrap_or_default())
}

/// The name with which SQLite neither locks the file nor reads files beside it.
fn uri(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte));
            }
            // Writing to a `String` does not fail.
            other => drop(write!(uri, "%{other:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

fn changed(path: &Path) -> StoreError {
    let why =
        format!("{}: was written to while it was read; run the command again", path.display());
    StoreError::new(StoreErrorKind::Unavailable, why)
}

#[cfg(test)]
mod tests;
