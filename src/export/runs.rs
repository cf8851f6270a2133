//! The lines of files, asset by asset.
//!
//! A line belongs to the asset that it names, if that comes after the asset before. Whatever else
//! stands there, another asset's event, something that is no event, is taken for a part of the
//! history that it stands in, and shows there as what it is.

use ledger::audit::{Finding, Kind};
use ledger::id::Key;
use ledger::journal::scan::{Chain, Stray};
use ledger::record::Line;
use serde::Deserialize;

use super::form::{EVENTS, Owner};
use super::lines::{Fault, Lines, Text};

/// What is read next.
#[derive(Debug)]
pub enum Item {
    /// The lines of one asset.
    Run(Run),
    /// A place from which a file cannot be read on.
    Fault(Finding),
}

/// Lines that belong together, as the history they ought to be: the version of a line is its place.
#[derive(Debug)]
pub struct Run {
    /// The lines.
    pub chain: Chain,
    /// The file that they are in.
    pub file: String,
    /// The number of the first.
    pub line: u64,
    /// Whether the asset came before, in an earlier file, or ought to have.
    pub again: bool,
}

impl Run {
    /// The same finding, which says where it is.
    #[must_use]
    pub fn locate(&self, finding: Finding) -> Finding {
        let line = self.line + finding.version.unwrap_or(1).saturating_sub(1);
        let says = format!("{}:{line}: {}", self.file, finding.says);
        Finding { says, ..finding }
    }
}

/// A file, and whose it is.
type File = (Owner, Lines);

/// The runs of several files, one after the other.
pub struct Runs<'a> {
    files: Box<dyn Iterator<Item = anyhow::Result<File>> + 'a>,
    file: Option<Reading>,
    last: Option<String>,
}

struct Reading {
    owner: Option<String>,
    lines: Lines,
    begun: Option<Run>,
    /// What the lines of the run begin with.
    prefix: String,
}

impl<'a> Runs<'a> {
    pub(super) fn new(files: impl Iterator<Item = anyhow::Result<File>> + 'a) -> Self {
        Self { files: Box::new(files), file: None, last: None }
    }

    /// The runs of one file, whatever is in it; the name is for messages.
    pub fn of_one(name: &str, from: impl std::io::Read + 'static) -> anyhow::Result<Self> {
        let lines = Lines::new(name, from)?;
        Ok(Self::new(std::iter::once(Ok((Owner::Segment, lines)))))
    }

    /// The next run, or what stands in its way; `None` after the last.
    pub fn read(&mut self) -> anyhow::Result<Option<Item>> {
        loop {
            let Some(file) = &mut self.file else {
                let Some(next) = self.files.next() else { return Ok(None) };
                self.file = Some(Reading::new(next?));
                continue;
            };
            let item = match file.read(self.last.as_deref()) {
                Ok(Some(run)) => Item::Run(run),
                Ok(None) => {
                    let end = file.begun.take();
                    self.file = None;
                    let Some(end) = end else { continue };
                    Item::Run(end)
                }
                Err(fault) => {
                    self.file = None;
                    Item::Fault(broken(&fault))
                }
            };
            if let Item::Run(run) = &item {
                self.last = Some(run.chain.partition.clone());
            }
            return Ok(Some(item));
        }
    }
}

/// A file that cannot be read on, as a finding.
pub(super) fn broken(fault: &Fault) -> Finding {
    Finding::new(Kind::Malformed, &fault.place, fault.to_string())
}

impl Reading {
    fn new((owner, lines): File) -> Self {
        let owner = match owner {
            Owner::Segment => None,
            Owner::Asset(key) => Some(key.partition()),
        };
        Self { owner, lines, begun: None, prefix: String::new() }
    }

    /// Reads to the beginning of another asset and gives the one before it.
    fn read(&mut self, before: Option<&str>) -> Result<Option<Run>, Fault> {
        loop {
            let text = match self.lines.next()? {
                None => return Ok(None),
                Some(Text::Line(text)) => Ok(text.to_owned()),
                Some(Text::Bytes) => Err("it is not UTF-8"),
            };
            let whole = if self.goes_on(&text) { None } else { self.begin(&text, before) };
            self.add(text)?;
            if whole.is_some() {
                return Ok(whole);
            }
        }
    }

    /// Whether a line is of the same asset as the one before it, by its first words.
    fn goes_on(&self, text: &Result<String, &str>) -> bool {
        let same = text.as_ref().is_ok_and(|text| text.starts_with(&self.prefix));
        same && !self.prefix.is_empty() && self.begun.is_some()
    }

    /// Begins a run if the line is one's first, and gives back the one before.
    fn begin(&mut self, text: &Result<String, &str>, before: Option<&str>) -> Option<Run> {
        let said = text.as_ref().ok().and_then(|text| said(text));
        if let Some(Run { chain, .. }) = &mut self.begun {
            let unknown = chain.partition.is_empty();
            let later = said.as_ref().is_some_and(|(said, _)| *said > chain.partition);
            if self.owner.is_some() || !later {
                return None;
            }
            if let (true, Some((said, prefix))) = (unknown, &said) {
                // Lines whose asset could not be read are of the first asset that can.
                (chain.partition, self.prefix) = (said.clone(), prefix.clone());
                return None;
            }
        }
        let (said, prefix) = said.unwrap_or_default();
        self.prefix = prefix;
        let again = before.is_some_and(|before| before >= said.as_str() && !said.is_empty());
        let partition = self.owner.clone().unwrap_or(said);
        let chain = Chain { partition, lines: Vec::new(), strays: Vec::new() };
        let (file, line) = (self.lines.name().to_owned(), self.lines.number());
        self.begun.replace(Run { chain, file, line, again })
    }

    fn add(&mut self, text: Result<String, &str>) -> Result<(), Fault> {
        let Some(Run { chain, .. }) = &mut self.begun else { return Ok(()) };
        let count = chain.lines.len() + chain.strays.len();
        if count >= EVENTS {
            return Err(self.lines.fault(&format!("over {EVENTS} events of one asset")));
        }
        let version = count as u64 + 1;
        match text {
            Ok(body) => chain.lines.push(Line { version, body }),
            Err(why) => {
                let (version, why) = (version.to_string(), why.to_owned());
                chain.strays.push(Stray { version, why });
            }
        }
        Ok(())
    }
}

/// Whose event a line says that it is, and what all lines of that asset begin with.
fn said(line: &str) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Owner {
        tenant: String,
        asset: String,
    }
    let Owner { tenant, asset } = serde_json::from_str(line).ok()?;
    let prefix = format!(r#"{{"tenant":"{tenant}","asset":"{asset}","#);
    let key = Key::from_partition(&format!("{tenant}#{asset}"))?;
    Some((key.partition(), prefix))
}
