//! `asset-ledger verify`: is everything as it was left?

mod offline;
mod report;

use std::io::{self, Write};
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use ledger::service::LedgerService;
use projections::Positions;
use projections::audit::{AuditProgress, RowAudit, followed};
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::OpenMode;
use tokio::sync::mpsc;

use self::offline::Offline;
use self::report::VerifyReport;
use super::progress;
use super::signals::unless_stopped;
use super::store_options::{StoreKind, StoreOrFile};
use crate::export::{CheckSummary, CheckpointHeads};
use crate::object_audit::{ObjectAudit, ObjectAuditDepth};
use crate::plural::count;
use crate::system::SystemEffects;

/// The exit code for findings.
const FINDINGS: u8 = 1;
/// The exit code for a ledger that could not be looked at: nothing was shown, good or bad.
pub(super) const COULD_NOT_LOOK: u8 = 2;
/// Findings that may wait to be told before the audit waits for them.
const QUEUE: usize = 256;
/// Segments at most: beyond this the disk or the table is what is waited for.
const SEGMENTS: i64 = 64;
/// Seconds of patience at most. Whoever waits longer has a projection that does not run.
const PATIENCE: u64 = 3600;

/// Check that nothing was tampered with.
///
/// Reads the whole journal and all rows, beside a running service or without one, and names
/// everything that is not as the ledger left it. A row that is merely on its way is no finding:
/// it is looked at again, until no row has moved for as long as --patience. Without --repair,
/// nothing is written.
///
/// A journal shows nothing of its own end: that a last event was edited or removed is seen by the
/// row that remembers it. What was done to an event and its row alike, only a checkpoint shows.
///
/// Exits with 0 if there is nothing, with 1 if there is something (also if --repair mended it: look
/// again), with 2 if it could not look.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger verify --data ./data
  asset-ledger verify --data ./data --repair && echo clean
  asset-ledger verify --data ./data --objects=deep
  asset-ledger verify --data ./data --json | jq -r 'select(.kind) | [.kind, .asset] | @tsv'
  asset-ledger verify --data ./data --against 2026-11-25.heads --key ledger.key.pub
  asset-ledger verify --file ledger-export.tar
  curl -H 'Accept: application/jsonl' $api/asset/$id/history | asset-ledger verify --file -
  asset-ledger verify --store dynamodb --journal-table journal --views-table views")]
pub(super) struct VerifyCommand {
    /// For machines: one JSON object a line, first each finding, at last what was checked.
    #[arg(long)]
    json: bool,
    /// Make rows that are wrong again from their events, and say so. The journal is never touched,
    /// nor is a row that may be evidence: one without events, of broken events, or of an event
    /// that the journal does not have. Where --against finds something, or the rows have followed
    /// another journal, nothing is mended.
    #[arg(long)]
    repair: bool,
    /// Look at the files too: is every pinned version there, with the bytes that were recorded, and
    /// is there nothing else? `=deep` reads every byte. With --repair, what a lost notification
    /// did not record is looked at again, and what was left of a purge is destroyed.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true,
        default_missing_value = "described")]
    objects: Option<ObjectDepth>,
    /// With --repair and --objects: record as purged the assets whose bytes are gone. That cannot
    /// be taken back: make sure that it is the right bucket.
    #[arg(long, requires_all = ["repair", "objects"])]
    accept_missing: bool,
    /// Seconds that rows which are behind may stand still before they are findings.
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(..=PATIENCE))]
    patience: u64,
    /// Segments of the journal that are walked at once; as many as there are cores without it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=SEGMENTS))]
    segments: Option<u32>,
    #[command(flatten)]
    offline: Offline,
    #[command(flatten)]
    stores: StoreOrFile,
}

/// How closely to look at files.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ObjectDepth {
    /// At what the bucket says of them.
    Described,
    /// At their bytes.
    Deep,
}

