//! The files of an export by name, in a folder or in a tar, and no others.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use flate2::bufread::MultiGzDecoder;

use super::form::{EVENTS_DIR, FILES, HEADS, MANIFEST, STREAM_HEADS, STREAMS_DIR};
use super::form::{ExportManifest, TenantScope, owner};
use super::heads::HeadsFile;
use super::input::{ExportInput, FileHandle};
use super::lines::Lines;
use super::runs::Runs;

/// Bytes of a tar's block, and the number of zero bytes at its end.
pub(super) const BLOCK: u64 = 512;
const END: u64 = 2 * BLOCK;

/// The files of an export.
pub struct Archive {
    place: ArchiveSource,
    events: Vec<ArchiveFile>,
    heads: ArchiveFile,
    streams: Vec<ArchiveFile>,
    /// The heads of the streams; an export without streams has none.
    stream_heads: Option<ArchiveFile>,
    manifest: ExportManifest,
}

/// Where the files are.
enum ArchiveSource {
    Folder(PathBuf),
    Tar(FileHandle),
}

/// One file of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFile {
    name: String,
    /// Its offset and length in a tar.
    within: Option<(u64, u64)>,
}

impl Archive {
    /// Opens an export and reads its manifest.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        match ExportInput::open(path)? {
            ExportInput::Folder(folder) => Self::of_folder(&folder),
            ExportInput::File(handle) => Self::of_tar(handle, &shown.to_string()),
            ExportInput::Stream(_) => bail!("it is no regular file, and {IN_PLACES}"),
        }
        .with_context(|| format!("{shown} is no whole export"))
    }

    /// The export in a folder.
    pub(super) fn of_folder(path: &Path) -> anyhow::Result<Self> {
        Self::of(ArchiveSource::Folder(path.to_owned()), of_folder(path)?)
    }

    /// The export in a tar.
    pub(super) fn of_tar(handle: FileHandle, shown: &str) -> anyhow::Result<Self> {
        let parts = of_tar(&handle, shown)?;
        Self::of(ArchiveSource::Tar(handle), parts)
    }

    fn of(place: ArchiveSource, mut parts: Vec<ArchiveFile>) -> anyhow::Result<Self> {
        parts.sort_by_cached_key(|it| (owner(&it.name), it.name.len(), it.name.clone()));
        if let Some(pair) = parts.windows(2).find(|pair| pair[0].name == pair[1].name) {
            bail!("{} is in it twice", pair[0].name);
        }
        let mut find = |name: &str| {
            let at = parts.iter().position(|part| part.name == name);
            at.map(|at| parts.remove(at))
        };
        let absent = |name| format!("there is no {name}: it was never finished, or cut");
        let manifest = find(MANIFEST).with_context(|| absent(MANIFEST))?;
        let heads = find(HEADS).with_context(|| absent(HEADS))?;
        let stream_heads = find(STREAM_HEADS);
        let manifest = ExportManifest::read(manifest.open(&place)?).context(MANIFEST)?;
        if manifest.streams.is_some() && stream_heads.is_none() {
            bail!(absent(STREAM_HEADS));
        }
        let of_stream =
            |part: &ArchiveFile| matches!(owner(&part.name), Some(TenantScope::Stream(_)));
        let (streams, events) = parts.into_iter().partition(of_stream);
        Ok(Self { place, events, heads, streams, stream_heads, manifest })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &ExportManifest {
        &self.manifest
    }

    /// Its histories and named streams, by rising partition if its files are so.
    #[must_use]
    pub fn runs(&self) -> Runs<'_> {
        Runs::of_two(self.lines_of(&self.events), self.lines_of(&self.streams))
    }

    fn lines_of<'a>(
        &'a self,
        parts: &'a [ArchiveFile],
    ) -> impl Iterator<Item = anyhow::Result<(TenantScope, Lines)>> + 'a {
        parts.iter().map(|part| {
            let lines = Lines::new(&part.name, part.open(&self.place)?)?;
            Ok((owner(&part.name).unwrap_or(TenantScope::Segment), lines))
        })
    }

    /// The heads of its assets.
    pub fn heads(&self) -> anyhow::Result<HeadsFile> {
        HeadsFile::new(Lines::new(&self.heads.name, self.heads.open(&self.place)?)?)
    }

    /// The heads of its named streams: none, if there are no streams.
    pub fn stream_heads(&self) -> anyhow::Result<HeadsFile> {
        let from: Box<dyn Read> = match &self.stream_heads {
            Some(part) => part.open(&self.place)?,
            None => Box::new(io::empty()),
        };
        HeadsFile::new(Lines::new(STREAM_HEADS, from)?)
    }
}

