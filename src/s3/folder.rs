//! The files of the bucket: one for each version's bytes, named by the version id and never by the
//! key, and the drafts of uploads in progress.
//!
//! A file is in `objects/` only while its version has a row. Before and after that it is in `tmp/`,
//! under its id: there, a file without a row is not needed. So a file in `objects/` without a row
//! is never the remainder of a crash. It shows that the rows are older than the files, and it is
//! kept.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ledger::error::{StoreError, StoreErrorKind};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio::task::spawn_blocking;

use super::folder_sync::FolderSync;
use super::spares::SpareDrafts;
use super::staged::{self, StagedUpload};

/// A folder that is locked during the life of this value: the sweep must not remove the drafts of
/// another process.
pub(super) struct BucketFolder {
    pub(super) objects: PathBuf,
    drafts: PathBuf,
    lost: PathBuf,
    drafts_sync: FolderSync,
    /// Removed before the lock is let go.
    spares: SpareDrafts,
    _lock: Option<File>,
}

impl BucketFolder {
    /// Creates what is missing. `rows` is the database that must exist if there are any bytes.
    pub(super) fn open(dir: &Path, rows: &Path) -> Result<Self, StoreError> {
        let failed = |error| broken("the bucket's folder", error);
        let beside = Self::beside(dir);
        for folder in [&beside.objects, &beside.drafts] {
            private(folder).map_err(failed)?;
        }
        sync(dir).map_err(failed)?;
        let lock = lock(&dir.join("lock"))?;
        refuse_lost_rows(rows, &beside.objects)?;
        Ok(Self { _lock: Some(lock), ..beside })
    }

    /// The same folder, for a reader beside the process that owns it. It must not sweep anything.
    pub(super) fn beside(dir: &Path) -> Self {
        let [objects, drafts, lost] = ["objects", "tmp", "lost"].map(|name| dir.join(name));
        let (drafts_sync, spares) = (FolderSync::new(&drafts), SpareDrafts::new(&drafts));
        Self { objects, drafts, lost, drafts_sync, spares, _lock: None }
    }

    /// A draft for an upload. Dropping it removes its file.
    pub(super) fn draft(&self) -> StagedUpload {
        StagedUpload::new(&self.drafts)
    }

    /// Syncs a draft to disk under its version's id, where it waits for its row. Returns the id,
    /// which is one of `id`. Blocks.
    pub(super) fn keep(
        &self,
        staged: StagedUpload,
        id: impl Fn() -> String,
    ) -> Result<String, StoreError> {
        let failed = |error| broken("an object", error);
        let spare = if staged.is_in_memory() { self.spares.take(&id) } else { None };
        if let Some(spare) = spare
            && staged.fill(&self.drafts.join(&spare)).map_err(failed)?
        {
            return Ok(spare);
        }
        let new = id();
        staged.settle(&self.drafts.join(&new)).map_err(failed)?;
        self.drafts_sync.sync().map_err(|error| broken("the drafts", error))?;
        Ok(new)
    }

    /// Moves the bytes of a version with a row to `objects/`. After a failure this is done at the
    /// next start; until then they are read from the draft. Blocks.
    pub(super) fn place(&self, id: &str) {
        let [coming, _] = self.drafts_of(id);
        match rename(&coming, &self.objects.join(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(id, %error, "an object stays in the drafts until the next start");
            }
            _ => {} // deleted meanwhile, or placed
        }
    }

    /// Moves the bytes of a version whose deletion was interrupted back to `objects/`. Blocks.
    pub(super) fn put_back(&self, id: &str) {
        let [_, going] = self.drafts_of(id);
        if let Err(error) = rename(&going, &self.objects.join(id)) {
            tracing::warn!(id, %error, "an object stays in the drafts until the next start");
        }
    }

