//! The data folder: private to its owner, and served by one process at a time.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

/// While this file exists, the journal is incomplete.
const IMPORTING: &str = "import.unfinished";

/// The lock file of the process that serves the folder.
const LOCK: &str = "serve.lock";

/// The lock of the folder while this process serves it; the system releases it after a crash.
pub struct FolderLock {
    path: PathBuf,
    inode: (u64, u64),
    lock: File,
}

impl FolderLock {
    /// The folder's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still names the locked folder, and its lock.
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

    /// Creates the folder if it is missing, and locks it.
    pub(super) fn claim(path: &Path) -> anyhow::Result<Self> {
        let folder = Self::claim_for_import(path)?;
        Self::refuse_half(path)?;
        Ok(folder)
    }

    /// Refuses a folder with an unfinished import: its journal is incomplete and must not be taken
    /// for a whole one. Every command except `import` calls this.
    pub fn refuse_half(path: &Path) -> anyhow::Result<()> {
        let importing = path.join(IMPORTING);
        // If this check fails, opening the files reports the error.
        if importing.exists() {
            bail!(
                "--data {}: an `import` into this folder is not finished, so its journal is not \
                 whole; run the same `import` again first",
                path.display()
            );
        }
        Ok(())
    }

    /// Marks the journal as incomplete.
    pub fn begin_import(&self) -> anyhow::Result<()> {
        let mut private = OpenOptions::new();
        private.write(true).create(true).truncate(true).mode(0o600);
        private.open(self.importing())?.sync_all()?;
        Ok(File::open(&self.path)?.sync_all()?)
    }

    /// Marks the journal as complete.
    pub fn end_import(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.importing())?;
        Ok(File::open(&self.path)?.sync_all()?)
    }

    fn importing(&self) -> PathBuf {
        self.path.join(IMPORTING)
    }

    /// The same for an import, which resumes an interrupted one.
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
