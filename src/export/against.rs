//! Histories against a checkpoint that was kept elsewhere.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use ledger::audit::{Finding, examine, examine_with};
use ledger::checkpoint::{Checkpoint, Note, VerifierKey};
use ledger::journal::Scan;
use ledger::journal::scan::Chain;

use super::check::Tell;
use super::heads::{Heads, Joined, known};
use super::runs::{Item, Runs};
use super::sorted::Sorted;

/// The heads of a checkpoint, and what vouches for them.
pub struct Against {
    heads: PathBuf,
    vouched: Vouched,
}

/// What vouches for the heads of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vouched {
    /// The key signed their root.
    Signed(Checkpoint),
    /// A note has their root, but no key was given to check who signed it.
    Noted(Checkpoint),
    /// Nothing but where the file was kept.
    Bare,
}

/// How the heads of a checkpoint met the histories of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met {
    /// Heads whose asset has events.
    pub heads: u64,
    /// Heads whose asset has none.
    pub removed: u64,
    /// Assets that no head is of.
    pub others: u64,
}

/// The note of a file of heads lies beside it.
#[must_use]
pub fn note_beside(heads: &Path) -> PathBuf {
    PathBuf::from(format!("{}.note", heads.display()))
}

/// The note beside a file of heads, if there is one.
pub fn read_note(heads: &Path) -> anyhow::Result<Option<Note>> {
    let path = note_beside(heads);
    let shown = path.display();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.parse().with_context(|| format!("{shown} is no signed note"))?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{shown} cannot be read")),
    }
}

impl Against {
    /// Reads a checkpoint through, and compares its heads with its note.
    pub fn open(heads: &Path, key: Option<&VerifierKey>) -> anyhow::Result<Self> {
        let vouched = match (read_note(heads)?, key) {
            (Some(note), Some(key)) => {
                let signed = note.verify(key);
                Vouched::Signed(signed.with_context(|| note_beside(heads).display().to_string())?)
            }
            (Some(note), None) => Vouched::Noted(note.unverified()?),
            (None, Some(_)) => {
                bail!("{}: there is no note to check with the key", note_beside(heads).display())
            }
            (None, None) => Vouched::Bare,
        };
        let mut read = Heads::open(heads)?;
        while read.read()?.is_some() {}
        if let Vouched::Signed(it) | Vouched::Noted(it) = &vouched {
            let same = (it.size, it.root) == (read.rising().count(), read.rising().root());
            ensure!(same, "{}: these are not the heads that its note is of", heads.display());
        }
        Ok(Self { heads: heads.to_owned(), vouched })
    }

    /// What vouches for the heads.
    #[must_use]
    pub fn vouched(&self) -> &Vouched {
        &self.vouched
    }

    /// Tells of every history of a journal that is not the one that the checkpoint saw, or a longer
    /// one. What a history shows by itself is not told again.
    pub async fn journal(&self, scan: &dyn Scan, tell: Tell<'_>) -> anyhow::Result<Met> {
        let mut joined = Joined::new(Heads::open(&self.heads)?);
        let whole = scan.segments(1).await?;
        let mut chains = Sorted::of(scan, &whole[0]).await?;
        while let Some(chain) = chains.next().await? {
            compare(&mut joined, &chain, tell)?;
        }
        Self::end(joined, tell)
    }

    /// The same of histories in files.
    pub fn files(&self, mut runs: Runs<'_>, tell: Tell<'_>) -> anyhow::Result<Met> {
        let mut joined = Joined::new(Heads::open(&self.heads)?);
        while let Some(item) = runs.read()? {
            // What cannot be read was told of by whoever checked the file.
            let Item::Run(run) = item else { continue };
            let located = &mut |finding| tell(run.locate(finding));
            compare(&mut joined, &run.chain, located)?;
        }
        Self::end(joined, tell)
    }

    fn end(mut joined: Joined, tell: Tell<'_>) -> anyhow::Result<Met> {
        joined.seek(None)?.0.into_iter().for_each(tell);
        Ok(joined.met())
    }
}

fn compare(joined: &mut Joined, chain: &Chain, tell: Tell<'_>) -> anyhow::Result<()> {
    let (wrong, head) = joined.seek(Some(&chain.partition))?;
    wrong.into_iter().for_each(&mut *tell);
    let Some(head) = head else { return Ok(()) };
    let seen: Vec<Finding> = examine_with(chain, &[known(&head)]).findings;
    let alone = if seen.is_empty() { Vec::new() } else { examine(chain) };
    seen.into_iter().filter(|finding| !alone.contains(finding)).for_each(tell);
    Ok(())
}
