//! The lines of files, asset by asset and stream by stream.
//!
//! A line belongs to the asset or stream that it names, if that comes after the previous one. Any
//! other line, such as another asset's event or a line that is no event, is part of the history
//! around it, and is reported there. So is a line whose neighbours contradict its name: it alone
//! was changed, and must not take the following lines with it.

use std::path::Path;

use anyhow::{Context, ensure};
use ledger::audit::{Finding, FindingKind};
use ledger::chain::Hash;
use ledger::id::PartitionKey;
use ledger::journal::scan::{Chain, Stray};
use ledger::record::StoredLine;
use serde::Deserialize;
use serde_json::Value;

use super::archive::{Archive, BLOCK, IN_PLACES, is_tar, refuse_packed, starts_tar};
use super::form::{EVENTS, HISTORY, TenantScope};
use super::input::{ExportInput, peek};
use super::lines::{LineError, LineText, Lines};

/// The kinds of inputs: an export, or bare chains.
pub enum InputKind {
    /// An export, in a folder or a tar.
    Export(Archive),
    /// One file of lines.
    Bare(Runs<'static>),
}

impl InputKind {
    /// Opens a path; `-` is standard input.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let opened = match ExportInput::open(path)? {
            ExportInput::Folder(folder) => Archive::of_folder(&folder).map(Self::Export),
            ExportInput::File(handle) if is_tar(&handle, &shown)? => {
                Archive::of_tar(handle, &shown).map(Self::Export)
            }
            ExportInput::File(handle) => {
                return Ok(Self::Bare(Runs::of_one(&shown, handle.whole())?));
            }
            ExportInput::Stream(stream) => {
                let (begin, stream) = peek(stream, BLOCK)?;
                refuse_packed(&begin[..], &shown)?;
                ensure!(!starts_tar(&begin[..])?, "{shown}: it is a tar, and {IN_PLACES}");
                return Ok(Self::Bare(Runs::of_one(&shown, stream)?));
            }
        };
        opened.with_context(|| format!("{shown} is no whole export"))
    }
}

/// The next item.
#[derive(Debug)]
pub enum ExportItem {
    /// The lines of one asset.
    Run(LineRun),
    /// A place after which a file is unreadable.
    Fault(Finding),
}

/// Lines that belong together as one history: the version of a line is its place.
#[derive(Debug)]
pub struct LineRun {
    /// The lines.
    pub chain: Chain,
    /// Their file.
    pub file: String,
    /// The number of the first.
    pub line: u64,
    /// Whether the asset came before, in an earlier file, or should have.
    pub again: bool,
}

impl LineRun {
    /// Whether it has a named stream's name.
    pub(super) fn is_of_stream(&self) -> bool {
        PartitionKey::from_partition(&self.chain.partition).is_some_and(|key| key.is_named())
    }

    /// The same finding with its place.
    #[must_use]
    pub fn locate(&self, finding: Finding) -> Finding {
        let line = self.line + finding.version.unwrap_or(1).saturating_sub(1);
        let says = format!("{}:{line}: {}", self.file, finding.says);
        Finding { says, ..finding }
    }
}

/// A file, and its scope.
type NamedFile = (TenantScope, Lines);

/// The runs of several files: those of assets and those of named streams, merged by partition.
pub struct Runs<'a> {
    assets: RunReader<'a>,
    streams: RunReader<'a>,
}

/// The runs of files, one after the other.
struct RunReader<'a> {
    files: Box<dyn Iterator<Item = anyhow::Result<NamedFile>> + 'a>,
    file: Option<Box<FileReader>>,
    last: Option<String>,
    /// The next item, if already read.
    ahead: Option<ExportItem>,
}

struct FileReader {
    owner: Option<String>,
    /// Whether a line may be of a stream that the file is not named after.
    streams: bool,
    lines: Lines,
    /// The line after the current one, if already read.
    ahead: Option<Result<Option<ReadLine>, LineError>>,
    begun: Option<LineRun>,
    /// The bytes of the run.
    bytes: usize,
    /// The prefix of the run's lines.
    prefix: String,
}

/// A line of a file.
struct ReadLine {
    number: u64,
    text: Result<String, &'static str>,
}

impl<'a> Runs<'a> {
    pub(super) fn of_two(
        assets: impl Iterator<Item = anyhow::Result<NamedFile>> + 'a,
        streams: impl Iterator<Item = anyhow::Result<NamedFile>> + 'a,
    ) -> Self {
        Self { assets: RunReader::new(assets), streams: RunReader::new(streams) }
    }

