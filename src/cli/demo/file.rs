//! The file that the demo uploads: its bytes are streamed, never held in memory.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

const SAMPLE: &str = "Who did what to this file, when, and prove it.\n";

/// A file on disk and its declaration.
pub(super) struct DemoFile {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) content_type: &'static str,
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl DemoFile {
    /// A small text, written to `folder`.
    pub(super) async fn sample(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("hello.txt");
        tokio::fs::write(&path, SAMPLE).await.context("cannot write the sample file")?;
        Self::existing(path).await
    }

    /// An existing file.
    pub(super) async fn existing(path: PathBuf) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let name =
            path.file_name().with_context(|| format!("{shown} is not the name of a file"))?;
        let name = name.to_string_lossy().into_owned();
        let cannot_read = || format!("cannot read {shown}");
        let metadata = tokio::fs::metadata(&path).await.with_context(cannot_read)?;
        ensure!(metadata.is_file(), "{shown} is not a file");
        let sha256 = hash(&path).await.with_context(cannot_read)?;
        let content_type = content_type(&path);
        Ok(Self { path, name, content_type, size: metadata.len(), sha256 })
    }
}

async fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let (mut sha256, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk).await? {
            0 => return Ok(hex::encode(sha256.finalize())),
            read => sha256.update(&chunk[..read]),
        }
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("txt" | "md") => "text/plain",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("pdf") => "application/pdf",
        _ => "application/octet-stream",
    }
}
