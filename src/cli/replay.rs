//! `asset-ledger replay`: rebuilds the rows from the events, while commands continue.

pub(super) mod keep;
mod progress;
mod report;
mod restored;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::TimeDelta;
use clap::Args;
use ledger::Effects;
use ledger::id::Tenant;
use projections::audit::{Mended, Mender};
use projections::generations::{DROP_GRACE, tidy};
use projections::replay::{ReplayError, ReplayOptions, ReplayOutcome, ReplayTally};
use projections::{Generations, replay};
use stores::SqliteViews;
use stores::sqlite::OpenMode;
use tempfile::TempDir;
use tokio::sync::watch;

use self::restored::Followed;
use super::signals::SignalListener;
use super::store_options::StoreOptions;
use super::values::{AssetLabel, cores};
use crate::plural::count;
use crate::system::SystemEffects;

/// The maximum number of segments: with more, the disk or the table limits the speed.
const SEGMENTS: i64 = 64;

/// Rebuild the rows from the events, and switch to the new rows.
///
/// The service may run meanwhile; its changes are written to the old rows and to the new ones. The
/// new rows are a generation of their own. Readers use the old generation until the new one is
/// complete and compared; the switch is one step. The old generation is kept and updated for a
/// while, so that --rollback can return to it.
///
/// A replay that is stopped or killed changes no row that is read. The same command resumes it.
///
/// New rows from a tampered journal would hide the tampering. So every history is verified. If one
/// does not verify, or a row knows an event that the journal does not have, the command names the
/// assets and does not switch. Then run `asset-ledger verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger replay --data ./data --dry-run     # show the changes
  asset-ledger replay --data ./data               # switch; the old rows are kept for an hour
  asset-ledger replay --data ./data --rollback    # return to the old rows
  asset-ledger replay --data ./data --clean       # or remove them now
  asset-ledger replay --data ./data --asset $id   # one asset, also a parked one
  asset-ledger replay --data ./data --accept-restored   # the journal was restored from a copy
  asset-ledger replay --store dynamodb --journal-table journal --views-table views --rate 500")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct ReplayCommand {
    /// Show the changes that a replay would make, and change nothing.
    #[arg(long, group = "deed")]
    dry_run: bool,
    /// Rebuild the row of this asset only, in the current generation, if it is missing, lags, was
    /// altered or cannot be read. A row that its events contradict is not changed.
    #[arg(long, value_name = "ID", group = "deed")]
    asset: Option<AssetLabel>,
    /// Return to the rows before the last replay. A second --rollback undoes the first.
    #[arg(long, group = "deed")]
    rollback: bool,
    /// Remove the rows kept for --rollback, and the rows of an unfinished replay.
    #[arg(long, group = "deed")]
    clean: bool,
    /// Start from the beginning instead of resuming an unfinished replay.
    #[arg(long, conflicts_with = "deed")]
    fresh: bool,
    /// Segments of the journal that are read at once; by default the number of cores.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=SEGMENTS))]
    segments: Option<u32>,
    /// The limit of write units per second: rows, or on DynamoDB KiB of rows. By default none.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// How long the old rows are kept: 90s, 15m, 1h, 7d; 0s removes them at once. Until then each
    /// change costs one more write.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = keep::parse)]
    keep: TimeDelta,
    /// Switch even if histories do not verify or rows know events that the journal does not have.
    /// Assets whose history does not verify have no row then, and are parked.
    #[arg(long, conflicts_with = "deed")]
    accept_broken: bool,
    /// Accept a journal that was restored from an earlier copy: switch even if rows know events
    /// that it does not have, and follow it from now on. The old rows are kept as evidence until
    /// --clean. With --asset: rebuild the row from the journal even if the row contradicts it.
    #[arg(long, conflicts_with_all = ["dry_run", "rollback", "clean"])]
    accept_restored: bool,
    #[command(flatten)]
    stores: StoreOptions,
}

