//! The inputs of `verify` beside a ledger: exports, bare chains, and checkpoints kept elsewhere.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use ledger::audit::Finding;
use projections::audit::RowAudit;

use super::report::VerifyReport;
use crate::cli::checkpoint::verifier;
use crate::cli::progress::EventProgress;
use crate::cli::render;
use crate::export::left_out_beside;
use crate::export::{
    self, CheckSummary, CheckpointHeads, Comparison, ComparisonResult, FindingObserver,
    HeadsProvenance, InputKind,
};
use crate::plural::count;

/// An export to verify, and a checkpoint to compare with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Exports and checkpoints")]
pub(super) struct Offline {
    /// Verify an export (a folder or a tar) instead of a ledger, or bare chains: the stored bytes
    /// of one event per line, plain or gzip; `-` is standard input. A pipe is read once.
    #[arg(long, value_name = "PATH", 
        conflicts_with_all = ["repair", "objects", "patience", "segments"])]
    pub(super) file: Option<PathBuf>,
    /// Compare with the heads of an earlier checkpoint. This reveals histories that were cut off or
    /// rewritten, and assets that were removed.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The public key of the checkpoint's signer: the key itself, or a file with it.
    #[arg(long, value_name = "KEY", requires = "against")]
    key: Option<String>,
}

impl Offline {
    /// The checkpoint to compare with; says what vouches for it.
    pub(super) fn checkpoint(&self) -> anyhow::Result<Option<CheckpointHeads>> {
        let Some(heads) = &self.against else { return Ok(None) };
        let twice = self.file.as_deref() == Some(heads) && heads == Path::new("-");
        ensure!(!twice, "--file - and --against -: only one can be standard input; name a file");
        let key = self.key.as_deref().map(verifier).transpose()?;
        let against = CheckpointHeads::open(heads, key.as_ref())?;
        let (assets, list) = (against.described(), left_out_beside(heads));
        let (said, left_out) = match against.vouched() {
            HeadsProvenance::Signed(of) => {
                (format!("signed by {}, {assets}", of.origin), of.left_out)
            }
            HeadsProvenance::Noted(of) => {
                let said =
                    format!("names {}, unverified; give --key to verify the signature", of.origin);
                (said, of.left_out)
            }
            HeadsProvenance::Bare => ("not signed: only its storage protects it".to_owned(), 0),
        };
        let name = heads.display().to_string();
        writeln!(io::stderr(), "checkpoint {}: {}", render::line(&name), render::line(&said))?;
        if left_out > 0 || list.is_file() {
            let list = list.display().to_string();
            let so_many = if left_out > 0 { count(left_out, "asset") } else { "assets".to_owned() };
            let said =
                "left out of the checkpoint and not compared: their histories did not verify";
            writeln!(io::stderr(), "{so_many} {said}; see {}", render::line(&list))?;
        }
        Ok(Some(against))
    }
}

/// Compares a ledger with a checkpoint, if there is one.
pub(super) async fn compare(
    against: Option<&CheckpointHeads>,
    with: &RowAudit,
    report: &mut VerifyReport,
) -> anyhow::Result<()> {
    let Some(against) = against else { return Ok(()) };
    let mut tell = TeeReport { report, failed: Ok(()) };
    let met = against.journal(&*with.journal, &mut |finding| tell.tell(finding)).await?;
    tell.failed?;
    of_this_ledger(met)
}

/// Checks a file, and shows the progress. It is opened once: the bytes compared with a checkpoint
/// are those that were checked.
pub(super) fn look(
    path: &Path,
    against: Option<&CheckpointHeads>,
    report: &mut VerifyReport,
    seen: &mut CheckSummary,
) -> anyhow::Result<()> {
    let mut comparison = against.map(CheckpointHeads::begin).transpose()?;
    let looked = InputKind::open(path).context("--file")?;
    let bare = matches!(looked, InputKind::Bare(_));
    let mut tell = TeeReport { report, failed: Ok(()) };
    *seen = checked(looked, comparison.as_mut(), &mut |finding| tell.tell(finding))?;
    // An export of nothing has a manifest; a pipe is empty also if its other end failed.
    let histories = seen.assets + seen.streams;
    let nothing = bare && histories == 0 && tell.report.count() == 0;
    ensure!(!nothing, "--file {}: no event to verify", path.display());
    if let Some(comparison) = comparison {
        of_this_ledger(comparison.end(&mut |finding| tell.tell(finding))?)?;
    }
    tell.failed?;
    if let (1, Some(head)) = (histories, &seen.head) {
        writeln!(io::stderr(), "head {} at version {}", head.hash, head.version)?;
    }
    Ok(())
}

/// If a checkpoint has none of the assets, it is another ledger's, or everything was replaced: a
/// person must decide.
fn of_this_ledger(
    ComparisonResult { heads, removed, others }: ComparisonResult,
) -> anyhow::Result<()> {
    ensure!(
        heads > 0 || removed == 0 || others == 0,
        "the ledger has none of the {} of the checkpoint, but {others} others: the checkpoint is \
         of another ledger, or the whole ledger was replaced",
        count(removed, "asset"),
    );
    Ok(())
}

fn checked(
    looked: InputKind,
    against: Option<&mut Comparison<'_>>,
    tell: FindingObserver<'_>,
) -> anyhow::Result<CheckSummary> {
    let mut progress = EventProgress::new("checked");
    let seen = &mut |events| progress.reached(events);
    match looked {
        InputKind::Export(archive) => export::check_against(&archive, against, tell, seen),
        InputKind::Bare(runs) => CheckSummary::of_runs(runs, against, tell, seen),
    }
}

/// A report that also gets findings from a sender that ignores errors.
struct TeeReport<'a> {
    report: &'a mut VerifyReport,
    failed: io::Result<()>,
}

impl TeeReport<'_> {
    fn tell(&mut self, finding: Finding) {
        if self.failed.is_ok() {
            self.failed = self.report.tell(finding);
        }
    }
}
