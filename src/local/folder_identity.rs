//! Whether the served files are still the opened ones: writes to a folder that was moved,
//! overwritten or removed under the process would be lost.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::folder::FolderLock;
use super::local_stores::LocalStores;
use crate::http::{Check, NotReady};

/// The interval of checks without writes.
const EVERY: Duration = Duration::from_secs(1);

/// The folder and its open files.
#[derive(Clone)]
pub(super) struct FolderIdentity {
    folder: Arc<FolderLock>,
    stores: Arc<LocalStores>,
    lost: watch::Sender<Option<String>>,
}

impl FolderIdentity {
    pub(super) fn new(folder: FolderLock, stores: Arc<LocalStores>) -> Self {
        Self { folder: Arc::new(folder), stores, lost: watch::Sender::new(None) }
    }

    /// Receives the reason as soon as the folder is lost.
    pub(super) fn lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.subscribe()
    }

    /// Checks periodically.
    pub(super) async fn keep_looking(self, stop: CancellationToken) {
        let looking = async {
            while self.look().is_ok() {
                tokio::time::sleep(EVERY).await;
            }
        };
        stop.run_until_cancelled(looking).await;
    }

    /// Ends the writers.
    pub(super) async fn close(&self) {
        self.stores.close().await;
    }

    fn look(&self) -> Result<(), String> {
        let folder = self.folder.check().map_err(|error| format!("{error:#}"));
        let looked = folder.and_then(|()| self.stores.check().map_err(|error| error.to_string()));
        if let Err(why) = &looked {
            let told = |lost: &mut Option<String>| {
                let first = lost.is_none();
                lost.get_or_insert_with(|| why.clone());
                first
            };
            if self.lost.send_if_modified(told) {
                tracing::error!(why, "the data folder or its lock was moved or replaced: stopping");
            }
        }
        looked
    }
}

#[async_trait]
impl Check for FolderIdentity {
    fn name(&self) -> &'static str {
        "folder"
    }

    async fn check(&self) -> Result<(), NotReady> {
        self.look().map_err(|_| {
            NotReady("the data folder was moved, replaced or removed: see the log".to_owned())
        })
    }
}
