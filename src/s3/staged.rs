//! Bytes of an upload without a version yet: a temporary file, hashed while it is written.

use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use md5::Md5;
use s3s::checksum::ChecksumHasher;
use s3s::dto::Checksum;
use sha2::{Digest, Sha256};
use tempfile::{Builder, NamedTempFile};
use tokio::task::spawn_blocking;

/// The prefix of the names of drafts.
const PREFIX: &str = ".tmp";

/// Whether a file of this name is the draft of an interrupted upload.
pub(super) fn is_draft(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// A draft. Dropping it removes its file, at any point of failure.
pub(super) struct StagedUpload {
    file: NamedTempFile,
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
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            file: Builder::new().prefix(PREFIX).tempfile_in(folder)?,
            sha256: Sha256::new(),
            md5: Md5::new(),
            size: 0,
            others: ChecksumHasher::default(),
        })
    }

    /// Writes and hashes on a blocking thread: a few hundred kilobytes at a time, so that a slow
    /// client holds no thread while it sends nothing.
    pub(super) async fn absorb(mut self, chunks: Vec<Bytes>) -> io::Result<Self> {
        let written = spawn_blocking(move || {
            for chunk in &chunks {
                self.write(chunk)?;
            }
            Ok(self)
        });
        written.await.unwrap_or_else(|cut| Err(io::Error::other(cut)))
    }

    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.file.write_all(chunk)?;
        self.sha256.update(chunk);
        self.md5.update(chunk);
        self.others.update(chunk);
        self.size += chunk.len() as u64;
        Ok(())
    }

    pub(super) fn sums(&mut self) -> Digests {
        Digests {
            size: self.size,
            sha256: std::mem::take(&mut self.sha256).finalize().into(),
            md5: std::mem::take(&mut self.md5).finalize().into(),
            others: std::mem::take(&mut self.others).finalize(),
        }
    }

    /// Syncs the bytes to disk, then renames the file.
    pub(super) fn settle(self, target: &Path) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist_noclobber(target).map_err(|refused| refused.error)?;
        Ok(())
    }
}
