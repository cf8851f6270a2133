//! Running until told to stop: a first signal ends in good order, a second one at once.

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Heeds signals from its making on: before anything is acknowledged.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(super) fn heed() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits until told to stop.
    pub(super) async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => (),
            _ = self.terminate.recv() => (),
        }
    }

    /// Waits until told to stop, then for `end`.
    pub(super) async fn wait(mut self, end: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.told().await;
        tracing::info!("stopping: finishing what is under way; a second signal ends it at once");
        tokio::select! {
            () = end => Ok(()),
            () = self.told() => bail!("stopped at once; nothing acknowledged is lost"),
        }
    }
}