    /// The runs of one file, of any content; the name is for messages.
    pub fn of_one(name: &str, from: impl std::io::Read + 'static) -> anyhow::Result<Self> {
        let lines = Lines::new(name, from)?;
        Ok(Self::of_two(std::iter::once(Ok((TenantScope::Any, lines))), std::iter::empty()))
    }

    /// The next run, or a fault before it; `None` after the last.
    pub fn read(&mut self) -> anyhow::Result<Option<ExportItem>> {
        let stream = self.streams.peek()?.map(ExportItem::partition).map(str::to_owned);
        let asset = self.assets.peek()?.map(ExportItem::partition);
        let of_stream = stream.as_deref().is_some_and(|it| asset.is_none_or(|asset| it < asset));
        let next = if of_stream { &mut self.streams } else { &mut self.assets };
        Ok(next.ahead.take())
    }
}

impl ExportItem {
    /// The partition of a run. A fault comes before all runs.
    fn partition(&self) -> &str {
        match self {
            Self::Run(run) => &run.chain.partition,
            Self::Fault(_) => "",
        }
    }
}

impl<'a> RunReader<'a> {
    fn new(files: impl Iterator<Item = anyhow::Result<NamedFile>> + 'a) -> Self {
        Self { files: Box::new(files), file: None, last: None, ahead: None }
    }

    fn peek(&mut self) -> anyhow::Result<Option<&ExportItem>> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead.as_ref())
    }

    /// The next run, or a fault before it; `None` after the last.
    fn read(&mut self) -> anyhow::Result<Option<ExportItem>> {
        loop {
            let Some(file) = &mut self.file else {
                let Some(next) = self.files.next() else { return Ok(None) };
                self.file = Some(Box::new(FileReader::new(next?)));
                continue;
            };
            let item = match file.read(self.last.as_deref()) {
                Ok(Some(run)) => ExportItem::Run(run),
                Ok(None) => {
                    let end = file.begun.take();
                    self.file = None;
                    let Some(end) = end else { continue };
                    ExportItem::Run(end)
                }
                Err(fault) => {
                    self.file = None;
                    ExportItem::Fault(broken(&fault))
                }
            };
            if let ExportItem::Run(run) = &item {
                self.last = Some(run.chain.partition.clone());
            }
            return Ok(Some(item));
        }
    }
}

/// An unreadable file, as a finding.
pub(super) fn broken(fault: &LineError) -> Finding {
    Finding::new(FindingKind::Malformed, &fault.place, fault.to_string())
}

impl FileReader {
    fn new((owner, lines): NamedFile) -> Self {
        let streams = owner == TenantScope::Any;
        let owner = match owner {
            TenantScope::Segment | TenantScope::Any => None,
            TenantScope::Asset(key) => Some(key.partition()),
            TenantScope::Stream(key) => Some(key.partition()),
        };
        let (ahead, begun, bytes, prefix) = (None, None, 0, String::new());
        Self { owner, streams, lines, ahead, begun, bytes, prefix }
    }

    /// Reads to the start of another asset and returns the previous one.
    fn read(&mut self, before: Option<&str>) -> Result<Option<LineRun>, LineError> {
        loop {
            let ahead = self.ahead.take();
            let Some(line) = ahead.unwrap_or_else(|| ReadLine::next(&mut self.lines))? else {
                return Ok(None);
            };
            let whole = if self.goes_on(&line) { None } else { self.begin(&line, before) };
            self.add(line)?;
            if whole.is_some() {
                return Ok(whole);
            }
        }
    }

    /// Whether a line is of the same asset as the previous one, by its first fields.
    fn goes_on(&self, line: &ReadLine) -> bool {
        self.begun.is_some() && !self.prefix.is_empty() && line.begins_with(&self.prefix)
    }

    /// Begins a run if the line is a first one, and returns the previous run.
    fn begin(&mut self, line: &ReadLine, before: Option<&str>) -> Option<LineRun> {
        let said = self.said(line).filter(|said| !self.is_odd(line, said));
        let begun = self.begun.as_ref().map(|run| run.chain.partition.as_str());
        let later = |begun| said.as_ref().is_some_and(|said| said.partition.as_str() > begun);
        if begun.is_some_and(|begun| self.owner.is_some() || !later(begun)) {
            return None;
        }
        let ClaimedFields { partition, prefix, .. } = said.unwrap_or_default();
        let again = before.is_some_and(|it| it >= partition.as_str() && !partition.is_empty());
        self.prefix = prefix;
        if let Some(run) = self.begun.as_mut().filter(|run| run.chain.partition.is_empty()) {
            // Lines of unreadable assets belong to the first readable one.
            (run.chain.partition, run.again) = (partition, again);
            return None;
        }
        let partition = self.owner.clone().unwrap_or(partition);
        let chain = Chain { partition, lines: Vec::new(), strays: Vec::new() };
        let (file, line) = (self.lines.name().to_owned(), line.number);
        self.bytes = 0;
        self.begun.replace(LineRun { chain, file, line, again })
    }

