//! Runs until stopped: a first signal ends the process in good order, a second one at once.
//!
//! A closed terminal sends SIGHUP, which stops the process like SIGTERM, unless the program was
//! started to outlive its terminal (`nohup`): then the signal is ignored at the start.

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handles signals from its creation on: before anything is acknowledged.
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

    /// Waits for a signal.
    pub(super) async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => (),
            _ = self.terminate.recv() => (),
            Some(()) = recv(self.hangup.as_mut()) => (),
        }
    }

    /// Waits for a signal, then for `end`.
    pub(super) async fn wait(self, end: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.wait_unless(std::future::pending(), end).await
    }

    /// The same, and stops as soon as `lost` returns a reason, which is a failure.
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

/// Runs the work unless a signal stops it; `stopped` describes the result of a stop.
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

/// Whether this process was started with SIGHUP ignored, if the system reports it.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|it| it & 1 == 1)
}
