//! Running until told to stop: a first signal ends in good order, a second one at once.
//!
//! A terminal that is closed hangs up (SIGHUP), which tells to stop as SIGTERM does, unless the
//! program was started to outlive its terminal (`nohup`): such a start has the signal ignored.

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Heeds signals from its making on: before anything is acknowledged.
pub(super) struct SignalListener {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl SignalListener {
    pub(super) fn heed() -> anyhow::Result<Self> {
        let hangup = (!ignores_hangup()).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
        })
    }

    /// Waits until told to stop.
    pub(super) async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => (),
            _ = self.terminate.recv() => (),
            Some(()) = recv(self.hangup.as_mut()) => (),
        }
    }

    /// Waits until told to stop, then for `end`.
    pub(super) async fn wait(self, end: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.wait_unless(std::future::pending(), end).await
    }

    /// The same, and stops by itself as soon as `lost` tells why; that is a failure.
    pub(super) async fn wait_unless(
        mut self,
        lost: impl Future<Output = String>,
        end: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let lost = tokio::select! {
            () = self.told() => None,
            why = lost => Some(why),
        };
        tracing::info!("stopping: finishing the work under way; a second signal stops at once");
        tokio::select! {
            () = end => lost.map_or(Ok(()), |why| bail!("stopped: {why}")),
            () = self.told() => bail!("stopped at once; no acknowledged write is lost"),
        }
    }
}

/// Does the work, unless told to stop before it ends; `stopped` says what that leaves.
pub(super) fn unless_stopped<T>(
    work: impl Future<Output = anyhow::Result<T>>,
    stopped: &'static str,
) -> impl Future<Output = anyhow::Result<T>> {
    let mut work = Box::pin(work);
    async move {
        let mut signals = SignalListener::heed()?;
        tokio::select! {
            done = &mut work => done,
            () = signals.told() => bail!(stopped),
        }
    }
}

async fn recv(signal: Option<&mut Signal>) -> Option<()> {
    signal?.recv().await
}

/// Whether this process was started with SIGHUP ignored, where the system tells.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|it| it & 1 == 1)
}