    /// A line's fields, if this file may hold a run of the named asset.
    fn said(&self, line: &ReadLine) -> Option<ClaimedFields> {
        said(line).filter(|said| self.streams || self.owner.is_some() || !said.is_of_stream)
    }

    /// Whether a line is not of the asset that it names: it follows the previous line, of another
    /// asset; or the next line does not follow it, and comes before it in the order.
    fn is_odd(&mut self, line: &ReadLine, said: &ClaimedFields) -> bool {
        let chain = self.begun.as_ref().map(|run| &run.chain);
        let last = chain.and_then(|chain| chain.lines.last());
        if last.is_some_and(|last| said.version != 1 && said.prev == Some(last.hash())) {
            return true;
        }
        let next = self.ahead.get_or_insert_with(|| ReadLine::next(&mut self.lines));
        let Ok(Some(next)) = next else { return false };
        if next.begins_with(&said.prefix) {
            return false; // the usual case
        }
        let Some(next) = self::said(next) else { return false };
        let begun = chain.map_or("", |chain| &chain.partition);
        let before = next.partition < said.partition && next.partition.as_str() >= begun;
        before && next.prev != line.hash()
    }

    fn add(&mut self, line: ReadLine) -> Result<(), LineError> {
        let Some(LineRun { chain, .. }) = &mut self.begun else { return Ok(()) };
        let count = chain.lines.len() + chain.strays.len();
        self.bytes += line.text.as_ref().map_or(0, String::len);
        if count >= EVENTS || self.bytes > HISTORY {
            let why = format!("over {HISTORY} bytes or {EVENTS} events of one asset");
            return Err(self.lines.fault_at(line.number, &why));
        }
        let version = count as u64 + 1;
        match line.text {
            Ok(body) => chain.lines.push(StoredLine { version, body }),
            Err(why) => {
                let (version, why) = (version.to_string(), why.to_owned());
                chain.strays.push(Stray { version, why });
            }
        }
        Ok(())
    }
}

impl ReadLine {
    fn next(lines: &mut Lines) -> Result<Option<Self>, LineError> {
        let text = match lines.next()? {
            None => return Ok(None),
            Some(LineText::Line(text)) => Ok(text.to_owned()),
            Some(LineText::Bytes) => Err("it is not UTF-8"),
        };
        Ok(Some(Self { number: lines.number(), text }))
    }

    fn begins_with(&self, prefix: &str) -> bool {
        self.text.as_ref().is_ok_and(|text| text.starts_with(prefix))
    }

    fn hash(&self) -> Option<Hash> {
        self.text.as_ref().ok().map(|text| Hash::of(text.as_bytes()))
    }
}

/// A line's fields that name its asset or stream.
#[derive(Default)]
struct ClaimedFields {
    partition: String,
    /// Whether it is a named stream.
    is_of_stream: bool,
    /// The prefix of all lines of that asset or stream.
    prefix: String,
    version: u64,
    prev: Option<Hash>,
}

fn said(line: &ReadLine) -> Option<ClaimedFields> {
    #[derive(Deserialize)]
    struct Words {
        tenant: String,
        asset: Option<String>,
        stream: Option<String>,
        // Any value: the line's asset does not depend on it.
        #[serde(default)]
        version: Value,
        #[serde(default)]
        prev: Value,
    }
    let Words { tenant, asset, stream, version, prev } =
        serde_json::from_str(line.text.as_ref().ok()?).ok()?;
    let version = version.as_u64().unwrap_or_default();
    let prev = prev.as_str().and_then(|prev| prev.parse().ok());
    let (field, name) = match (asset, stream) {
        (Some(asset), None) => ("asset", asset),
        (None, Some(stream)) => ("stream", stream),
        _ => return None,
    };
    let prefix = format!(r#"{{"tenant":"{tenant}","{field}":"{name}","#);
    let key = PartitionKey::from_partition(&format!("{tenant}#{name}"))?;
    let is_of_stream = key.is_named();
    let fits = is_of_stream == (field == "stream");
    fits.then(|| ClaimedFields { partition: key.partition(), is_of_stream, prefix, version, prev })
}