    /// Moves the bytes of a version that is about to lose its row out of `objects/`, durably.
    /// Blocks.
    pub(super) fn withdraw(&self, id: &str) -> Result<(), StoreError> {
        let (from, [coming, to]) = (self.objects.join(id), self.drafts_of(id));
        let withdraw = || {
            // The upload may be moving it from the drafts at this moment.
            for from in [&from, &coming, &from] {
                match rename(from, &to) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {} // moved, or lost
                    moved => moved?,
                }
            }
            [&self.objects, &self.drafts].into_iter().try_for_each(|folder| sync(folder))
        };
        withdraw().map_err(|error| broken("an object", error))
    }

    /// A version's bytes and their number; `None` if there is no such file.
    pub(super) async fn read(&self, id: &str) -> Result<Option<(u64, File)>, StoreError> {
        // During the search it may be moved from the drafts to `objects/`.
        let (place, [coming, going]) = (self.objects.join(id), self.drafts_of(id));
        let paths = [place.clone(), coming, place, going];
        let open = move || {
            for path in paths {
                match File::open(path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    opened => {
                        return opened.and_then(|file| Ok(Some((file.metadata()?.len(), file))));
                    }
                }
            }
            Ok(None)
        };
        blocking("an object", open).await
    }

    /// Removes bytes of a version without a row: an unused draft, or a deleted version. After a
    /// failure this is done at the next start. Blocks.
    pub(super) fn discard(&self, id: &str) {
        let remove = |path: &PathBuf| match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        if let Err(error) = self.drafts_of(id).iter().try_for_each(remove) {
            tracing::warn!(id, %error, "bytes without a version stay until the next start");
        }
    }

    /// Moves a file without a row to `lost/`. No file there is ever replaced.
    pub(super) async fn set_aside(&self, id: &str) -> Result<PathBuf, StoreError> {
        let (from, lost) = (self.objects.join(id), self.lost.clone());
        let (id, objects) = (id.to_owned(), self.objects.clone());
        let set_aside = move || {
            private(&lost)?;
            let to = free_name(&lost, &id, &from)?;
            sync(&lost)?;
            fs::remove_file(&from)?;
            sync(&objects).map(|()| to)
        };
        blocking("a file without a version", set_aside).await
    }

    /// Removes the drafts of uploads that a crash interrupted. Other files are not changed.
    pub(super) async fn drop_drafts(&self) -> Result<(), StoreError> {
        let drafts = self.drafts.clone();
        let sweep = move || {
            for name in names(&drafts)? {
                let path = drafts.join(&name);
                if staged::is_draft(&name) && path.symlink_metadata()?.is_file() {
                    fs::remove_file(path)?;
                } else if !is_id(name.strip_suffix(GOING).unwrap_or(&name)) {
                    tracing::warn!(path = %path.display(), "ignored an unknown file in the drafts");
                }
            }
            Ok(())
        };
        blocking("the drafts", sweep).await
    }

    /// The ids of the files in `objects/`.
    pub(super) async fn ids(&self) -> Result<Vec<String>, StoreError> {
        files(self.objects.clone()).await
    }

    /// The ids of files that wait for their row, and of spare drafts.
    pub(super) async fn coming(&self) -> Result<Vec<String>, StoreError> {
        let mut ids = files(self.drafts.clone()).await?;
        ids.retain(|name| is_id(name));
        Ok(ids)
    }

    /// Those of [`BucketFolder::coming`] that have bytes.
    pub(super) async fn coming_bytes(&self) -> Result<Vec<String>, StoreError> {
        let (mut ids, drafts) = (self.coming().await?, self.drafts.clone());
        let filled = move || {
            ids.retain(|id| drafts.join(id).metadata().is_ok_and(|file| file.len() > 0));
            Ok(ids)
        };
        blocking("the drafts", filled).await
    }

    /// The ids of files whose row was to be removed.
    pub(super) async fn going(&self) -> Result<Vec<String>, StoreError> {
        let names = files(self.drafts.clone()).await?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(GOING));
        Ok(ids.filter(|id| is_id(id)).map(str::to_owned).collect())
    }

    fn drafts_of(&self, id: &str) -> [PathBuf; 2] {
        drafts_of(id).map(|name| self.drafts.join(name))
    }

    /// The names of the files in `lost/`.
    pub(super) async fn lost(&self) -> Result<Vec<String>, StoreError> {
        if self.lost.is_dir() { files(self.lost.clone()).await } else { Ok(Vec::new()) }
    }
}

