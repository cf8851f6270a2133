//! A data folder copied beside the process that serves it, and brought back elsewhere.
//!
//! A backup is a folder: the journal and the list of objects as of one moment, each file of an
//! object once, the key of the S3 endpoint, and a manifest that names them. The manifest is
//! replaced last, so a run that is cut off leaves the backup before it as it was. Rows are not
//! kept: they are made from the journal.

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

/// How far a run has come, and whether it is to end. Shared with whoever watches it.
#[derive(Debug, Clone, Default)]
pub struct RunMonitor(Arc<MonitorState>);

#[derive(Debug, Default)]
struct MonitorState {
    files: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
}

impl RunMonitor {
    /// Files looked at so far, and bytes copied.
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