impl ReplayCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (stop, told) = watch::channel(false);
        let scratch = self.dry_run.then(tempfile::tempdir).transpose();
        let scratch = scratch.context("cannot create a temporary folder for the dry run")?;
        let scratch = scratch.as_ref().map(TempDir::path);
        let replay = self.replay(told, scratch).await?;
        let heed = SignalListener::heed()?;
        Box::pin(until_told(self.act(&replay, scratch), heed, stop)).await
    }

    async fn act(&self, replay: &replay::Replay, scratch: Option<&Path>) -> anyhow::Result<()> {
        if let Some(scratch) = scratch {
            return rehearse(replay, scratch, &self.stores.home_tenant()).await;
        }
        // Rows that an earlier run left to be removed; a failure does not stop the replay.
        let _ = tidy(&*replay.table, SystemEffects.now()).await;
        if let Some(asset) = &self.asset {
            self.one(replay, asset).await
        } else if self.rollback {
            roll_back(replay).await
        } else if self.clean {
            replay.abandon().await?;
            clean(&*replay.table).await
        } else {
            self.all(replay).await
        }
    }

    async fn replay(
        &self,
        stop: watch::Receiver<bool>,
        scratch: Option<&Path>,
    ) -> anyhow::Result<replay::Replay> {
        let table = match scratch {
            Some(scratch) => self.stores.views_or_new(scratch).await?,
            None => self.stores.views_as(OpenMode::OrCreate).await?,
        };
        Ok(replay::Replay {
            journal: self.stores.journal().await?,
            table,
            effects: Arc::new(SystemEffects),
            options: ReplayOptions {
                tenant: self.stores.tenant.clone(),
                segments: self.segments.unwrap_or_else(cores),
                rate: self.rate,
                keep: Some(self.keep).filter(|keep| !keep.is_zero()),
                accept_broken: self.accept_broken,
                accept_restored: self.accept_restored,
                fresh: self.fresh,
            },
            tally: Arc::new(ReplayTally::default()),
            stop,
        })
    }

    async fn all(&self, replay: &replay::Replay) -> anyhow::Result<()> {
        // Before the scan begins: later events are followed.
        let followed = Followed::open(&self.stores).await?;
        if let (Some(followed), false) = (&followed, self.accept_restored) {
            followed.refuse_another().await?;
        }
        match progress::beside(replay, replay.run()).await {
            Ok(ReplayOutcome::Switched(generation, report)) => {
                report::write(&report, &self.stores.home_tenant())?;
                if self.accept_restored {
                    if let Some(followed) = followed {
                        followed.accept().await?;
                    }
                    return Ok(report::accepted(generation)?);
                }
                report::switched(generation, replay.options.keep, SystemEffects.now())?;
                if replay.options.keep.is_none() { clean(&*replay.table).await } else { Ok(()) }
            }
            Ok(ReplayOutcome::Refused(report)) => {
                report::write(&report, &self.stores.home_tenant())?;
                bail!(report::REFUSED)
            }
            Ok(ReplayOutcome::Stopped) => bail!("stopped; run the same command again to resume"),
            Err(error @ ReplayError::Store(_)) => {
                Err(error).context("a store does not answer; run the same command again to resume")
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn one(&self, replay: &replay::Replay, asset: &AssetLabel) -> anyhow::Result<()> {
        let (journal, views) = (replay.journal.clone(), replay.table.clone());
        let mender = Mender { journal, views, effects: Arc::new(SystemEffects) };
        let key = asset.key(&self.stores.home_tenant());
        let asset = key.label();
        let outcome =
            if self.accept_restored { mender.accept(&key).await } else { mender.mend(&key).await };
        let said = match outcome.context("a store does not answer")? {
            Mended::Sound => "the row matches its events",
            Mended::Anew => "the row was rebuilt",
            Mended::Parked => bail!(
                "{asset} cannot be projected and is parked: `asset-ledger history {asset}` \
                shows the cause"
            ),
            Mended::Disputed(findings) => bail!(report::disputed(&asset, &findings)),
            Mended::Unknown if self.accept_restored => {
                "the journal has no event of it; the row was removed"
            }
            Mended::Unknown => bail!("tenant {} has no asset {}", key.tenant, key.asset),
        };
        Ok(writeln!(io::stdout(), "{asset}: {said}")?)
    }
}

/// Runs it to its end or a signal: the first stops it cleanly, the second at once.
async fn until_told(
    deed: impl Future<Output = anyhow::Result<()>>,
    mut heed: SignalListener,
    stop: watch::Sender<bool>,
) -> anyhow::Result<()> {
    tokio::pin!(deed);
    tokio::select! {
        done = &mut deed => return done,
        () = heed.told() => {}
    }
    stop.send_replace(true);
    writeln!(io::stderr(), "stopping at the next safe point; a second signal stops at once")?;
    tokio::select! {
        done = &mut deed => done,
        () = heed.told() => bail!("stopped at once; run the same command again to resume"),
    }
}

async fn rehearse(replay: &replay::Replay, scratch: &Path, home: &Tenant) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(scratch).context("cannot write to the temporary folder")?;
    let built = SqliteViews::open(folder.path(), OpenMode::OrCreate)?;
    match progress::beside(replay, replay.rehearse(&built)).await? {
        Some(report) => {
            report::write(&report, home)?;
            if report.is_doubtful() {
                bail!(report::WOULD_REFUSE)
            }
            Ok(writeln!(io::stdout(), "nothing was changed: this was a dry run")?)
        }
        None => bail!("stopped; nothing was changed"),
    }
}

async fn roll_back(replay: &replay::Replay) -> anyhow::Result<()> {
    let generation = replay.roll_back().await?;
    writeln!(
        io::stdout(),
        "generation {generation} is current again; a second --rollback undoes this"
    )?;
    Ok(())
}

/// Removes expired rows, once no reader can be using them any more.
async fn clean(table: &dyn Generations) -> anyhow::Result<()> {
    let dropped = table.generations().await?.dropped;
    let Some(from) = dropped.iter().map(|dropped| dropped.from).max() else {
        return Ok(writeln!(io::stdout(), "no old rows to remove")?);
    };
    let wait = (from - SystemEffects.now()).min(DROP_GRACE).to_std().unwrap_or_default();
    if !wait.is_zero() {
        writeln!(
            io::stdout(),
            "removing the old rows in {} s, when no reader can use them any more; if this command \
             is stopped before, the next replay or `serve` removes them",
            wait.as_secs() + 1
        )?;
        tokio::time::sleep(wait).await;
    }
    let removed = tidy(table, SystemEffects.now()).await.context("cannot remove all old rows")?;
    Ok(writeln!(io::stdout(), "removed {}", count(removed, "old row"))?)
}
