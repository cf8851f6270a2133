//! Writes an export: a folder or a tar, which has its name only once it is whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use ledger::checkpoint::{Head, Rising};
use ledger::history::History;
use tempfile::SpooledTempFile;

use super::filter::Filter;
use super::form::{GZIP, HEADS, Layout, MANIFEST, Manifest, NAMED, SEGMENT};
use super::form::{asset_name, segment_name};

/// Bytes of a file that are held before they are written to a temporary one.
const SPOOL: usize = 8 * 1024 * 1024;

/// How an export is to be laid out.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Where it is to be: a tar if the name ends in `.tar`, else a folder.
    pub out: PathBuf,
    /// How chains are laid into files.
    pub layout: Layout,
    /// Whether each file of events is compressed.
    pub gzip: bool,
}

/// An export that is being written. Dropped before it is finished, it takes away what it wrote.
pub struct Writer {
    shape: Shape,
    target: Target,
    part: Option<Part>,
    segments: u64,
    heads: SpooledTempFile,
    rising: Rising,
    manifest: Manifest,
}

struct Part {
    name: String,
    body: Body,
    events: u64,
}

enum Body {
    Plain(SpooledTempFile),
    Gzip(Box<GzEncoder<SpooledTempFile>>),
}

impl Writer {
    /// Begins an export; there must be nothing at its place.
    pub fn create(shape: Shape, at: DateTime<Utc>, selected: Filter) -> anyhow::Result<Self> {
        let (part, heads) = (None, SpooledTempFile::new(SPOOL));
        let (rising, manifest) = (Rising::default(), Manifest::new(at, selected));
        let target = Target::create(&shape.out)?;
        Ok(Self { shape, target, part, segments: 0, heads, rising, manifest })
    }

    /// Adds an asset, which comes after those before it.
    pub fn add(&mut self, history: &History) -> anyhow::Result<()> {
        let head = Head::of(history.asset());
        let line = head.line()?;
        self.rising.push(&head, &line)?;
        writeln!(self.heads, "{line}")?;
        let gzip = self.shape.gzip;
        let mut part = match self.part.take() {
            Some(part) => part,
            None => Part::begin(self.name(&head), gzip),
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

    /// Says of an asset that it was not added.
    pub fn leave_out(&mut self, partition: &str) {
        self.manifest.left_out += 1;
        if self.manifest.left_out_assets.len() < NAMED {
            self.manifest.left_out_assets.push(partition.to_owned());
        }
    }

    /// Completes the export and gives it its name.
    pub fn finish(mut self) -> anyhow::Result<Manifest> {
        if let Some(part) = self.part.take() {
            self.target.add(part.end()?)?;
        }
        self.manifest.assets = self.rising.count();
        self.manifest.root = self.rising.root();
        self.target.add((HEADS.to_owned(), self.heads))?;
        let mut manifest = SpooledTempFile::new(SPOOL);
        serde_json::to_writer_pretty(&mut manifest, &self.manifest)?;
        manifest.write_all(b"\n")?;
        self.target.add((MANIFEST.to_owned(), manifest))?;
        self.target.finish()?;
        Ok(self.manifest)
    }

    fn name(&mut self, head: &Head) -> String {
        self.segments += 1;
        match self.shape.layout {
            Layout::Asset => asset_name(&head.key),
            Layout::Segment => segment_name(self.segments),
        }
    }
}

impl Part {
    fn begin(name: String, gzip: bool) -> Self {
        let file = SpooledTempFile::new(SPOOL);
        if gzip {
            let body = Body::Gzip(Box::new(GzEncoder::new(file, Compression::default())));
            return Self { name: name + GZIP, body, events: 0 };
        }
        Self { name, body: Body::Plain(file), events: 0 }
    }

    fn write(&mut self, event: &[u8]) -> io::Result<()> {
        self.events += 1;
        let to: &mut dyn Write = match &mut self.body {
            Body::Plain(file) => file,
            Body::Gzip(file) => file,
        };
        to.write_all(event)?;
        to.write_all(b"\n")
    }

    fn end(self) -> io::Result<(String, SpooledTempFile)> {
        let file = match self.body {
            Body::Plain(file) => file,
            Body::Gzip(file) => file.finish()?,
        };
        Ok((self.name, file))
    }
}

/// What an export becomes: first under a name of its own, so that nothing unfinished has the right
/// one.
struct Target {
    kind: Option<Kind>,
    partial: PathBuf,
    out: PathBuf,
}

enum Kind {
    Folder,
    Tar(tar::Builder<BufWriter<File>>),
}

impl Target {
    fn create(out: &Path) -> anyhow::Result<Self> {
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

    fn add(&mut self, (name, mut from): (String, SpooledTempFile)) -> anyhow::Result<()> {
        let length = from.stream_position()?;
        from.rewind()?;
        let path = self.partial.join(&name);
        match &mut self.kind {
            Some(Kind::Tar(tar)) => append(tar, &name, length, &mut from),
            _ => write(&path, &mut from),
        }
        .with_context(|| format!("--out {}: {name} was not written", self.out.display()))
    }

    fn finish(&mut self) -> anyhow::Result<()> {
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