/// The names of a version's draft files before its row is written, and after it is removed.
pub(crate) fn drafts_of(id: &str) -> [String; 2] {
    [id.to_owned(), format!("{id}{GOING}")]
}

/// The suffix of the files of versions that are being deleted.
const GOING: &str = ".gone";

/// Whether a file name has the form of a version id.
fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Creates a folder that only its owner can read.
fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A rename that replaces nothing: in one step, or in two where the file system has no such step. A
/// crash between the two leaves both names; the next call removes the first. Of two calls at the
/// same moment, one may find the name removed.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    if renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).is_ok() {
        return Ok(());
    }
    link(from, to)?;
    match fs::remove_file(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Gives a file a second name, which may be its own already.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if same_file(from, to)? {
                Ok(())
            } else {
                Err(error)
            }
        }
        linked => linked,
    }
}

fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let [one, other] = [one.symlink_metadata()?, other.symlink_metadata()?];
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Links `from` into `lost`, under its own name or the first free one like it.
fn free_name(lost: &Path, id: &str, from: &Path) -> io::Result<PathBuf> {
    for number in 0_u32.. {
        let name = if number == 0 { id.to_owned() } else { format!("{id}.{number}") };
        match link(from, &lost.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => return linked.map(|()| lost.join(name)),
        }
    }
    Err(io::Error::other("no name is free"))
}

async fn files(folder: PathBuf) -> Result<Vec<String>, StoreError> {
    let listed = move || {
        let mut files = names(&folder)?;
        files.retain(|name| folder.join(name).symlink_metadata().is_ok_and(|it| it.is_file()));
        Ok(files)
    };
    blocking("the bucket's files", listed).await
}

/// A failed file operation, for the log.
pub(super) fn broken(what: &str, error: io::Error) -> StoreError {
    use io::ErrorKind as E;
    let kind = match error.kind() {
        E::PermissionDenied | E::NotFound | E::NotADirectory | E::ReadOnlyFilesystem => {
            StoreErrorKind::Misconfigured
        }
        _ => StoreErrorKind::Unavailable, // mostly a full disk
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
            StoreErrorKind::Misconfigured,
            format!("{}: another process serves this bucket", path.display()),
        )),
    }
}

/// A folder with bytes but without rows is user data and must not be swept.
fn refuse_lost_rows(rows: &Path, objects: &Path) -> Result<(), StoreError> {
    let left = names(objects).map_err(|error| broken("the objects", error))?.len();
    if left == 0 || rows.exists() {
        return Ok(());
    }
    let (rows, objects) = (rows.display(), objects.display());
    Err(StoreError::new(
        StoreErrorKind::Misconfigured,
        format!("{rows} is missing, but {objects} holds {left} files: bring the first back"),
    ))
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
    fs::read_dir(folder)?.filter_map(|entry| name(entry).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A version may be deleted as soon as its row is written, before or while its file is moved.
    #[tokio::test]
    async fn a_deletion_before_the_move_of_a_new_version_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = BucketFolder::open(dir.path(), &dir.path().join("objects.sqlite")).unwrap();
        let number = AtomicU32::new(0);
        let id = || format!("{:032x}", number.fetch_add(1, Ordering::Relaxed));
        for is_moved_halfway in [false, true] {
            let id = folder.keep(folder.draft(), id).unwrap();
            if is_moved_halfway {
                fs::hard_link(folder.drafts.join(&id), folder.objects.join(&id)).unwrap();
            }
            folder.withdraw(&id).unwrap();
            folder.place(&id);
            assert_eq!(folder.ids().await.unwrap(), [""; 0], "a file without a row");
            assert_eq!(folder.going().await.unwrap(), [&*id], "read until the row is gone");
            folder.discard(&id);
            let spares = names(&folder.drafts).unwrap();
            assert!(!spares.iter().any(|name| name.starts_with(&id)), "{spares:?}");
        }
    }
}
