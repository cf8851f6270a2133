//! The files of the bucket: one for each version's bytes, named by the version id and never by
//! the key, and the drafts of uploads that are still coming in.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ledger::error::{Kind, StoreError};
use tokio::task::spawn_blocking;

use super::staged::Staged;

/// A folder that is ours alone for as long as this lives: the sweep must not meet the drafts of
/// another process.
pub(super) struct Folder {
    objects: PathBuf,
    drafts: PathBuf,
    _lock: Option<File>,
}

impl Folder {
    /// Makes what is missing. `rows` is the database that must be there if any bytes are.
    pub(super) fn open(dir: &Path, rows: &Path) -> Result<Self, StoreError> {
        let failed = |error| broken("the bucket's folder", error);
        let (objects, drafts) = (dir.join("objects"), dir.join("tmp"));
        for folder in [&objects, &drafts] {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        sync(dir).map_err(failed)?;
        let lock = lock(&dir.join("lock"))?;
        refuse_lost_rows(rows, &objects)?;
        Ok(Self { objects, drafts, _lock: Some(lock) })
    }

    /// The same folder, for who looks at it beside the process that has it. Sweep nothing in it.
    pub(super) fn beside(dir: &Path) -> Self {
        Self { objects: dir.join("objects"), drafts: dir.join("tmp"), _lock: None }
    }

    /// A draft for bytes to come. It is gone when dropped.
    pub(super) async fn draft(&self) -> Result<Staged, StoreError> {
        let drafts = self.drafts.clone();
        blocking("a draft", move || Staged::new(&drafts)).await
    }

    /// Brings a draft to disk under the name of its version.
    pub(super) async fn keep(&self, staged: Staged, id: &str) -> Result<(), StoreError> {
        let (target, folder) = (self.objects.join(id), self.objects.clone());
        blocking("an object", move || staged.settle(&target).and_then(|()| sync(&folder))).await
    }

    /// A version's bytes and how many there are; `None` when there is no such file.
    pub(super) async fn read(&self, id: &str) -> Result<Option<(u64, File)>, StoreError> {
        let path = self.objects.join(id);
        let open = move || match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.and_then(|file| Ok(Some((file.metadata()?.len(), file)))),
        };
        blocking("an object", open).await
    }

    /// Removes bytes that no row names. What fails here is left for the next sweep.
    pub(super) async fn discard(&self, id: &str) {
        let path = self.objects.join(id);
        if let Err(error) = blocking("an object", move || fs::remove_file(path)).await {
            tracing::warn!(id, %error, "bytes without a version stay for now");
        }
    }

    /// Removes what uploads left that a crash cut off.
    pub(super) async fn drop_drafts(&self) -> Result<(), StoreError> {
        let drafts = self.drafts.clone();
        let sweep =
            move || names(&drafts)?.iter().try_for_each(|name| fs::remove_file(drafts.join(name)));
        blocking("the drafts", sweep).await
    }

    /// The ids that bytes are kept under.
    pub(super) async fn ids(&self) -> Result<Vec<String>, StoreError> {
        let objects = self.objects.clone();
        blocking("the objects", move || names(&objects)).await
    }
}

/// A failed file as the log tells it.
pub(super) fn broken(what: &str, error: io::Error) -> StoreError {
    use io::ErrorKind as E;
    let kind = match error.kind() {
        E::PermissionDenied | E::NotFound | E::NotADirectory | E::ReadOnlyFilesystem => {
            Kind::Misconfigured
        }
        _ => Kind::Unavailable, // a full disk above all
    };
    StoreError::caused(kind, what, error)
}

async fn blocking<T: Send + 'static>(
    what: &'static str,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let joined = spawn_blocking(job).await;
    joined.unwrap_or_else(|cut| Err(io::Error::other(cut))).map_err(|error| broken(what, error))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(|error| broken("the bucket's lock", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(broken("the bucket's lock", error)),
        Err(TryLockError::WouldBlock) => Err(StoreError::new(
            Kind::Misconfigured,
            format!("{}: another process serves this bucket", path.display()),
        )),
    }
}

/// A folder full of bytes whose rows are missing is somebody's data, not something to sweep.
fn refuse_lost_rows(rows: &Path, objects: &Path) -> Result<(), StoreError> {
    let left = names(objects).map_err(|error| broken("the objects", error))?.len();
    if left == 0 || rows.exists() {
        return Ok(());
    }
    let (rows, objects) = (rows.display(), objects.display());
    Err(StoreError::new(
        Kind::Misconfigured,
        format!("{rows} is missing, but {objects} holds {left} files: bring the first back"),
    ))
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
    fs::read_dir(folder)?.filter_map(|entry| name(entry).transpose()).collect()
}
