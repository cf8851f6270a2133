//! The data folder: private to its owner, and served by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Held for as long as this process serves the folder; the system lets go of it in a crash.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder if it is missing and claims it.
    pub(super) fn claim(path: &Path) -> anyhow::Result<Self> {
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
            .open(path.join("serve.lock"))
            .with_context(|| format!("--data {shown}: cannot write to the folder"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("--data {shown}: another `serve` runs on this folder; stop it first")
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("--data {shown}: cannot lock the folder"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_served_by_one_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = Folder::claim(&path).unwrap();
        assert!(Folder::claim(&path).is_err_and(|e| e.to_string().contains("another `serve`")));
        drop(first);
        assert!(Folder::claim(&path).is_ok());
    }
}
