//! Where an export goes: a folder or a tar, under a name of its own until it is whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tempfile::SpooledTempFile;

/// What an export becomes: first under a name of its own, so that nothing unfinished has the right
/// one.
pub(super) struct Target {
    kind: Option<Kind>,
    partial: PathBuf,
    out: PathBuf,
}

enum Kind {
    Folder,
    Tar(tar::Builder<BufWriter<File>>),
}

impl Target {
    /// Begins; there must be nothing at its place, nor what an earlier one left.
    pub(super) fn create(out: &Path) -> anyhow::Result<Self> {
        let partial = PathBuf::from(format!("{}.partial", out.display()));
        for there in [out, &partial] {
            if there.symlink_metadata().is_ok() {
                bail!("--out {}: something is there already; remove it first", there.display());
            }
        }
        let cannot = || format!("--out {}: cannot be made", out.display());
        let kind = if out.extension().is_some_and(|extension| extension == "tar") {
            let file = create(&partial).with_context(cannot)?;
            Kind::Tar(tar::Builder::new(BufWriter::new(file)))
        } else {
            private().create(&partial).with_context(cannot)?;
            Kind::Folder
        };
        Ok(Self { kind: Some(kind), partial, out: out.to_owned() })
    }

    /// Adds a file.
    pub(super) fn add(
        &mut self,
        (name, mut from): (String, SpooledTempFile),
    ) -> anyhow::Result<()> {
        let length = from.stream_position()?;
        from.rewind()?;
        let path = self.partial.join(&name);
        match &mut self.kind {
            Some(Kind::Tar(tar)) => append(tar, &name, length, &mut from),
            _ => write(&path, &mut from),
        }
        .with_context(|| format!("--out {}: {name} was not written", self.out.display()))
    }

    /// Makes it durable and gives it its name.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        let cannot = || format!("--out {}: cannot be finished", self.out.display());
        if let Some(Kind::Tar(tar)) = &mut self.kind {
            tar.finish().with_context(cannot)?;
            tar.get_mut().flush().with_context(cannot)?;
            tar.get_ref().get_ref().sync_all().with_context(cannot)?;
        }
        fs::rename(&self.partial, &self.out).with_context(cannot)?;
        self.kind = None;
        Ok(())
    }
}

impl Drop for Target {
    /// What it made itself and did not finish is of no use to anybody.
    fn drop(&mut self) {
        let _ = match self.kind {
            None => Ok(()),
            Some(Kind::Folder) => fs::remove_dir_all(&self.partial),
            Some(Kind::Tar(_)) => fs::remove_file(&self.partial),
        };
    }
}

/// Histories are as private as the folder that they came from.
fn private() -> DirBuilder {
    let mut folder = DirBuilder::new();
    folder.mode(0o700);
    folder
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write(path: &Path, from: &mut impl Read) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        private().recursive(true).create(folder)?;
    }
    let mut file = create(path)?;
    io::copy(from, &mut file)?;
    file.sync_all()
}

/// The same export makes the same bytes: nothing of the machine is in a header.
fn append(
    to: &mut tar::Builder<BufWriter<File>>,
    name: &str,
    length: u64,
    from: &mut impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(length);
    header.set_mode(0o600);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    to.append(&header, from)
}
