//! The data folder: private to its owner, and served by one process at a time.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// While this file is there, the journal is a part of what it is to be.
const IMPORTING: &str = "import.unfinished";

/// What whoever serves the folder has locked.
const LOCK: &str = "serve.lock";

/// Held for as long as this process serves the folder; the system lets go of it in a crash.
pub struct FolderLock {
    path: PathBuf,
    inode: (u64, u64),
    lock: File,
}

impl FolderLock {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still names the folder that was claimed, and its lock.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let lock = self.path.join(LOCK);
        let claimed = inode(&self.lock.metadata()?);
        for (path, claimed) in [(&self.path, self.inode), (&lock, claimed)] {
            let shown = path.display();
            let found = path.metadata();
            let found = found.with_context(|| format!("{shown} was moved or removed"))?;
            ensure!(inode(&found) == claimed, "{shown} was replaced");
        }
        Ok(())
    }

    /// Makes the folder if it is missing and claims it.
    pub(super) fn claim(path: &Path) -> anyhow::Result<Self> {
        let folder = Self::claim_for_import(path)?;
        Self::refuse_half(path)?;
        Ok(folder)
    }

    /// The guard of every door to a data folder but that of an import: while one is not finished,
    /// the journal is a part of what it is to be, and must not pass for the whole.
    pub fn refuse_half(path: &Path) -> anyhow::Result<()> {
        let importing = path.join(IMPORTING);
        // What cannot be looked at is told by whatever opens the files.
        if importing.exists() {
            bail!(
                "--data {}: an `import` into this folder is not finished, so its journal is not \
                 whole; run the same `import` again first",
                path.display()
            );
        }
        Ok(())
    }

    /// Says that the journal is not whole.
    pub fn begin_import(&self) -> anyhow::Result<()> {
        let mut private = OpenOptions::new();
        private.write(true).create(true).truncate(true).mode(0o600);
        private.open(self.importing())?.sync_all()?;
        Ok(File::open(&self.path)?.sync_all()?)
    }

    /// Says that it is.
    pub fn end_import(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.importing())?;
        Ok(File::open(&self.path)?.sync_all()?)
    }

    fn importing(&self) -> PathBuf {
        self.path.join(IMPORTING)
    }

    /// The same for an import, which goes on where one was cut off.
    pub fn claim_for_import(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("--data {shown}: cannot make the folder"))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .with_context(|| format!("--data {shown}: cannot write to the folder"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), inode: inode(&path.metadata()?), lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("--data {shown}: another `serve` runs on this folder; stop it first")
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("--data {shown}: cannot lock the folder"))
            }
        }
    }
}

fn inode(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_served_by_one_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = FolderLock::claim(&path).unwrap();
        assert!(FolderLock::claim(&path).is_err_and(|e| e.to_string().contains("another `serve`")));
        drop(first);
        assert!(FolderLock::claim(&path).is_ok());
    }

    #[test]
    fn a_folder_with_half_an_import_is_not_served() {
        let parent = tempfile::tempdir().unwrap();
        let importing = FolderLock::claim_for_import(parent.path()).unwrap();
        importing.begin_import().unwrap();
        drop(importing);
        let refused = FolderLock::claim(parent.path()).err().unwrap().to_string();
        assert!(refused.contains("run the same `import` again"), "{refused}");
        let importing = FolderLock::claim_for_import(parent.path()).unwrap();
        importing.end_import().unwrap();
        drop(importing);
        assert!(FolderLock::claim(parent.path()).is_ok());
    }
}
