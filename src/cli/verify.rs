//! `asset-ledger verify`: reports tampering, loss, lag.

mod offline;
mod report;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use projections::Positions;
use projections::audit::{AuditProgress, RowAudit, followed};
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::OpenMode;
use tokio::sync::mpsc;

use self::offline::Offline;
use self::report::{VerifiedCounts, VerifyReport};
use super::progress;
use super::signals::unless_stopped;
use super::store_options::{StoreKind, StoreOptions};
use super::values::cores;
use crate::export::{CheckSummary, CheckpointHeads};
use crate::object_audit::{ObjectAudit, ObjectAuditDepth};
use crate::plural::count;
use crate::system::SystemEffects;

/// The exit code for findings.
const FINDINGS: u8 = 1;
/// The exit code for a ledger that could not be verified: neither sound nor faulty.
pub(super) const COULD_NOT_LOOK: u8 = 2;
/// Findings that may wait for output before the audit waits.
const QUEUE: usize = 256;
/// Segments at most: beyond this the disk or the table is the limit.
const SEGMENTS: i64 = 64;
/// Seconds of patience at most. If rows lag longer, the projection is not running.
const PATIENCE: u64 = 3600;

/// Verify the ledger, and report tampering, loss and lag.
///
/// Reads the whole journal and all rows, with or without a running service, and reports every
/// difference. A row that lags is not a finding at once: it is read again until no lagging row has
/// made progress for --patience seconds. Without --repair, nothing is written.
///
/// The journal alone cannot reveal that its last event was edited or removed; the row reveals it.
/// If an event and its row were both changed, only a checkpoint reveals it (--against).
///
/// The exit code is 0 without findings, 1 with findings (also if --repair repaired them: run it
/// again), and 2 if the ledger could not be verified.
#[derive(Debug, Args)]
#[command(mut_arg("data", |it| it.required_unless_present_any(["store", "file"])))]
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
    /// Print JSON Lines: one object per finding, then one with the totals.
    #[arg(long)]
    json: bool,
    /// Rebuild wrong rows from their events, and report each repair. The journal is never changed,
    /// nor is a row that may be evidence: one without events, with broken events, or with an event
    /// that the journal does not have. Nothing is repaired if --against has findings or the rows
    /// followed another journal.
    #[arg(long)]
    repair: bool,
    /// Verify the files too: every pinned version exists with the recorded bytes, and no other file
    /// exists. `=deep` reads every byte. With --repair, objects of lost notifications are
    /// reconciled, and leftovers of a purge are destroyed.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true,
        default_missing_value = "described")]
    objects: Option<ObjectDepth>,
    /// With --repair and --objects: record assets whose bytes are gone as purged. This cannot be
    /// undone: check that the bucket is the right one.
    #[arg(long, requires_all = ["repair", "objects"])]
    accept_missing: bool,
    /// Seconds without progress after which lagging rows are findings.
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(..=PATIENCE))]
    patience: u64,
    /// Segments of the journal that are read at once; by default the number of cores.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=SEGMENTS))]
    segments: Option<u32>,
    #[command(flatten)]
    offline: Offline,
    #[command(flatten)]
    stores: StoreOptions,
}

