//! Writes an export: a folder or a tar, named only when it is complete.

mod target;

use std::io::{self, Write};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use ledger::checkpoint::{Head, SortedHeads};
use ledger::history::History;
use ledger::id::Key;
use ledger::record::StoredLine;
use tempfile::SpooledTempFile;

use self::target::OutputTarget;
use super::filter::ExportFilter;
use super::form::{ExportManifest, ExportedStreams, GZIP, HEADS, Layout, MANIFEST, NAMED};
use super::form::{SEGMENT, STREAM_HEADS, asset_name, segment_name, stream_name};

/// Bytes of a file that are held before they go to a temporary one.
const SPOOL: usize = 8 * 1024 * 1024;

/// The layout of an export.
#[derive(Debug, Clone)]
pub struct ExportShape {
    /// The path: a tar if the name ends in `.tar`, else a folder; packed archives are refused.
    pub out: PathBuf,
    /// The layout of chains in files.
    pub layout: Layout,
    /// Whether each file of events is compressed.
    pub gzip: bool,
}

/// An unfinished export. When dropped, it removes its files.
pub struct ExportWriter {
    shape: ExportShape,
    target: OutputTarget,
    part: Option<OutputFile>,
    segments: u64,
    heads: SpooledTempFile,
    rising: SortedHeads,
    stream_heads: SpooledTempFile,
    streams: SortedHeads,
    manifest: ExportManifest,
}

struct OutputFile {
    name: String,
    body: OutputBody,
    events: u64,
}

enum OutputBody {
    Plain(SpooledTempFile),
    Gzip(Box<GzEncoder<SpooledTempFile>>),
}

impl ExportWriter {
    /// Creates an export. Its path must be free.
    pub fn create(
        shape: ExportShape,
        at: DateTime<Utc>,
        selected: ExportFilter,
    ) -> anyhow::Result<Self> {
        let [heads, stream_heads] = [(); 2].map(|()| SpooledTempFile::new(SPOOL));
        let [rising, streams] = [(); 2].map(|()| SortedHeads::default());
        let (part, manifest) = (None, ExportManifest::new(at, selected));
        let target = OutputTarget::create(&shape.out)?;
        Ok(Self {
            shape,
            target,
            part,
            segments: 0,
            heads,
            rising,
            stream_heads,
            streams,
            manifest,
        })
    }

    /// Adds an asset, by rising key.
    pub fn add(&mut self, history: &History) -> anyhow::Result<()> {
        let head = Head::of(history.asset());
        let line = head.line()?;
        self.rising.push(&head, &line)?;
        writeln!(self.heads, "{line}")?;
        let gzip = self.shape.gzip;
        let mut part = match self.part.take() {
            Some(part) => part,
            None => OutputFile::begin(self.name(&history.asset().key), gzip),
        };
        for entry in history.entries() {
            part.write(entry.line.body.as_bytes())?;
        }
        self.manifest.events += head.version;
        let full = self.shape.layout == Layout::Asset || part.events >= SEGMENT;
        if full {
            return self.target.add(part.end()?);
        }
        self.part = Some(part);
        Ok(())
    }

    /// Adds a named stream with its head, by rising key.
    pub fn add_stream(&mut self, head: &Head, lines: &[StoredLine]) -> anyhow::Result<()> {
        let line = head.line()?;
        self.streams.push(head, &line)?;
        writeln!(self.stream_heads, "{line}")?;
        let mut part = OutputFile::begin(stream_name(&head.key), self.shape.gzip);
        for line in lines {
            part.write(line.body.as_bytes())?;
        }
        self.manifest.streams.get_or_insert_default().events += head.version;
        self.target.add(part.end()?)
    }

    /// Records an asset or a named stream as left out.
    pub fn leave_out(&mut self, partition: &str) {
        self.manifest.left_out += 1;
        if self.manifest.left_out_assets.len() < NAMED {
            self.manifest.left_out_assets.push(partition.to_owned());
        }
    }

    /// Completes the export and gives it its name.
    pub fn finish(mut self) -> anyhow::Result<ExportManifest> {
        if let Some(part) = self.part.take() {
            self.target.add(part.end()?)?;
        }
        self.manifest.assets = self.rising.count();
        self.manifest.root = self.rising.root();
        self.target.add((HEADS.to_owned(), self.heads))?;
        if let Some(ExportedStreams { count, root, .. }) = &mut self.manifest.streams {
            (*count, *root) = (self.streams.count(), self.streams.root());
            self.target.add((STREAM_HEADS.to_owned(), self.stream_heads))?;
        }
        let mut manifest = SpooledTempFile::new(SPOOL);
        serde_json::to_writer_pretty(&mut manifest, &self.manifest)?;
        manifest.write_all(b"\n")?;
        self.target.add((MANIFEST.to_owned(), manifest))?;
        self.target.finish()?;
        Ok(self.manifest)
    }

    fn name(&mut self, key: &Key) -> String {
        self.segments += 1;
        match self.shape.layout {
            Layout::Asset => asset_name(key),
            Layout::Segment => segment_name(self.segments),
        }
    }
}

impl OutputFile {
    fn begin(name: String, gzip: bool) -> Self {
        let file = SpooledTempFile::new(SPOOL);
        if gzip {
            let body = OutputBody::Gzip(Box::new(GzEncoder::new(file, Compression::default())));
            return Self { name: name + GZIP, body, events: 0 };
        }
        Self { name, body: OutputBody::Plain(file), events: 0 }
    }

    fn write(&mut self, event: &[u8]) -> io::Result<()> {
        self.events += 1;
        let to: &mut dyn Write = match &mut self.body {
            OutputBody::Plain(file) => file,
            OutputBody::Gzip(file) => file,
        };
        to.write_all(event)?;
        to.write_all(b"\n")
    }

    fn end(self) -> io::Result<(String, SpooledTempFile)> {
        let file = match self.body {
            OutputBody::Plain(file) => file,
            OutputBody::Gzip(file) => file.finish()?,
        };
        Ok((self.name, file))
    }
}
