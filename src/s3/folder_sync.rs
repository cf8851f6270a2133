//! Syncs a folder to disk once for all uploads that wait for it, as a group commit does.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A folder whose names must be durable.
pub(super) struct FolderSync {
    folder: PathBuf,
    /// The number of calls.
    asked: AtomicU64,
    /// The calls up to this one were before a completed sync.
    synced: Mutex<u64>,
}

impl FolderSync {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), asked: AtomicU64::new(0), synced: Mutex::new(0) }
    }

    /// Returns after a sync that started after this call. Calls that wait share one.
    /// Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        let call = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= call {
            return Ok(());
        }
        let covered = self.asked.load(Ordering::SeqCst);
        File::open(&self.folder)?.sync_all()?;
        *synced = covered;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn calls_that_wait_share_a_sync_and_a_failure_is_not_shared() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("drafts");
        let syncs = FolderSync::new(&folder);
        syncs.sync().unwrap_err();
        assert_eq!(*syncs.synced.lock().unwrap(), 0, "a failed sync covers nothing");
        std::fs::create_dir(&folder).unwrap();
        let held = syncs.synced.lock().unwrap();
        thread::scope(|scope| {
            let call = || scope.spawn(|| syncs.sync().unwrap());
            let calls: Vec<_> = (0..64).map(|_| call()).collect();
            while syncs.asked.load(Ordering::SeqCst) < 65 {
                thread::yield_now();
            }
            drop(held);
            for call in calls {
                call.join().unwrap();
            }
        });
        assert_eq!(*syncs.synced.lock().unwrap(), 65, "the first sync after them covered all");
        std::fs::remove_dir(&folder).unwrap();
        syncs.sync().unwrap_err();
    }
}
