//! `asset-ledger backup` and `asset-ledger restore`: a copy of a data folder, and back.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::progress;
use super::signals::SignalListener;
use crate::backup::{RunMonitor, restore, take};
use crate::plural::count;
use crate::system::SystemEffects;

/// Faults that are listed; the rest is counted.
const TOLD: usize = 20;

/// Back up a data folder, with or without a running `serve`.
///
/// Events, the list of objects and the key of the S3 endpoint are copied as of one moment. Each
/// object file is copied once; a later run copies only new files. Each file is hashed during the
/// copy and read back. Files of deleted versions, such as purged ones, are removed from the backup
/// too: keep several folders to keep older states. Rows are not copied; `restore` rebuilds them.
///
/// An interrupted run leaves the previous backup unchanged. Keep the backup on another disk, and
/// as secret as the data folder: it holds the key that signs URLs.
///
/// The exit code is also 1 if the backup was made but the ledger has missing or damaged data. Each
/// fault is listed; `verify --objects=deep` gives the details.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger backup --data ./data --out /mnt/backup/ledger
  asset-ledger backup --data ./data --out /mnt/backup/ledger --deep
  asset-ledger restore --from /mnt/backup/ledger --data ./restored")]
pub(super) struct Backup {
    /// The data folder of `serve`.
    #[arg(long, env = "ASSET_LEDGER_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The folder of the backup; created if missing. It must not be in the data folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Read the files of earlier runs again, and replace those that were altered.
    #[arg(long)]
    deep: bool,
}

/// Restore a backup into a new or empty folder.
///
/// Every file is checked against its hash. Notifications that were pending at the time of the
/// backup are handled, and the rows are rebuilt. Remaining faults are listed, and the exit code is
/// then 1. Afterwards run `serve` on the folder. Events after the backup are not in it: see
/// `docs/OPERATIONS.md`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger restore --from /mnt/backup/ledger --data ./restored
  asset-ledger verify --data ./restored --objects=deep && asset-ledger serve --data ./restored")]
pub(super) struct Restore {
    /// The folder of the backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The new data folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

impl Backup {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let watch = RunMonitor::default();
        let (Self { data, out, deep }, watching) = (self, watch.clone());
        let work =
            tokio::task::spawn_blocking(move || take(&data, &out, deep, &SystemEffects, &watching));
        let taken = watched(&watch, async { work.await? }).await?;
        writeln!(
            io::stdout(),
            "backed up {} and {}: {} copied, {} removed",
            count(taken.events, "event"),
            count(taken.files, "file"),
            taken.copied,
            taken.removed
        )?;
        tell("fault in the ledger", &taken.faults)
    }
}

impl Restore {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let watch = RunMonitor::default();
        let work = restore(&self.from, &self.data, Arc::new(SystemEffects), &watch);
        let restored = watched(&watch, work).await?;
        writeln!(
            io::stdout(),
            "restored {} and {} as of {}",
            count(restored.events, "event"),
            count(restored.files, "file"),
            restored.at
        )?;
        let found = restored.findings.into_iter();
        let found = found.map(|it| format!("{}: {}: {}", it.kind, it.asset, it.says));
        tell("finding", &found.collect::<Vec<_>>())
    }
}

/// Shows the progress of `work` until it ends. A signal stops it in good order.
fn watched<T>(
    watch: &RunMonitor,
    work: impl Future<Output = anyhow::Result<T>>,
) -> impl Future<Output = anyhow::Result<T>> {
    let reached = || {
        let (files, bytes) = watch.reached();
        format!("{files} files checked, {} MiB read", bytes >> 20)
    };
    let mut shown = Box::pin(progress::beside(work, reached));
    async move {
        let mut signals = SignalListener::heed()?;
        loop {
            tokio::select! {
                done = &mut shown => return done,
                () = signals.told() => watch.stop(),
            }
        }
    }
}

fn tell(what: &str, faults: &[String]) -> anyhow::Result<ExitCode> {
    let more = faults.len().saturating_sub(TOLD);
    for fault in faults.iter().take(TOLD) {
        writeln!(io::stderr(), "{what}: {fault}")?;
    }
    if more > 0 {
        writeln!(io::stderr(), "and {more} more")?;
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
