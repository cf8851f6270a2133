//! `asset-ledger replay`: the rows made anew from the events, while commands go on.

pub(super) mod keep;
mod progress;
mod report;
mod restored;

use std::io::{self, Write};
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, bail};
use chrono::TimeDelta;
use clap::Args;
use ledger::Effects;
use ledger::id::{AssetId, Key};
use projections::audit::{Mended, Mender};
use projections::generations::{DROP_GRACE, tidy};
use projections::replay::{ReplayError, ReplayOptions, ReplayOutcome, ReplayTally};
use projections::{Generations, replay};
use stores::SqliteViews;
use stores::sqlite::OpenMode;
use tokio::sync::watch;

use self::restored::Followed;
use super::signals::SignalListener;
use super::store_options::StoreOptions;
use crate::plural::count;
use crate::system::SystemEffects;

/// Segments at most: beyond this the disk or the table is what is waited for.
const SEGMENTS: i64 = 64;

/// Make the rows anew from the events, and switch to them.
///
/// Beside a running service: commands go on, and what they change is written to the old rows and to
/// the new ones. The new rows are a generation of their own; readers see the old ones until the new
/// ones are whole, compared, and switched to in one step. The old ones are kept for a while and
/// kept up, so that going back is one command.
///
/// Stopped or killed at any moment it changes nothing that is read, and goes on where it was when
/// the same command is given again.
///
/// Rows made from a journal that was tampered with would hide that. So every history is checked,
/// and if one does not verify, or a row knows what the journal does not, the assets are named and
/// the rows stay as they are. Look at them with `asset-ledger verify` first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger replay --data ./data --dry-run     # what would change
  asset-ledger replay --data ./data               # change it; the old rows are kept for an hour
  asset-ledger replay --data ./data --rollback    # go back to them
  asset-ledger replay --data ./data --clean       # or let go of them now
  asset-ledger replay --data ./data --asset $id   # one asset, also one that was set aside
  asset-ledger replay --data ./data --accept-restored   # the journal was restored from a copy
  asset-ledger replay --store dynamodb --journal-table journal --views-table views --rate 500")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct ReplayCommand {
    /// Show what a replay would change, and change nothing.
    #[arg(long, group = "deed")]
    dry_run: bool,
    /// Make the row of this asset only, in the rows that are read: where it is missing, lags, was
    /// altered or cannot be read. What a row remembers that its events do not tell stays.
    #[arg(long, value_name = "ID", group = "deed")]
    asset: Option<AssetId>,
    /// Go back to the rows before the last replay; once more takes that back.
    #[arg(long, group = "deed")]
    rollback: bool,
    /// Remove the rows that are kept to go back to, and those of a replay that was not finished.
    #[arg(long, group = "deed")]
    clean: bool,
    /// Begin anew where an earlier replay was not finished.
    #[arg(long, conflicts_with = "deed")]
    fresh: bool,
    /// Segments of the journal that are read at once; as many as there are cores without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=SEGMENTS))]
    segments: Option<u32>,
    /// Write units a second at most: rows, or on DynamoDB each KiB of one. No limit without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// How long the old rows are kept: 90s, 15m, 1h, 7d; 0s removes them at once. Each change
    /// is one more write until then.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = keep::parse)]
    keep: TimeDelta,
    /// Switch although histories do not verify or rows know what the journal does not. Assets whose
    /// history does not verify have no row then, and are set aside.
    #[arg(long, conflicts_with = "deed")]
    accept_broken: bool,
    /// The journal was restored from an earlier copy, and that is meant: switch although rows know
    /// what it does not, and follow it from here. The old rows are kept as evidence until --clean.
    /// With --asset: accept what the journal tells of this asset, whatever its row remembers.
    #[arg(long, conflicts_with_all = ["dry_run", "rollback", "clean"])]
    accept_restored: bool,
    #[command(flatten)]
    stores: StoreOptions,
}

