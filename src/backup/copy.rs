//! Copies of single files: hashed during the copy, read back, and renamed to the final name only
//! when they are complete and on disk.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ledger::chain::Hash;
use sha2::{Digest, Sha256};

use super::RunMonitor;

/// Bytes read from disk at a time.
const BLOCK: usize = 256 * 1024;

/// The state of a file of a backup, or of a restored folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CopyOutcome {
    /// It exists and has the expected bytes.
    Whole,
    /// There is no such file.
    Missing,
    /// It has other bytes than expected. The copy was discarded.
    Altered,
}

/// Copies `from` to `to` if its bytes hash to `expected`.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    expected: Hash,
    watch: &RunMonitor,
) -> anyhow::Result<CopyOutcome> {
    let source = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(CopyOutcome::Missing),
        opened => opened.with_context(|| from.display().to_string())?,
    };
    let draft = draft_of(to);
    let failed = || format!("{}: cannot be written", draft.display());
    let mut target = private(&draft).with_context(failed)?;
    let hash = pump(source, &mut target, watch).with_context(failed)?;
    target.sync_all().with_context(failed)?;
    if hash != expected || hash_of(&draft, watch)? != expected {
        fs::remove_file(&draft).with_context(failed)?;
        return Ok(CopyOutcome::Altered);
    }
    fs::rename(&draft, to).with_context(failed)?;
    Ok(CopyOutcome::Whole)
}

/// The hash of a file's bytes.
pub(super) fn hash_of(path: &Path, watch: &RunMonitor) -> anyhow::Result<Hash> {
    let named = || path.display().to_string();
    pump(File::open(path).with_context(named)?, &mut io::sink(), watch).with_context(named)
}

fn pump(mut from: File, to: &mut dyn Write, watch: &RunMonitor) -> anyhow::Result<Hash> {
    let (mut sha256, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        watch.go_on()?;
        match from.read(&mut block)? {
            0 => return Ok(Hash::finished(sha256)),
            read => {
                sha256.update(&block[..read]);
                to.write_all(&block[..read])?;
                watch.bytes(read as u64);
            }
        }
    }
}

/// Creates an empty file that only its owner can read.
pub(super) fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Creates a folder that only its owner can read.
pub(super) fn private_folder(path: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("{}: cannot make the folder", path.display()))
}

/// Syncs a folder's names to disk.
pub(super) fn sync(folder: &Path) -> anyhow::Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(|| folder.display().to_string())
}

/// The path of a file until it is complete.
pub(super) fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PARTIAL);
    name.into()
}

/// The suffix of such files' names.
pub(super) const PARTIAL: &str = ".partial";
