//! What `verify` looks at beside a ledger: exports, bare chains, and checkpoints kept elsewhere.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use ledger::audit::Finding;
use projections::audit::Audit;

use super::report::Report;
use crate::cli::checkpoint::verifier;
use crate::cli::progress::Progress;
use crate::export::{self, Against, Archive, Checked, Met, Runs, Tell, Vouched};

/// What to look at, and what to compare it with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Offline, and against a checkpoint")]
pub(super) struct Offline {
    /// Look at an export (a folder or a tar) instead of a ledger, or at bare chains: one event's
    /// stored bytes a line, packed by gzip or not; `-` is standard input.
    #[arg(long, value_name = "PATH", 
        conflicts_with_all = ["repair", "objects", "patience", "segments"])]
    pub(super) file: Option<PathBuf>,
    /// Compare with the heads of a checkpoint that was kept elsewhere: tells of histories that were
    /// cut off or written anew, and of assets that were removed.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// The public key of whoever signed the checkpoint: the key itself, or a file with it.
    #[arg(long, value_name = "KEY", requires = "against")]
    key: Option<String>,
}

impl Offline {
    /// The checkpoint to compare with; says what vouches for it.
    pub(super) fn checkpoint(&self) -> anyhow::Result<Option<Against>> {
        let Some(heads) = &self.against else { return Ok(None) };
        let key = self.key.as_deref().map(verifier).transpose()?;
        let against = Against::open(heads, key.as_ref())?;
        let shown = heads.display();
        let said = match against.vouched() {
            Vouched::Signed(of) => format!("signed by {}, {} assets", of.origin, of.size),
            Vouched::Noted(of) => {
                format!("says it is of {}; give --key to check who signed it", of.origin)
            }
            Vouched::Bare => "not signed: it is worth what its place is worth".to_owned(),
        };
        writeln!(io::stderr(), "checkpoint {shown}: {said}")?;
        Ok(Some(against))
    }
}

/// Compares a ledger with a checkpoint, if there is one.
pub(super) async fn compare(
    against: Option<&Against>,
    with: &Audit,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Some(against) = against else { return Ok(()) };
    let mut tell = Telling::new(report);
    let met = against.journal(&*with.scan, &mut |finding| tell.tell(finding)).await?;
    tell.done()?;
    of_this_ledger(met)
}

/// Looks at a file, and says meanwhile how much of it was checked.
pub(super) fn look(
    path: &Path,
    against: Option<&Against>,
    report: &mut Report,
    seen: &mut Checked,
) -> anyhow::Result<()> {
    let again = against.is_none() || path != Path::new("-");
    ensure!(again, "--against reads a second time, which '-' cannot give");
    let mut tell = Telling::new(report);
    let archive = archive(path)?;
    *seen = checked(path, archive.as_ref(), &mut |finding| tell.tell(finding))?;
    // An export of nothing says so in its manifest; a pipe is empty also if its other end failed.
    let nothing = archive.is_none() && seen.assets == 0 && tell.report.count() == 0;
    ensure!(!nothing, "--file {}: there is nothing to look at", path.display());
    if let Some(against) = against {
        let runs = archive.as_ref().map_or_else(|| bare(path), |it| Ok(it.runs()))?;
        of_this_ledger(against.files(runs, &mut |finding| tell.tell(finding))?)?;
    }
    tell.done()?;
    if let (1, Some(head)) = (seen.assets, &seen.head) {
        writeln!(io::stderr(), "head {} at version {}", head.hash, head.version)?;
    }
    Ok(())
}

/// A checkpoint that knows none of the assets is another ledger's, or everything was replaced:
/// that is for a person to tell apart.
fn of_this_ledger(Met { heads, removed, others }: Met) -> anyhow::Result<()> {
    ensure!(
        heads > 0 || removed == 0 || others == 0,
        "none of the {removed} assets of the checkpoint is here, but {others} others: it is of \
         another ledger, or all of this one was replaced",
    );
    Ok(())
}

fn checked(path: &Path, archive: Option<&Archive>, tell: Tell<'_>) -> anyhow::Result<Checked> {
    let mut progress = Progress::new("checked");
    let seen = &mut |events| progress.reached(events);
    match archive {
        Some(archive) => export::check(archive, tell, seen),
        None => Checked::of_runs(bare(path)?, tell, seen),
    }
}

fn archive(path: &Path) -> anyhow::Result<Option<Archive>> {
    if path == Path::new("-") {
        return Ok(None);
    }
    let shown = path.display();
    let kind = path.metadata().with_context(|| format!("--file {shown}"))?;
    let whole = kind.is_dir() || Archive::is_tar(path)?;
    whole.then(|| Archive::open(path)).transpose()
}

fn bare(path: &Path) -> anyhow::Result<Runs<'static>> {
    if path == Path::new("-") {
        return Runs::of_one("-", io::stdin());
    }
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| format!("--file {shown}"))?;
    Runs::of_one(&shown, file)
}

/// A report that is told of findings by somebody who does not ask how it went.
struct Telling<'a> {
    report: &'a mut Report,
    failed: io::Result<()>,
}

impl<'a> Telling<'a> {
    fn new(report: &'a mut Report) -> Self {
        Self { report, failed: Ok(()) }
    }

    fn tell(&mut self, finding: Finding) {
        if self.failed.is_ok() {
            self.failed = self.report.tell(finding);
        }
    }

    fn done(self) -> io::Result<()> {
        self.failed
    }
}