impl ArchiveFile {
    fn open(&self, place: &ArchiveSource) -> anyhow::Result<Box<dyn Read>> {
        match (place, self.within) {
            (ArchiveSource::Tar(handle), Some((start, length))) => {
                Ok(Box::new(handle.part(start, length)))
            }
            (ArchiveSource::Tar(_), None) => bail!("{}: it is nowhere in the tar", self.name),
            (ArchiveSource::Folder(folder), _) => {
                let path = folder.join(&self.name);
                Ok(Box::new(File::open(path).with_context(|| self.name.clone())?))
            }
        }
    }
}

/// Why an export cannot be read from a pipe.
pub(super) const IN_PLACES: &str =
    "an export is read in several places and twice: save it to a file first";

/// Whether a file begins like a tar. A packed archive is refused.
pub(super) fn is_tar(handle: &FileHandle, shown: &str) -> anyhow::Result<bool> {
    refuse_packed(handle.whole(), shown)?;
    Ok(starts_tar(handle.whole())?)
}

/// The parts of a tar are read at their offsets, which is impossible in a packed archive.
pub(super) fn refuse_packed(from: impl Read, shown: &str) -> anyhow::Result<()> {
    let unpacked = MultiGzDecoder::new(BufReader::new(from));
    let packed = starts_tar(unpacked).unwrap_or(false); // an error if it is no gzip
    ensure!(!packed, "{shown} is a packed tar: `gunzip` it (`export --gzip` packs what is in one)");
    Ok(())
}

pub(super) fn starts_tar(from: impl Read) -> io::Result<bool> {
    let mut block = Vec::new();
    from.take(BLOCK).read_to_end(&mut block)?;
    Ok(block.get(257..262) == Some(b"ustar"))
}

/// The files of a folder. Other files may lie beside `events/` and `streams/`, such as a note or a
/// checkpoint, but not in them.
fn of_folder(path: &Path) -> anyhow::Result<Vec<ArchiveFile>> {
    let mut parts = Vec::new();
    for name in [MANIFEST, HEADS, STREAM_HEADS] {
        if path.join(name).symlink_metadata().is_ok() {
            parts.push(plain(path, name.to_owned())?);
        }
    }
    for folder in [EVENTS_DIR, STREAMS_DIR] {
        if path.join(folder).symlink_metadata().is_ok() {
            list(path, folder, &mut parts)?;
        }
    }
    Ok(parts)
}

fn list(archive: &Path, folder: &str, parts: &mut Vec<ArchiveFile>) -> anyhow::Result<()> {
    let path = archive.join(folder);
    ensure!(path.symlink_metadata()?.is_dir(), "{folder} is no folder");
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        // Tenants' folders hold files only.
        if [EVENTS_DIR, STREAMS_DIR].contains(&folder) && entry.file_type()?.is_dir() {
            list(archive, &name, parts)?;
            continue;
        }
        parts.push(plain(archive, name)?);
        ensure!(parts.len() <= FILES, "it has over {FILES} files");
    }
    Ok(())
}

fn plain(archive: &Path, name: String) -> anyhow::Result<ArchiveFile> {
    let kind = archive.join(&name).symlink_metadata()?.file_type();
    ensure!(kind.is_file(), "{name:?} is no plain file");
    expected(&name)?;
    Ok(ArchiveFile { name, within: None })
}

fn expected(name: &str) -> anyhow::Result<()> {
    let known = [MANIFEST, HEADS, STREAM_HEADS].contains(&name) || owner(name).is_some();
    ensure!(known, "{name:?} is no name that a file of an export has");
    Ok(())
}

/// The files of a tar, by their offsets. Nothing is unpacked to a path.
fn of_tar(handle: &FileHandle, shown: &str) -> anyhow::Result<Vec<ArchiveFile>> {
    refuse_packed(handle.whole(), shown)?;
    let length = handle.length()?;
    let (mut parts, mut end) = (Vec::new(), 0);
    let mut archive = tar::Archive::new(handle.whole());
    // Raw: an extended header is an entry of its own, and its kind is then refused.
    for entry in archive.entries_with_seek()?.raw(true) {
        let entry = entry.context("it is no tar, or was cut off")?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        ensure!(entry.header().entry_type().is_file(), "{name:?} is no plain file");
        expected(&name)?;
        let (start, size) = (entry.raw_file_position(), entry.size());
        end = start.saturating_add(size).div_ceil(BLOCK).saturating_mul(BLOCK);
        ensure!(end <= length, "{name} is cut off");
        parts.push(ArchiveFile { name, within: Some((start, size)) });
        ensure!(parts.len() <= FILES, "it has over {FILES} files");
    }
    ensure!(length >= end + END, "it is cut off after its last file");
    let rest = BufReader::new(handle.part(end, u64::MAX));
    let zeros = rest.bytes().all(|byte| matches!(byte, Ok(0)));
    ensure!(zeros, "something follows its end: were two archives joined?");
    Ok(parts)
}
