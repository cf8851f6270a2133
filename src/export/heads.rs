//! A file of heads, read in order beside histories in order.

use std::path::Path;

use ledger::audit::{ExpectedHeads, Finding, FindingKind, Witness};
use ledger::checkpoint::{Head, SortedHeads};
use ledger::id::PartitionKey;

use super::against::ComparisonResult;
use super::form::ODD;
use super::input::{ExportInput, FileHandle};
use super::lines::{LineError, LineText, Lines};
use super::runs::broken;

/// The heads of a file, in order.
pub struct HeadsFile {
    lines: Lines,
    rising: SortedHeads,
    next: Option<NumberedHead>,
    /// The head after it, which shows whether it is in order.
    ahead: Option<NumberedHead>,
    line: u64,
    last: Option<PartitionKey>,
    /// Lines that are no heads or out of order, not yet reported.
    odd: Vec<LineError>,
    odds: usize,
}

struct NumberedHead {
    line: u64,
    text: String,
    head: Head,
}

impl HeadsFile {
    /// The heads of a file.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let from = ExportInput::open(path)?.once(&name)?;
        Self::new(Lines::new(&name, from)?)
    }

    /// The heads of an open file.
    pub(super) fn of(handle: &FileHandle, name: &str) -> anyhow::Result<Self> {
        Self::new(Lines::new(name, handle.whole())?)
    }

    pub(super) fn new(lines: Lines) -> anyhow::Result<Self> {
        let (rising, odd) = (SortedHeads::default(), Vec::new());
        let (next, ahead, last) = (None, None, None);
        let mut heads = Self { lines, rising, next, ahead, line: 0, last, odd, odds: 0 };
        heads.ahead = heads.parse()?;
        heads.advance()?;
        Ok(heads)
    }

    /// The next head with its line, checked to be a head and to come after the previous one. An odd
    /// line is an error.
    pub fn read(&mut self) -> anyhow::Result<Option<Head>> {
        if !self.odd.is_empty() {
            return Err(self.odd.remove(0).into());
        }
        Ok(self.pass()?)
    }

    /// The tree over the heads read so far.
    #[must_use]
    pub fn rising(&self) -> &SortedHeads {
        &self.rising
    }

    /// The next head, past any odd lines.
    fn pass(&mut self) -> Result<Option<Head>, LineError> {
        let Some(NumberedHead { line, head, .. }) = self.next.take() else { return Ok(None) };
        self.line = line;
        self.advance()?;
        Ok(Some(head))
    }

    /// Advances to the next head in order.
    fn advance(&mut self) -> Result<(), LineError> {
        while let Some(next) = self.ahead.take() {
            self.ahead = self.parse()?;
            let NumberedHead { line, text, head } = &next;
            if self.ahead.as_ref().is_some_and(|ahead| self.is_out_of_place(head, &ahead.head)) {
                let why = "its asset sorts after that of the next line";
                self.set_aside(self.lines.fault_at(*line, why))?;
            } else if let Err(unsorted) = self.rising.push(head, text) {
                self.set_aside(self.lines.fault_at(*line, &unsorted.to_string()))?;
            } else {
                self.last = Some(head.key.clone());
                self.next = Some(next);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether a head is before one that belongs between it and the last.
    fn is_out_of_place(&self, head: &Head, ahead: &Head) -> bool {
        ahead.key < head.key && self.last.as_ref().is_none_or(|last| *last < ahead.key)
    }

    /// The next line that is a head.
    fn parse(&mut self) -> Result<Option<NumberedHead>, LineError> {
        loop {
            let read = match self.lines.next()? {
                None => return Ok(None),
                Some(LineText::Line(text)) => Ok(text.to_owned()),
                Some(LineText::Bytes) => Err("it is not UTF-8".to_owned()),
            };
            let head = |text: String| match Head::read(&text) {
                Ok(head) => Ok((text, head)),
                Err(not) => Err(not.to_string()),
            };
            match read.and_then(head) {
                Ok((text, head)) => {
                    return Ok(Some(NumberedHead { line: self.lines.number(), text, head }));
                }
                Err(why) => self.set_aside(self.lines.fault(&why))?,
            }
        }
    }

    fn set_aside(&mut self, odd: LineError) -> Result<(), LineError> {
        self.odds += 1;
        self.odd.push(odd);
        if self.odds > ODD { Err(self.odd.remove(0)) } else { Ok(()) }
    }
}

/// Heads that are requested partition by partition, by rising key.
pub struct JoinedHeads {
    heads: HeadsFile,
    met: ComparisonResult,
}

impl JoinedHeads {
    /// Begins with the first head.
    #[must_use]
    pub fn new(heads: HeadsFile) -> Self {
        Self { heads, met: ComparisonResult::default() }
    }

    /// The head of `partition`, after the faults of the lines before it: heads of assets that were
    /// not requested, and lines that are no heads or out of order.
    pub fn seek(
        &mut self,
        partition: Option<&str>,
    ) -> anyhow::Result<(Vec<Finding>, Option<Head>)> {
        let mut wrong = Vec::new();
        loop {
            wrong.extend(self.heads.odd.drain(..).map(|odd| broken(&odd)));
            let Some(next) = &self.heads.next else { break };
            let own = next.head.key.partition();
            let beyond = partition.is_some_and(|partition| own.as_str() > partition);
            let same = partition == Some(own.as_str());
            if beyond {
                break;
            }
            let head = self.heads.pass()?;
            if same {
                self.met.heads += 1;
                return Ok((wrong, head));
            }
            self.met.removed += 1;
            wrong.extend(head.map(|head| self.gone(&head)));
        }
        self.met.others += u64::from(partition.is_some());
        Ok((wrong, None))
    }

    fn gone(&self, head: &Head) -> Finding {
        let (file, line, version) = (self.heads.lines.name(), self.heads.line, head.version);
        let says = format!("{file}:{line}: no event is left of the {version} that it had");
        Finding::new(FindingKind::Removed, head.key.partition(), says)
            .at(version)
            .hashes(Some(head.hash), None)
    }

    /// The line number of the last head.
    pub(super) fn line(&self) -> u64 {
        self.heads.line
    }

    /// The name of the file.
    pub(super) fn name(&self) -> &str {
        self.heads.lines.name()
    }

    /// The comparison's result so far.
    #[must_use]
    pub fn met(&self) -> ComparisonResult {
        self.met
    }

    /// The tree over the heads read so far.
    #[must_use]
    pub fn rising(&self) -> &SortedHeads {
        self.heads.rising()
    }

    /// The number of lines, including odd ones.
    pub(super) fn count(&self) -> u64 {
        self.heads.rising.count() + self.heads.odds as u64
    }
}

/// A head as a history's expected end.
pub(super) fn known(head: &Head) -> ExpectedHeads {
    ExpectedHeads { version: head.version, hash: head.hash, by: Witness::Checkpoint }
}
