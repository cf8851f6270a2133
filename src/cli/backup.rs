//! `asset-ledger backup` and `asset-ledger restore`: a copy of a data folder, and back.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use ledger::id::Tenant;

use super::progress;
use super::signals::SignalListener;
use crate::aws::TENANT;
use crate::backup::{RunMonitor, restore, take};
use crate::plural::count;
use crate::system::SystemEffects;

/// Faults that are told one by one; the rest is counted.
const TOLD: usize = 20;

/// Copy a data folder beside a running `serve`.
///
/// Events, the list of objects and the key of the S3 endpoint are copied as of one moment, and
/// every file of an object once: a next run copies only what is new. Each file is hashed as it is
/// copied and read back. Files whose versions were deleted, by a purge above all, are removed from
/// the backup too: for older states keep several folders. Rows are not kept; `restore` makes them.
///
/// A run that is stopped leaves the backup before it as it was. Keep it on another disk, and as
/// secret as the data folder: it holds the key that signs URLs.
///
/// Exits with 1 also when the backup was made, but the ledger itself lacks something: it is named,
/// and `verify --objects=deep` says more.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger backup --data ./data --out /mnt/backup/ledger
  asset-ledger backup --data ./data --out /mnt/backup/ledger --deep
  asset-ledger restore --from /mnt/backup/ledger --data ./restored")]
pub(super) struct Backup {
    /// The data folder of `serve`.
    #[arg(long, env = "ASSET_LEDGER_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The folder of the backup; made when missing. Not in the data folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Read the files of earlier runs again, and copy anew what was altered.
    #[arg(long)]
    deep: bool,
}

/// Bring a backup back, into a folder that is not there yet or empty.
///
/// Every file is held against its hash. What was on its way when the backup was made is looked at,
/// and the rows are made, so that `verify --objects=deep` has nothing to find. Then run `serve` on
/// the folder. What happened after the backup is not in it: see `docs/OPERATIONS.md`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger restore --from /mnt/backup/ledger --data ./restored
  asset-ledger verify --data ./restored --objects=deep && asset-ledger serve --data ./restored")]
pub(super) struct Restore {
    /// The folder of the backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The data folder to be.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Whose assets.
    #[arg(long, env = TENANT, default_value = "main")]
    tenant: Tenant,
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
        tell("the ledger itself lacks", &taken.faults)
    }
}

impl Restore {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let watch = RunMonitor::default();
        let work = restore(&self.from, &self.data, self.tenant, Arc::new(SystemEffects), &watch);
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
        tell("not as it should be", &found.collect::<Vec<_>>())
    }
}

/// Shows how far `work` has come until it ends. A signal ends it in good order.
fn watched<T>(
    watch: &RunMonitor,
    work: impl Future<Output = anyhow::Result<T>>,
) -> impl Future<Output = anyhow::Result<T>> {
    let reached = || {
        let (files, bytes) = watch.reached();
        format!("{files} files looked at, {} MiB read", bytes >> 20)
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