/// How closely to look at files.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ObjectDepth {
    /// Compare the bucket's metadata.
    Described,
    /// Read and hash all bytes.
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
        let mut report = VerifyReport::new(self.json, self.stores.home_tenant());
        // First, because rows must not be repaired from a rewritten journal.
        let compared = async {
            offline::compare(against, &audit, &mut report).await?;
            self.followed(&mut report).await
        };
        let compared = compared.await;
        if self.repair && report.count() > 0 {
            writeln!(io::stderr(), "--repair: nothing is repaired from such a journal")?;
            audit.repair = false;
            if let Some(files) = &mut files {
                files.repair = false;
            }
        }
        let looked = match compared {
            Ok(()) => look(&audit, files.as_ref(), &progress, &mut report).await,
            Err(error) => Err(error),
        };
        let ((assets, events, rows), streams) = (progress.figures(), progress.streams());
        conclude(report, VerifiedCounts { assets, streams, events, rows }, looked)
    }

    /// Reports if a data folder's rows are ahead of its journal.
    async fn followed(&self, report: &mut VerifyReport) -> anyhow::Result<()> {
        let folder = self.stores.folder();
        if self.stores.store != StoreKind::Sqlite || !SqliteViews::is_there(folder) {
            return Ok(());
        }
        // The position first: the journal has every event up to it.
        let position = SqliteViews::open(folder, OpenMode::ReadOnly)?.load().await?;
        let journal = SqliteJournal::open(folder, OpenMode::ReadOnly).await?;
        if let Some(finding) = followed(&position, &journal).await? {
            report.tell(finding)?;
        }
        Ok(())
    }

    fn file(&self, path: &Path, against: Option<&CheckpointHeads>) -> anyhow::Result<ExitCode> {
        let (mut report, mut checked) =
            (VerifyReport::new(self.json, self.stores.home_tenant()), CheckSummary::default());
        let looked = offline::look(path, against, &mut report, &mut checked);
        let (events, CheckSummary { assets, streams, .. }) = (checked.all_events(), checked);
        conclude(report, VerifiedCounts { assets, streams, events, rows: 0 }, looked)
    }

    async fn audit(&self) -> anyhow::Result<RowAudit> {
        let journal = self.stores.journal_as(self.open()).await?;
        Ok(RowAudit {
            journal,
            views: self.stores.views_as(self.open()).await?,
            tenant: self.stores.tenant.clone(),
            effects: Arc::new(SystemEffects),
            repair: self.repair,
            patience: Duration::from_secs(self.patience),
            segments: self.segments.unwrap_or_else(cores),
        })
    }

    /// Opens evidence read-only, except for repairs.
    fn open(&self) -> OpenMode {
        if self.repair { OpenMode::Existing } else { OpenMode::ReadOnly }
    }

    async fn files(&self, audit: &RowAudit) -> anyhow::Result<Option<ObjectAudit>> {
        let Some(how) = self.objects else { return Ok(None) };
        let (inventory, bucket) = self.stores.files(self.open()).await?;
        let RowAudit { journal, effects, tenant, patience, .. } = audit.clone();
        Ok(Some(ObjectAudit {
            tenant,
            depth: match how {
                ObjectDepth::Described => ObjectAuditDepth::Described,
                ObjectDepth::Deep => ObjectAuditDepth::Deep,
            },
            repair: self.repair,
            accept_missing: self.accept_missing,
            patience,
            ..ObjectAudit::new(journal, inventory, effects, bucket)
        }))
    }
}

/// Runs the audit, and reports findings as they come.
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
        drop(findings); // ends `report.take`
        looked
    };
    let work = async {
        let (looked, told) = tokio::join!(looking, report.take(heard));
        told.and(looked.context("the ledger could not be verified"))
    };
    let shown = progress::on_terminal(work, || reached(progress, files));
    unless_stopped(shown, "stopped before the end").await
}

/// The progress of the audit.
fn reached(progress: &AuditProgress, files: Option<&ObjectAudit>) -> String {
    let (assets, events, rows) = progress.figures();
    let (assets, events) = (count(assets, "asset"), count(events, "event"));
    let files = files.map(|files| format!(", {}", count(files.looked(), "file")));
    format!("{assets}, {events}, {}{}", count(rows, "row"), files.unwrap_or_default())
}

/// Reports the totals, also if interrupted, and returns the exit code.
fn conclude(
    report: VerifyReport,
    checked: VerifiedCounts,
    looked: anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let found = report.end(checked, looked.is_ok())?;
    looked?;
    Ok(if found == 0 { ExitCode::SUCCESS } else { FINDINGS.into() })
}
