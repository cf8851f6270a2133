//! Backup of a data folder beside the process that serves it, and restore to another folder.
//!
//! A backup is a folder: the journal and the list of objects as of one moment, each file of an
//! object once, the key of the S3 endpoint, and a manifest that names them. The manifest is
//! replaced last, so an interrupted run leaves the previous backup unchanged. Rows are not
//! included: they are projected from the journal.

mod copy;
mod manifest;
mod restore;
mod snapshot;
mod take;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::bail;

pub use restore::{Restored, restore};
pub use take::{BackupSummary, take};

/// The progress of a run and its stop signal. Shared with the display of the progress.
#[derive(Debug, Clone, Default)]
pub struct RunMonitor(Arc<MonitorState>);

#[derive(Debug, Default)]
struct MonitorState {
    files: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
}

impl RunMonitor {
    /// Files processed so far, and bytes copied.
    #[must_use]
    pub fn reached(&self) -> (u64, u64) {
        (self.0.files.load(Ordering::Relaxed), self.0.bytes.load(Ordering::Relaxed))
    }

    /// Ends the run at the next block that is copied.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    fn file(&self) {
        self.0.files.fetch_add(1, Ordering::Relaxed);
    }

    fn bytes(&self, count: u64) {
        self.0.bytes.fetch_add(count, Ordering::Relaxed);
    }

    fn go_on(&self) -> anyhow::Result<()> {
        if self.0.stop.load(Ordering::Relaxed) {
            bail!("stopped; nothing half done stands under a final name, and a next run goes on");
        }
        Ok(())
    }
}
