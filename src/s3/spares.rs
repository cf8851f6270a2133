//! Empty drafts whose names are on disk before an upload needs one: an upload into such a file
//! needs no sync of the folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::spawn_blocking;

/// Files made by one sync of the folder.
const MADE: usize = 64;
/// More are made when fewer are left.
const FEW: usize = 32;

/// The spare drafts of a folder. Dropping it removes their files, after it has waited for those
/// that are being made. After a crash they are drafts without a version, and the next start removes
/// them.
pub(super) struct SpareDrafts(Arc<Spares>);

struct Spares {
    folder: PathBuf,
    /// The ids that are the names of the files.
    free: Mutex<Vec<String>>,
    /// Whether more were asked for.
    making: AtomicBool,
    /// Held while files are made; true after the end.
    ended: Mutex<bool>,
}

impl SpareDrafts {
    pub(super) fn new(folder: &Path) -> Self {
        Self(Arc::new(Spares {
            folder: folder.to_owned(),
            free: Mutex::default(),
            making: AtomicBool::new(false),
            ended: Mutex::default(),
        }))
    }

    /// The id of a spare draft, if there is one. If few are left, more are made with ids by `id`.
    pub(super) fn take(&self, id: impl Fn() -> String) -> Option<String> {
        let (spare, left) = {
            let mut free = locked(&self.0.free);
            (free.pop(), free.len())
        };
        if left < FEW && !self.0.making.swap(true, Ordering::AcqRel) {
            let (spares, ids) = (Arc::clone(&self.0), (0..MADE).map(|_| id()).collect());
            spawn_blocking(move || spares.make(ids));
        }
        spare
    }
}

impl Spares {
    fn make(&self, ids: Vec<String>) {
        let ended = locked(&self.ended);
        if *ended {
            return;
        }
        let mut made = Vec::with_capacity(ids.len());
        let all = ids.into_iter().try_for_each(|id| {
            let path = self.folder.join(&id);
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            made.push(id);
            Ok(())
        });
        match all.and_then(|()| File::open(&self.folder)?.sync_all()) {
            Ok(()) => locked(&self.free).append(&mut made),
            Err(error) => {
                // An upload needs none, and reports what is wrong.
                tracing::debug!(%error, "no spare drafts");
                self.remove(&made);
            }
        }
        self.making.store(false, Ordering::Release);
    }

    fn remove(&self, ids: &[String]) {
        for id in ids {
            if let Err(error) = fs::remove_file(self.folder.join(id))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::debug!(id, %error, "a spare draft stays until the next start");
            }
        }
    }
}

impl Drop for SpareDrafts {
    fn drop(&mut self) {
        *locked(&self.0.ended) = true;
        let free = std::mem::take(&mut *locked(&self.0.free));
        self.0.remove(&free);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn spares_are_made_ahead_given_once_and_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (spares, next) = (SpareDrafts::new(folder.path()), AtomicU32::new(0));
        let id = || format!("{:032x}", next.fetch_add(1, Ordering::Relaxed));
        let files = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(spares.take(id), None, "none is made before the first upload");
        let mut taken = std::collections::BTreeSet::new();
        while taken.len() < 3 * MADE {
            match spares.take(id) {
                Some(spare) => {
                    assert_eq!(fs::read(folder.path().join(&spare)).unwrap(), b"");
                    assert!(taken.insert(spare), "given twice");
                }
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        // Also if more are being made at this moment.
        drop(spares);
        assert_eq!(files(), taken.len(), "only what was given is left");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_has_no_spares_and_loses_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let spares = SpareDrafts::new(folder.path());
        let (first, taken) = ("0".repeat(32), folder.path().join("taken"));
        fs::write(&taken, "somebody's").unwrap();
        spares.0.make(vec![first, "taken".to_owned()]);
        assert!(locked(&spares.0.free).is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read(taken).unwrap(), b"somebody's");
    }
}
