//! Compares histories with a checkpoint kept elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use ledger::audit::{Finding, examine, examine_with};
use ledger::chain::Hash;
use ledger::checkpoint::{Checkpoint, NOTE, Note, VerifierKey};
use ledger::journal::Scan;
use ledger::journal::scan::Chain;

use super::check::FindingObserver;
use super::heads::{HeadsFile, JoinedHeads, known};
use super::input::{ExportInput, FileHandle, small};
use super::runs::LineRun;
use super::sorted::SortedHistories;
use crate::plural::{count, listed};

/// The heads of a checkpoint, and what vouches for them.
pub struct CheckpointHeads {
    name: String,
    heads: FileHandle,
    /// The number and root of the vouched heads.
    seen: (u64, Hash),
    /// The number of named streams.
    streams: u64,
    vouched: HeadsProvenance,
}

/// Heads and the histories to compare them with, by rising key.
pub struct Comparison<'a> {
    against: &'a CheckpointHeads,
    joined: JoinedHeads,
}

/// What vouches for the heads of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadsProvenance {
    /// The key signed their root.
    Signed(Checkpoint),
    /// A note has their root, but no key was given to check who signed it.
    Noted(Checkpoint),
    /// Only the place of the file.
    Bare,
}

/// The result of comparing heads with a ledger's histories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ComparisonResult {
    /// Heads of assets with events.
    pub heads: u64,
    /// Heads of assets without.
    pub removed: u64,
    /// Assets without a head.
    pub others: u64,
}

/// The note is beside its file of heads.
#[must_use]
pub fn note_beside(heads: &Path) -> PathBuf {
    PathBuf::from(format!("{}.note", heads.display()))
}

/// The note beside a file of heads, if there is one.
pub fn read_note(heads: &Path) -> anyhow::Result<Option<Note>> {
    let path = note_beside(heads);
    let shown = path.display();
    if heads == Path::new("-") || path.symlink_metadata().is_err() {
        return Ok(None);
    }
    let text = small(&path, NOTE)?;
    Ok(Some(text.parse().with_context(|| format!("{shown} is no signed note"))?))
}

impl CheckpointHeads {
    /// Reads a whole checkpoint, and compares its heads with its note.
    pub fn open(heads: &Path, key: Option<&VerifierKey>) -> anyhow::Result<Self> {
        let vouched = match (read_note(heads)?, key) {
            (Some(note), Some(key)) => {
                let signed = note.verify(key);
                HeadsProvenance::Signed(
                    signed.with_context(|| note_beside(heads).display().to_string())?,
                )
            }
            (Some(note), None) => HeadsProvenance::Noted(note.unverified()?),
            (None, Some(_)) => {
                bail!("{}: there is no note to check with the key", note_beside(heads).display())
            }
            (None, None) => HeadsProvenance::Bare,
        };
        let name = heads.display().to_string();
        let handle = ExportInput::open(heads)?.again(&name)?;
        let mut read = HeadsFile::of(&handle, &name)?;
        while read.read()?.is_some() {}
        let (seen, streams) =
            ((read.rising().count(), read.rising().root()), read.rising().streams());
        if let HeadsProvenance::Signed(it) | HeadsProvenance::Noted(it) = &vouched {
            let same = (it.size, it.root) == seen;
            ensure!(same, "{name}: these are not the heads that its note is of");
        }
        Ok(Self { name, heads: handle, seen, streams, vouched })
    }

    /// What vouches for the heads.
    #[must_use]
    pub fn vouched(&self) -> &HeadsProvenance {
        &self.vouched
    }

    /// The number of assets with heads, and of named streams, if any.
    #[must_use]
    pub fn described(&self) -> String {
        count(self.seen.0 - self.streams, "asset") + &listed(self.streams, "stream")
    }

    /// Begins a comparison with the heads.
    pub fn begin(&self) -> anyhow::Result<Comparison<'_>> {
        let joined = JoinedHeads::new(HeadsFile::of(&self.heads, &self.name)?);
        Ok(Comparison { against: self, joined })
    }

    /// Reports every history of a journal that neither equals nor extends the checkpoint's. A
    /// history's own faults are not reported again.
    pub async fn journal(
        &self,
        scan: &dyn Scan,
        tell: FindingObserver<'_>,
    ) -> anyhow::Result<ComparisonResult> {
        let mut comparison = self.begin()?;
        let whole = scan.segments(1).await?;
        let mut chains = SortedHistories::of(scan, &whole[0]).await?;
        while let Some(chain) = chains.next().await? {
            comparison.history(&chain, tell)?;
        }
        comparison.end(tell)
    }
}

impl Comparison<'_> {
    /// The same of a history in a file.
    pub fn run(&mut self, run: &LineRun, tell: FindingObserver<'_>) -> anyhow::Result<()> {
        self.history(&run.chain, &mut |finding| tell(run.locate(finding)))
    }

    fn history(&mut self, chain: &Chain, tell: FindingObserver<'_>) -> anyhow::Result<()> {
        let (wrong, head) = self.joined.seek(Some(&chain.partition))?;
        wrong.into_iter().for_each(&mut *tell);
        let Some(head) = head else { return Ok(()) };
        let seen: Vec<Finding> = examine_with(chain, &[known(&head)]).findings;
        let alone = if seen.is_empty() { Vec::new() } else { examine(chain) };
        seen.into_iter().filter(|finding| !alone.contains(finding)).for_each(tell);
        Ok(())
    }

    /// Reports the remaining heads. The compared heads must be those that were vouched for, even if
    /// the file was changed meanwhile.
    pub fn end(mut self, tell: FindingObserver<'_>) -> anyhow::Result<ComparisonResult> {
        self.joined.seek(None)?.0.into_iter().for_each(tell);
        let compared = (self.joined.count(), self.joined.rising().root());
        let same = compared == self.against.seen;
        ensure!(same, "{}: it was changed while it was read; look again", self.against.name);
        Ok(self.joined.met())
    }
}
