//! Whether the open files are still those at their paths. SQLite continues to write to a file that
//! was moved, replaced or removed, while other processes open another file at its path.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{beside, cannot_start};
use ledger::error::{StoreError, StoreErrorKind};

/// The identity of an open file, and whether it was lost.
#[derive(Debug)]
pub(super) struct FileIdentity {
    name: &'static str,
    /// The file's folder, the file and SQLite's files beside it; each with its device and inode.
    files: Vec<(PathBuf, Inode)>,
    log: PathBuf,
    lost: OnceLock<String>,
    _open: OpenFile,
}

type Inode = (u64, u64);

/// Files that this process has open with SQLite, and how often. POSIX releases all locks of a
/// process on a file when it closes any descriptor of it, also one that was opened only for
/// reading: another process would then remove the log that is in use. So no code opens such a file
/// again.
static OPEN: Mutex<BTreeMap<Inode, usize>> = Mutex::new(BTreeMap::new());

/// Marks a file as open with SQLite during its life.
#[derive(Debug)]
struct OpenFile(Inode);

impl OpenFile {
    fn new(inode: Inode) -> Self {
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner).entry(inode).or_default() += 1;
        Self(inode)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get(&self.0).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            open.remove(&self.0);
        } else {
            open.insert(self.0, left);
        }
    }
}

/// Whether this process has the file open with SQLite.
pub(super) fn is_open_here(path: &Path) -> bool {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    inode(path).is_ok_and(|inode| open.contains_key(&inode))
}

impl FileIdentity {
    /// The identity of a file that a connection has open and has read. Without such a connection,
    /// another one that closes would remove the log meanwhile.
    pub(super) fn of(name: &'static str, path: &Path) -> Result<Self, StoreError> {
        Self::stat(name, path).map_err(|error| cannot_start(name, error))
    }

    fn stat(name: &'static str, path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let log = beside(path, "-wal");
        let mut files = Vec::new();
        for path in [folder.unwrap_or(Path::new(".")), path, &log, &beside(path, "-shm")] {
            files.push((path.to_owned(), inode(path)?));
        }
        let open = OpenFile::new(inode(path)?);
        Ok(Self { name, files, log, lost: OnceLock::new(), _open: open })
    }

    /// Fails if a path names another file, and on every later call.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let why = match self.lost.get() {
            Some(why) => why,
            None => match self.files.iter().find_map(moved) {
                None => return Ok(()),
                Some(why) => {
                    tracing::error!(store = self.name, why, "writing to the store stopped");
                    self.lost.get_or_init(|| why)
                }
            },
        };
        Err(StoreError::new(StoreErrorKind::Misconfigured, format!("{}: {why}", self.name)))
    }

    /// Bytes in the write-ahead log.
    pub(super) fn log_length(&self) -> u64 {
        self.log.metadata().map_or(0, |log| log.len())
    }
}

/// Why a path does not name the open file.
fn moved((path, opened): &(PathBuf, Inode)) -> Option<String> {
    let shown = path.display();
    let then = "what was opened is not there any more, so writes would be lost. Put it back, or \
                start again on the folder that is to be used";
    match inode(path) {
        Ok(found) if found == *opened => None,
        Ok(_) => Some(format!("{shown} was replaced while it was open: {then}")),
        Err(error) => {
            Some(format!("{shown} was moved or removed while it was open ({error}): {then}"))
        }
    }
}

fn inode(path: &Path) -> io::Result<Inode> {
    path.metadata().map(|file| (file.dev(), file.ino()))
}
