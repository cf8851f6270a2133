//! Syncs a folder to disk once for all uploads that wait for it, as a group commit does.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

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
    pub(super) async fn sync(&self) -> io::Result<()> {
        let call = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock().await;
        if *synced >= call {
            return Ok(());
        }
        let covered = self.asked.load(Ordering::SeqCst);
        let folder = self.folder.clone();
        let done = spawn_blocking(move || File::open(folder)?.sync_all()).await;
        done.unwrap_or_else(|cut| Err(io::Error::other(cut)))?;
        *synced = covered;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn calls_that_wait_share_a_sync_and_a_failure_is_not_shared() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("drafts");
        let syncs = Arc::new(FolderSync::new(&folder));
        syncs.sync().await.unwrap_err();
        assert_eq!(*syncs.synced.lock().await, 0, "a failed sync covers nothing");
        std::fs::create_dir(&folder).unwrap();
        let held = syncs.synced.lock().await;
        let calls: Vec<_> = (0..64)
            .map(|_| {
                let syncs = Arc::clone(&syncs);
                tokio::spawn(async move { syncs.sync().await.unwrap() })
            })
            .collect();
        while syncs.asked.load(Ordering::SeqCst) < 65 {
            tokio::task::yield_now().await;
        }
        drop(held);
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(*syncs.synced.lock().await, 65, "the first sync after them covered all");
        std::fs::remove_dir(&folder).unwrap();
        syncs.sync().await.unwrap_err();
    }
}
