//! An export's output: a folder or a tar, under a temporary name until complete.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tempfile::{SpooledTempFile, TempDir};

use super::super::durable::{self, PartialFile};

/// Archive names that are refused: readers need to find the files of a tar.
const PACKED: [&str; 8] = ["gz", "tgz", "zip", "zst", "xz", "bz2", "7z", "rar"];

/// The output of an export. It has a temporary name until it is complete, so no unfinished output
/// has the right one. When dropped unfinished, it is removed.
pub(super) struct OutputTarget {
    kind: TargetKind,
    out: PathBuf,
}

enum TargetKind {
    Folder { folder: TempDir, made: BTreeSet<PathBuf> },
    Tar(Box<tar::Builder<PartialFile>>),
}

impl OutputTarget {
    /// Creates it; its path must be free.
    pub(super) fn create(out: &Path) -> anyhow::Result<Self> {
        let extension = out.extension().and_then(|it| it.to_str()).map(str::to_lowercase);
        let kind = match extension.as_deref() {
            Some("tar") => TargetKind::Tar(Box::new(tar::Builder::new(PartialFile::create(out)?))),
            Some(packed) if PACKED.contains(&packed) => bail!(
                "--out {}: a packed archive is not written, for its files could not be read from \
                 where they lie; `--out NAME.tar --gzip` packs each file in it",
                out.display()
            ),
            _ => TargetKind::Folder { folder: durable::folder(out)?, made: BTreeSet::new() },
        };
        Ok(Self { kind, out: out.to_owned() })
    }

    /// Adds a file.
    pub(super) fn add(
        &mut self,
        (name, mut from): (String, SpooledTempFile),
    ) -> anyhow::Result<()> {
        let length = from.stream_position()?;
        from.rewind()?;
        match &mut self.kind {
            TargetKind::Tar(tar) => append(tar, &name, length, &mut from),
            TargetKind::Folder { folder, made } => {
                write(&folder.path().join(&name), &mut from, made)
            }
        }
        .with_context(|| format!("--out {}: {name} was not written", self.out.display()))
    }

    /// Makes it durable and gives it its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self.kind {
            TargetKind::Tar(tar) => tar.into_inner()?.keep(),
            TargetKind::Folder { folder, made } => {
                let all = made.iter().map(PathBuf::as_path).chain([folder.path()]);
                let synced = all.into_iter().try_for_each(|it| File::open(it)?.sync_all());
                synced
                    .with_context(|| format!("--out {}: cannot be finished", self.out.display()))?;
                durable::keep_folder(folder, &self.out)
            }
        }
    }
}

/// Histories are as private as their source folder.
fn write(path: &Path, from: &mut impl Read, made: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|it| !made.contains(*it)) {
        DirBuilder::new().mode(0o700).recursive(true).create(folder)?;
        made.extend([folder, folder.parent().unwrap_or(folder)].map(Path::to_owned));
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(from, &mut file)?;
    file.sync_all()
}

/// Equal exports make equal bytes: no header contains data of the machine.
fn append(
    to: &mut tar::Builder<impl Write>,
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
