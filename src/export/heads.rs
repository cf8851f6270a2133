//! A file of heads, read in its order beside histories in theirs.

use std::path::Path;

use anyhow::Context;
use ledger::audit::{Finding, Kind, Known, Witness};
use ledger::checkpoint::{Head, Rising};

use super::against::Met;
use super::lines::{Lines, Text};

/// The heads of a file, each after the one before it.
pub struct Heads {
    lines: Lines,
    rising: Rising,
    next: Option<Head>,
    line: u64,
}

impl Heads {
    /// The heads of a file.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {name}"))?;
        Self::new(Lines::new(&name, file)?)
    }

    pub(super) fn new(lines: Lines) -> anyhow::Result<Self> {
        let mut heads = Self { lines, rising: Rising::default(), next: None, line: 0 };
        heads.advance()?;
        Ok(heads)
    }

    /// The next head with its line, checked to be one and to come after the one before.
    pub fn read(&mut self) -> anyhow::Result<Option<Head>> {
        let next = self.next.take();
        self.line = self.lines.number();
        if next.is_some() {
            self.advance()?;
        }
        Ok(next)
    }

    /// The tree over the heads that were read.
    #[must_use]
    pub fn rising(&self) -> &Rising {
        &self.rising
    }

    fn advance(&mut self) -> anyhow::Result<()> {
        let line = match self.lines.next()? {
            None => return Ok(()),
            Some(Text::Line(line)) => line.to_owned(),
            Some(Text::Bytes) => return Err(self.lines.fault("it is not UTF-8").into()),
        };
        let told = |why: String| self.lines.fault(&why);
        let head = Head::read(&line).map_err(|e| told(e.to_string()))?;
        self.rising.push(&head, &line).map_err(|e| told(e.to_string()))?;
        self.next = Some(head);
        Ok(())
    }
}

/// Heads that are asked for one partition after the other, by rising key.
pub struct Joined {
    heads: Heads,
    met: Met,
}

impl Joined {
    /// Begins with the first head.
    #[must_use]
    pub fn new(heads: Heads) -> Self {
        Self { heads, met: Met::default() }
    }

    /// The head of `partition`, after those of assets that come before it and were not asked for.
    pub fn seek(
        &mut self,
        partition: Option<&str>,
    ) -> anyhow::Result<(Vec<Finding>, Option<Head>)> {
        let mut removed = Vec::new();
        while let Some(head) = &self.heads.next {
            let own = head.key.partition();
            let beyond = partition.is_some_and(|partition| own.as_str() > partition);
            let same = partition == Some(own.as_str());
            if beyond {
                break;
            }
            let head = self.heads.read()?;
            if same {
                self.met.heads += 1;
                return Ok((removed, head));
            }
            self.met.removed += 1;
            removed.extend(head.map(|head| gone(&head)));
        }
        self.met.others += u64::from(partition.is_some());
        Ok((removed, None))
    }

    /// The number of the line that the last head was in.
    pub(super) fn line(&self) -> u64 {
        self.heads.line
    }

    /// How heads and histories met so far.
    #[must_use]
    pub fn met(&self) -> Met {
        self.met
    }

    /// The tree over the heads that were read.
    #[must_use]
    pub fn rising(&self) -> &Rising {
        self.heads.rising()
    }
}

/// What a head remembers of its history.
pub(super) fn known(head: &Head) -> Known {
    Known { version: head.version, hash: head.hash, by: Witness::Checkpoint }
}

fn gone(head: &Head) -> Finding {
    let says = format!("no event is left of the {} that it had", head.version);
    Finding::new(Kind::Removed, head.key.partition(), says)
        .at(head.version)
        .hashes(Some(head.hash), None)
}
