//! An input path: opened once, and read through that one handle, so that the checked bytes and the
//! compared bytes are the same.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};

use super::durable::PARTIAL;

/// Bytes of a stream that are kept for a second reading: the heads of some seven million assets.
const KEPT: u64 = 1024 * 1024 * 1024;

/// The input at a path.
pub enum ExportInput {
    /// A folder.
    Folder(PathBuf),
    /// A regular file.
    File(FileHandle),
    /// A pipe, a terminal or standard input: read once, from beginning to end.
    Stream(InputStream),
}

/// A one-time input.
pub type InputStream = Box<dyn Read>;

/// An open regular file. Each reader has its own position.
#[derive(Clone)]
pub struct FileHandle(Arc<File>);

/// A part of an open file.
struct Window {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl ExportInput {
    /// Opens a path; `-` is standard input.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stream(Box::new(io::stdin())));
        }
        let shown = path.display();
        let unfinished = path.as_os_str().as_encoded_bytes().ends_with(PARTIAL.as_bytes());
        ensure!(!unfinished, "{shown}: a {PARTIAL} is what a run left that did not end: no result");
        let file = File::open(path).with_context(|| format!("{shown}: cannot be opened"))?;
        let kind = file.metadata().with_context(|| format!("{shown}: cannot be read"))?.file_type();
        Ok(if kind.is_dir() {
            Self::Folder(path.to_owned())
        } else if kind.is_file() {
            Self::File(FileHandle(Arc::new(file)))
        } else {
            Self::Stream(Box::new(file))
        })
    }

    /// All of it, to be read once.
    pub fn once(self, shown: &str) -> anyhow::Result<InputStream> {
        match self {
            Self::Folder(_) => bail!("{shown} is a folder"),
            Self::File(handle) => Ok(Box::new(handle.whole())),
            Self::Stream(stream) => Ok(stream),
        }
    }

    /// The same, to be read again: a copy is kept of an input that is no regular file.
    pub fn again(self, shown: &str) -> anyhow::Result<FileHandle> {
        match self {
            Self::Folder(_) => bail!("{shown} is a folder"),
            Self::File(handle) => Ok(handle),
            Self::Stream(stream) => kept(stream, shown),
        }
    }
}

/// The text of a small file of at most `most` bytes, also from a pipe.
pub fn small(path: &Path, most: usize) -> anyhow::Result<String> {
    let shown = path.display().to_string();
    text(ExportInput::open(path)?.once(&shown)?, &shown, most)
}

/// The text of a stream, of at most `most` bytes.
pub fn text(from: impl Read, shown: &str, most: usize) -> anyhow::Result<String> {
    let mut text = Vec::new();
    let read = from.take(most as u64 + 1).read_to_end(&mut text);
    read.with_context(|| format!("{shown}: cannot be read"))?;
    ensure!(text.len() <= most, "{shown}: it is over {most} bytes");
    String::from_utf8(text).with_context(|| format!("{shown}: it is no text"))
}

fn kept(stream: InputStream, shown: &str) -> anyhow::Result<FileHandle> {
    let mut file = tempfile::tempfile().context("no room to keep a copy: see TMPDIR")?;
    let read = io::copy(&mut stream.take(KEPT + 1), &mut file);
    let read = read.with_context(|| format!("{shown}: cannot be read"))?;
    ensure!(read <= KEPT, "{shown}: over {KEPT} bytes from a pipe: save it to a file first");
    file.flush()?;
    Ok(FileHandle(Arc::new(file)))
}

/// The beginning of a stream, and the stream from its beginning.
pub(super) fn peek(mut stream: InputStream, bytes: u64) -> io::Result<(Vec<u8>, InputStream)> {
    let mut begin = Vec::new();
    (&mut stream).take(bytes).read_to_end(&mut begin)?;
    Ok((begin.clone(), Box::new(Cursor::new(begin).chain(stream))))
}

impl FileHandle {
    /// All of it.
    #[must_use]
    pub fn whole(&self) -> impl Read + Seek + use<> {
        Window { file: self.0.clone(), at: 0, left: u64::MAX }
    }

    /// A part of it.
    pub(super) fn part(&self, start: u64, length: u64) -> impl Read + use<> {
        Window { file: self.0.clone(), at: start, left: length }
    }

    /// Its length.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

impl Read for Window {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(to.len());
        let read = self.file.read_at(&mut to[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Seek for Window {
    /// For readers that skip parts.
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let to = match to {
            io::SeekFrom::Start(at) => Some(at),
            io::SeekFrom::Current(by) => self.at.checked_add_signed(by),
            io::SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