impl ReplayCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (stop, told) = watch::channel(false);
        let replay = self.replay(told).await?;
        let heed = SignalListener::heed()?;
        Box::pin(until_told(self.act(&replay), heed, stop)).await
    }

    async fn act(&self, replay: &replay::Replay) -> anyhow::Result<()> {
        if self.dry_run {
            return rehearse(replay).await;
        }
        // What an earlier one left to be removed; failing to is no reason not to go on.
        let _ = tidy(&*replay.table, SystemEffects.now()).await;
        if let Some(asset) = self.asset {
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

    async fn replay(&self, stop: watch::Receiver<bool>) -> anyhow::Result<replay::Replay> {
        let opened = self.stores.journal().await?;
        let table = if self.dry_run {
            self.stores.views_if_any().await?
        } else {
            self.stores.views_as(OpenMode::OrCreate).await?
        };
        Ok(replay::Replay {
            scan: opened.scan,
            journal: opened.journal,
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
        // Before the scan begins: what comes later is followed.
        let followed = Followed::open(&self.stores).await?;
        if let (Some(followed), false) = (&followed, self.accept_restored) {
            followed.refuse_another().await?;
        }
        match progress::beside(replay, replay.run()).await {
            Ok(ReplayOutcome::Switched(generation, report)) => {
                report::write(&report)?;
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
                report::write(&report)?;
                bail!(report::REFUSED)
            }
            Ok(ReplayOutcome::Stopped) => bail!("stopped; the same command goes on from here"),
            Err(error @ ReplayError::Store(_)) => {
                Err(error).context("a store does not answer; the same command goes on from here")
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn one(&self, replay: &replay::Replay, asset: AssetId) -> anyhow::Result<()> {
        let (journal, views) = (replay.journal.clone(), replay.table.clone());
        let mender = Mender { journal, views, effects: Arc::new(SystemEffects) };
        let key = Key { tenant: self.stores.tenant.clone(), asset };
        let outcome =
            if self.accept_restored { mender.accept(&key).await } else { mender.mend(&key).await };
        let said = match outcome.context("a store does not answer")? {
            Mended::Sound => "its row is as its events make it",
            Mended::Anew => "its row is made anew",
            Mended::Parked => bail!(
                "{asset} cannot be projected: `asset-ledger history {asset}` \
                shows why. It is set aside"
            ),
            Mended::Disputed(findings) => bail!(report::disputed(asset, &findings)),
            Mended::Unknown if self.accept_restored => {
                "the journal has no event of it; its row was taken away"
            }
            Mended::Unknown => bail!("there is no asset {asset} of tenant {}", key.tenant),
        };
        Ok(writeln!(io::stdout(), "{asset}: {said}")?)
    }
}

/// Does it until it is done or told to stop: once at a clean place, twice at once.
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
    writeln!(io::stderr(), "stopping at the next clean place; once more stops at once")?;
    tokio::select! {
        done = &mut deed => done,
        () = heed.told() => bail!("stopped at once; the same command goes on from here"),
    }
}

async fn rehearse(replay: &replay::Replay) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("no folder for the rows of a dry run")?;
    let scratch = SqliteViews::open(folder.path(), OpenMode::OrCreate)?;
    match progress::beside(replay, replay.rehearse(&scratch)).await? {
        Some(report) => {
            report::write(&report)?;
            if report.is_doubtful() {
                bail!(report::WOULD_REFUSE)
            }
            Ok(writeln!(io::stdout(), "nothing was changed: without --dry-run it is")?)
        }
        None => bail!("stopped; nothing was changed"),
    }
}

async fn roll_back(replay: &replay::Replay) -> anyhow::Result<()> {
    let generation = replay.roll_back().await?;
    writeln!(
        io::stdout(),
        "generation {generation} is read again; --rollback once more undoes it"
    )?;
    Ok(())
}

/// Removes what is to be removed, once nobody can be reading it any more.
async fn clean(table: &dyn Generations) -> anyhow::Result<()> {
    let dropped = table.generations().await?.dropped;
    let Some(from) = dropped.iter().map(|dropped| dropped.from).max() else {
        return Ok(writeln!(io::stdout(), "there are no old rows to remove")?);
    };
    let wait = (from - SystemEffects.now()).min(DROP_GRACE).to_std().unwrap_or_default();
    if !wait.is_zero() {
        writeln!(
            io::stdout(),
            "removing the old rows in {} s, when no reader can hold on to them any more; \
             stopped before, the next replay or `serve` removes them",
            wait.as_secs() + 1
        )?;
        tokio::time::sleep(wait).await;
    }
    let removed =
        tidy(table, SystemEffects.now()).await.context("not all old rows were removed")?;
    Ok(writeln!(io::stdout(), "removed {}", count(removed, "old row"))?)
}

fn cores() -> u32 {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cores).unwrap_or(1)
}
