//! The files of the bucket: one for each version's bytes, named by the version id and never by
//! the key, and the drafts of uploads that are still coming in.
//!
//! A file is in `objects/` only while its version has a row. On the way in and on the way out it
//! stands in `tmp/`, under its id: there, no row means that it is not wanted. So a file in
//! `objects/` without a row is never litter of a crash. It shows that the rows are older than the
//! files, and it is kept.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ledger::error::{StoreError, StoreErrorKind};
use tokio::task::spawn_blocking;

use super::staged::{self, StagedUpload};

/// A folder that is ours alone for as long as this lives: the sweep must not meet the drafts of
/// another process.
pub(super) struct BucketFolder {
    pub(super) objects: PathBuf,
    drafts: PathBuf,
    lost: PathBuf,
    _lock: Option<File>,
}

impl BucketFolder {
    /// Makes what is missing. `rows` is the database that must be there if any bytes are.
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

    /// The same folder, for who looks at it beside the process that has it. Sweep nothing in it.
    pub(super) fn beside(dir: &Path) -> Self {
        let [objects, drafts, lost] = ["objects", "tmp", "lost"].map(|name| dir.join(name));
        Self { objects, drafts, lost, _lock: None }
    }

    /// A draft for bytes to come. It is gone when dropped.
    pub(super) async fn draft(&self) -> Result<StagedUpload, StoreError> {
        let drafts = self.drafts.clone();
        blocking("a draft", move || StagedUpload::new(&drafts)).await
    }

    /// Brings a draft to disk under its version's id, where it waits for its row.
    pub(super) async fn keep(&self, staged: StagedUpload, id: &str) -> Result<(), StoreError> {
        let (target, drafts) = (self.drafts.join(id), self.drafts.clone());
        blocking("an object", move || staged.settle(&target).and_then(|()| sync(&drafts))).await
    }

    /// Puts the bytes of a version that has its row where they belong. What fails here is done at
    /// the next start; until then they are read where they are.
    pub(super) async fn place(&self, id: &str) {
        let ([coming, going], to) = (self.drafts_of(id), self.objects.join(id));
        let place = move || match rename(&coming, &to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => rename(&going, &to),
            placed => placed,
        };
        if let Err(error) = blocking("an object", place).await {
            tracing::warn!(id, %error, "an object stays in the drafts until the next start");
        }
    }

    /// Takes the bytes of a version that is about to lose its row out of the objects, durably.
    pub(super) async fn withdraw(&self, id: &str) -> Result<(), StoreError> {
        let (from, [_, to]) = (self.objects.join(id), self.drafts_of(id));
        let folders = [self.objects.clone(), self.drafts.clone()];
        let withdraw = move || {
            if !from.try_exists()? {
                return Ok(()); // it is among the drafts already, or lost
            }
            rename(&from, &to)?;
            folders.iter().try_for_each(|folder| sync(folder))
        };
        blocking("an object", withdraw).await
    }

    /// A version's bytes and how many there are; `None` when there is no such file.
    pub(super) async fn read(&self, id: &str) -> Result<Option<(u64, File)>, StoreError> {
        // While it is looked for, it may be moved from a draft's place to its own.
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

    /// Removes bytes of a version that has no row: a draft that came to nothing, or what was asked
    /// to be deleted. What fails here is left for the next start.
    pub(super) async fn discard(&self, id: &str) {
        let paths = self.drafts_of(id);
        let remove = move || {
            paths.iter().try_for_each(|path| match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            })
        };
        if let Err(error) = blocking("an object", remove).await {
            tracing::warn!(id, %error, "bytes without a version stay until the next start");
        }
    }

    /// Moves a file that no row names out of the way. Nothing there is ever replaced.
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

    /// Removes the drafts of uploads that a crash cut off. What is not ours is left alone.
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

    /// The ids that bytes are kept under in `objects/`.
    pub(super) async fn ids(&self) -> Result<Vec<String>, StoreError> {
        files(self.objects.clone()).await
    }

    /// The ids of files that wait for their row.
    pub(super) async fn coming(&self) -> Result<Vec<String>, StoreError> {
        let mut ids = files(self.drafts.clone()).await?;
        ids.retain(|name| is_id(name));
        Ok(ids)
    }

    /// The ids of files whose row was to go.
    pub(super) async fn going(&self) -> Result<Vec<String>, StoreError> {
        let names = files(self.drafts.clone()).await?;
        let ids = names.iter().filter_map(|name| name.strip_suffix(GOING));
        Ok(ids.filter(|id| is_id(id)).map(str::to_owned).collect())
    }

    fn drafts_of(&self, id: &str) -> [PathBuf; 2] {
        drafts_of(id).map(|name| self.drafts.join(name))
    }

    /// The names of the files that were set aside.
    pub(super) async fn lost(&self) -> Result<Vec<String>, StoreError> {
        if self.lost.is_dir() { files(self.lost.clone()).await } else { Ok(Vec::new()) }
    }
}

/// The names of a version's bytes on their way in, and out.
pub(crate) fn drafts_of(id: &str) -> [String; 2] {
    [id.to_owned(), format!("{id}{GOING}")]
}

/// What the names of files end with whose version is being deleted.
const GOING: &str = ".gone";

/// Whether a file is named as the bytes of a version are.
fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Makes a folder that is its owner's alone.
fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A rename that replaces nothing.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Gives `from` a second name in `lost`: its own, or the first free one like it.
fn free_name(lost: &Path, id: &str, from: &Path) -> io::Result<PathBuf> {
    for number in 0_u32.. {
        let name = if number == 0 { id.to_owned() } else { format!("{id}.{number}") };
        match fs::hard_link(from, lost.join(&name)) {
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

/// A failed file as the log tells it.
pub(super) fn broken(what: &str, error: io::Error) -> StoreError {
    use io::ErrorKind as E;
    let kind = match error.kind() {
        E::PermissionDenied | E::NotFound | E::NotADirectory | E::ReadOnlyFilesystem => {
            StoreErrorKind::Misconfigured
        }
        _ => StoreErrorKind::Unavailable, // a full disk above all
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

/// A folder full of bytes whose rows are missing is somebody's data, not something to sweep.
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
