//! A checkpoint in files: the heads of all histories, and a signed note over their root.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ledger::checkpoint::{Checkpoint, SortedHeads};
use ledger::signer::{self, Signer};
use serde::Serialize;

use super::against::note_beside;
use super::durable::PartialFile;
use super::source::{BrokenHistories, ExportObserver, ExportSource};

/// A skipped history's line.
#[derive(Serialize)]
struct SkippedHistory<'a> {
    asset: &'a str,
    why: &'static str,
}

impl ExportSource<'_> {
    /// Writes the heads to `out` and, if there is a signer, the note beside them. Neither may exist
    /// yet. Each gets its name only when it is complete and on disk, the note first: heads that
    /// exist are signed.
    ///
    /// Returns the partitions that were left out: their number is in the note, their list in a file
    /// beside it.
    pub async fn checkpoint(
        &self,
        out: &Path,
        signer: Option<&dyn Signer>,
        broken: BrokenHistories,
        hears: &mut (impl ExportObserver + Send),
    ) -> anyhow::Result<(SortedHeads, Vec<String>)> {
        let (note, list) = (note_beside(out), left_out_beside(out));
        for there in [out, &note, &list] {
            ensure!(there.symlink_metadata().is_err(), "{} is there already", there.display());
        }
        let mut whole = PartialFile::create(out)?;
        let (rising, left_out) = self.heads(&mut whole, broken, hears).await?;
        if !left_out.is_empty() {
            write_left_out(&list, &left_out)?;
        }
        if let Some(signer) = signer {
            let of = rising.checkpoint(signer.verifier().name());
            let of = Checkpoint { left_out: left_out.len() as u64, ..of };
            let text = signer::sign(signer, &of).await?;
            let mut draft = PartialFile::create(&note)?;
            write!(draft, "{text}")?;
            draft.keep()?;
        }
        whole.keep()?;
        Ok((rising, left_out))
    }
}

/// The list of skipped histories is beside its file of heads.
#[must_use]
pub fn left_out_beside(heads: &Path) -> PathBuf {
    PathBuf::from(format!("{}.left-out", heads.display()))
}

fn write_left_out(list: &Path, left_out: &[String]) -> anyhow::Result<()> {
    let mut draft = PartialFile::create(list)?;
    for asset in left_out {
        let line = SkippedHistory { asset, why: "its history does not verify" };
        let line = serde_json::to_string(&line).context("a line of what was left out")?;
        writeln!(draft, "{line}")?;
    }
    draft.keep()
}