impl VerifyCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let against = self.offline.checkpoint()?;
        match &self.offline.file {
            Some(path) => self.file(path, against.as_ref()),
            None => self.ledger(against.as_ref()).await,
        }
    }

    async fn ledger(&self, against: Option<&CheckpointHeads>) -> anyhow::Result<ExitCode> {
        let (mut audit, progress) = (self.audit().await?, Arc::<AuditProgress>::default());
        let mut files = self.files(&audit).await?;
        let mut report = VerifyReport::new(self.json, &self.stores.tenant);
        // First, because rows are not to be mended from a journal that was rewritten.
        let compared = offline::compare(against, &audit, &mut report).await;
        let compared = match compared {
            Ok(()) => self.followed(&mut report).await,
            Err(error) => Err(error),
        };
        if self.repair && report.count() > 0 {
            writeln!(io::stderr(), "--repair: nothing is mended from such a journal")?;
            audit.repair = false;
            if let Some(files) = &mut files {
                files.repair = false;
            }
        }
        let looked = match compared {
            Ok(()) => look(&audit, files.as_ref(), &progress, &mut report).await,
            Err(error) => Err(error),
        };
        conclude(report, progress.figures(), looked)
    }

    /// Tells if the rows of a data folder know more than its journal.
    async fn followed(&self, report: &mut VerifyReport) -> anyhow::Result<()> {
        let folder = self.stores.folder();
        if self.stores.store != StoreKind::Sqlite || !SqliteViews::is_there(folder) {
            return Ok(());
        }
        // The position first: what it has followed, the journal has.
        let position = SqliteViews::open(folder, OpenMode::ReadOnly)?.load().await?;
        let journal = SqliteJournal::open(folder, OpenMode::ReadOnly).await?;
        if let Some(finding) = followed(&position, &journal).await? {
            report.tell(finding)?;
        }
        Ok(())
    }

    fn file(&self, path: &Path, against: Option<&CheckpointHeads>) -> anyhow::Result<ExitCode> {
        let (mut report, mut checked) =
            (VerifyReport::new(self.json, &self.stores.tenant), CheckSummary::default());
        let looked = offline::look(path, against, &mut report, &mut checked);
        conclude(report, (checked.assets, checked.events, 0), looked)
    }

    async fn audit(&self) -> anyhow::Result<RowAudit> {
        let opened = self.stores.journal_as(self.open()).await?;
        Ok(RowAudit {
            journal: opened.journal,
            scan: opened.scan,
            views: self.stores.views_as(self.open()).await?,
            tenant: self.stores.tenant.clone(),
            effects: Arc::new(SystemEffects),
            repair: self.repair,
            patience: Duration::from_secs(self.patience),
            segments: self.segments.unwrap_or_else(cores),
        })
    }

    /// Evidence is not touched, unless it is to be mended.
    fn open(&self) -> OpenMode {
        if self.repair { OpenMode::Existing } else { OpenMode::ReadOnly }
    }

    async fn files(&self, audit: &RowAudit) -> anyhow::Result<Option<ObjectAudit>> {
        let Some(how) = self.objects else { return Ok(None) };
        let (inventory, bucket) = self.stores.files(self.open()).await?;
        let (journal, tenant) = (audit.journal.clone(), audit.tenant.clone());
        let objects = inventory.clone();
        Ok(Some(ObjectAudit {
            service: LedgerService::new(journal, objects, Arc::new(SystemEffects), tenant, bucket),
            journal: audit.journal.clone(),
            scan: audit.scan.clone(),
            inventory,
            depth: match how {
                ObjectDepth::Described => ObjectAuditDepth::Described,
                ObjectDepth::Deep => ObjectAuditDepth::Deep,
            },
            repair: self.repair,
            accept_missing: self.accept_missing,
            patience: audit.patience,
            looked: AtomicU64::new(0),
        }))
    }
}

/// Looks at everything, and tells what is found as it is found.
async fn look(
    audit: &RowAudit,
    files: Option<&ObjectAudit>,
    progress: &Arc<AuditProgress>,
    report: &mut VerifyReport,
) -> anyhow::Result<()> {
    let (findings, heard) = mpsc::channel(QUEUE);
    let looking = async {
        let mut looked = audit.run(&findings, progress).await;
        if let (Ok(()), Some(files)) = (&looked, files) {
            looked = files.run(&findings).await;
        }
        drop(findings); // nobody waits for more
        looked
    };
    let work = async {
        let (looked, told) = tokio::join!(looking, report.take(heard));
        told.and(looked.context("the ledger could not be looked at"))
    };
    let shown = progress::on_terminal(work, || reached(progress, files));
    unless_stopped(shown, "stopped before the end").await
}

/// How far a look has come.
fn reached(progress: &AuditProgress, files: Option<&ObjectAudit>) -> String {
    let (assets, events, rows) = progress.figures();
    let (assets, events) = (count(assets, "asset"), count(events, "event"));
    let files = files.map(|files| format!(", {}", count(files.looked(), "file")));
    format!("{assets}, {events}, {}{}", count(rows, "row"), files.unwrap_or_default())
}

/// Tells the rest, also of a look that was broken off, and how to exit.
fn conclude(
    report: VerifyReport,
    figures: (u64, u64, u64),
    looked: anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let found = report.end(figures, looked.is_ok())?;
    looked?;
    Ok(if found == 0 { ExitCode::SUCCESS } else { FINDINGS.into() })
}

fn cores() -> u32 {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cores).unwrap_or(1)
}
