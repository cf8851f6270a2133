//! Bytes of an upload without a version yet, hashed as they come. A small upload stays in memory
//! until it is complete. A larger one goes to a temporary file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use md5::Md5;
use s3s::checksum::ChecksumHasher;
use s3s::dto::Checksum;
use sha2::{Digest, Sha256};
use tempfile::{Builder, NamedTempFile, TempPath};
use tokio::task::spawn_blocking;

/// The prefix of the names of drafts.
const PREFIX: &str = ".tmp";
/// Bytes in memory before they are written: enough to make the switch to another thread cheap.
const BLOCK: usize = 256 * 1024;
/// The size up to which an upload stays in memory. Its bytes are hashed where they are received,
/// which takes less time than the switch to another thread.
pub(super) const SMALL: usize = 16 * 1024;

/// Whether a file of this name is the draft of an interrupted upload.
pub(super) fn is_draft(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// A draft. Dropping it removes its file, at any point of failure.
pub(super) struct StagedUpload {
    folder: PathBuf,
    /// The file, from the first block on.
    file: Option<NamedTempFile>,
    /// Received bytes that are not in the file.
    held: Vec<Bytes>,
    held_size: usize,
    sha256: Sha256,
    md5: Md5,
    size: u64,
    /// The checksums that only some uploads declare.
    pub(super) others: ChecksumHasher,
}

/// The digests of the received bytes.
pub(super) struct Digests {
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
    pub(super) md5: [u8; 16],
    pub(super) others: Checksum,
}

impl StagedUpload {
    /// A draft in this folder. There is no file yet.
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            file: None,
            held: Vec::new(),
            held_size: 0,
            sha256: Sha256::new(),
            md5: Md5::new(),
            size: 0,
            others: ChecksumHasher::default(),
        }
    }

    /// Takes received bytes. A whole block is written and hashed on a blocking thread, so that a
    /// slow client holds no thread while it sends nothing.
    pub(super) async fn absorb(mut self, chunk: Bytes) -> io::Result<Self> {
        self.held_size += chunk.len();
        self.held.push(chunk);
        if self.held_size >= BLOCK { self.spill().await } else { Ok(self) }
    }

    /// The digests, after the last byte.
    pub(super) async fn complete(mut self) -> io::Result<(Self, Digests)> {
        if self.file.is_none() && self.held_size <= SMALL {
            self.hash();
        } else {
            self = self.spill().await?;
        }
        let digests = Digests {
            size: self.size,
            sha256: std::mem::take(&mut self.sha256).finalize().into(),
            md5: std::mem::take(&mut self.md5).finalize().into(),
            others: std::mem::take(&mut self.others).finalize(),
        };
        Ok((self, digests))
    }

    async fn spill(mut self) -> io::Result<Self> {
        let written = spawn_blocking(move || {
            self.hash();
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(Builder::new().prefix(PREFIX).tempfile_in(&self.folder)?),
            };
            for chunk in self.held.drain(..) {
                file.write_all(&chunk)?;
            }
            self.held_size = 0;
            Ok(self)
        });
        written.await.unwrap_or_else(|cut| Err(io::Error::other(cut)))
    }

    /// Hashes the bytes in memory.
    fn hash(&mut self) {
        for chunk in &self.held {
            self.sha256.update(chunk);
            self.md5.update(chunk);
            self.others.update(chunk);
            self.size += chunk.len() as u64;
        }
    }

    /// Whether all bytes are in memory.
    pub(super) fn is_in_memory(&self) -> bool {
        self.file.is_none()
    }

    /// Syncs bytes in memory to an empty file, whose name is on disk; false if it is gone. A
    /// failure removes the file.
    pub(super) fn fill(&self, spare: &Path) -> io::Result<bool> {
        let file = match OpenOptions::new().write(true).open(spare) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened?,
        };
        self.write_through(file, spare).map(|()| true)
    }

    /// Syncs the bytes to disk under a name that must be free. The folder is not synced.
    pub(super) fn settle(self, target: &Path) -> io::Result<()> {
        if let Some(file) = self.file {
            file.as_file().sync_all()?;
            return file.persist_noclobber(target).map(drop).map_err(|refused| refused.error);
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
        self.write_through(file, target)
    }

    /// Removes the file if it cannot be written.
    fn write_through(&self, mut file: File, path: &Path) -> io::Result<()> {
        let guard = TempPath::try_from_path(path)?;
        for chunk in &self.held {
            file.write_all(chunk)?;
        }
        file.sync_all()?;
        guard.keep().map(drop).map_err(|refused| refused.error)
    }
}
