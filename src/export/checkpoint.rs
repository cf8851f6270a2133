//! A checkpoint in files: the heads of all histories, and a signed note over their root.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ledger::checkpoint::Rising;
use ledger::signer::{self, Signer};
use tempfile::NamedTempFile;

use super::against::note_beside;
use super::take::{Heard, Source};

impl Source<'_> {
    /// Writes the heads to `out` and, where somebody signs, the note beside them. Neither may be
    /// there yet; each has its name only once it is whole and on disk, the note first: heads that
    /// are there are signed.
    pub async fn checkpoint(
        &self,
        out: &Path,
        signer: Option<&dyn Signer>,
        hears: &mut (impl Heard + Send),
    ) -> anyhow::Result<Rising> {
        let note = note_beside(out);
        for there in [out, &note] {
            ensure!(there.symlink_metadata().is_err(), "{} is there already", there.display());
        }
        let mut whole = Draft::create(out)?;
        let rising = self.heads(&mut whole.file, hears).await?;
        if let Some(signer) = signer {
            let checkpoint = rising.checkpoint(signer.verifier().name());
            let text = signer::sign(signer, &checkpoint).await?;
            let mut draft = Draft::create(&note)?;
            write!(draft.file, "{text}")?;
            draft.keep()?;
        }
        whole.keep()?;
        Ok(rising)
    }
}

/// A file that has its name only once it is whole. Until then it has one that nobody else takes,
/// so what a killed process left is in nobody's way.
struct Draft {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl Draft {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_name().context("a checkpoint is a file")?.to_string_lossy();
        let draft = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(".partial")
            .tempfile_in(folder_of(path))
            .with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(draft) })
    }

    fn keep(self) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be written", self.path.display());
        let draft = self.file.into_inner().with_context(cannot)?;
        draft.as_file().sync_all().with_context(cannot)?;
        draft.persist_noclobber(&self.path).with_context(cannot)?;
        sync(folder_of(&self.path)).with_context(cannot)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name is durable once its folder is.
fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_killed_process_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let heads = folder.path().join("heads");
        std::mem::forget(Draft::create(&heads).unwrap());
        fs::write(folder.path().join("heads.partial"), "of an earlier release").unwrap();
        let mut draft = Draft::create(&heads).unwrap();
        write!(draft.file, "whole").unwrap();
        assert!(!heads.exists());
        draft.keep().unwrap();
        assert_eq!(fs::read_to_string(&heads).unwrap(), "whole");
        let error = Draft::create(&heads).unwrap().keep().unwrap_err().to_string();
        assert!(error.contains("cannot be written"), "{error}");
        assert_eq!(fs::read_to_string(&heads).unwrap(), "whole");
    }

    #[test]
    fn what_is_not_kept_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        drop(Draft::create(&folder.path().join("heads")).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
