//! Every event of a journal, for whoever rebuilds, checks or exports it: in segments that several
//! may read at once, in pages, each from where the one before ended.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::id::{Key, PartitionKey};
use crate::record::{self, StoredLine};

/// The journal as a whole.
///
/// # Contract
/// * The segments of one call of `segments` together hold every event, each in exactly one, also
///   events that are appended later; all events of an asset are in the same segment.
/// * Within a segment, the items of an asset come together, by rising version. A page may end amid
///   them; the next page goes on where it ended.
/// * A scan sees every event whose append was answered before its first page was asked for. Of
///   those appended meanwhile it may see some, and of each asset only the first ones.
/// * Segments and places may be kept and used by another process later.
/// * In a journal that is `ordered`, the assets of its one segment come by rising partition.
/// * Whatever is stored is given, also what no ledger wrote: an item that is no event is told as
///   such, and is no error.
#[async_trait]
pub trait Scan: Send + Sync {
    /// Whether the store keeps its partitions in their order.
    fn ordered(&self) -> bool {
        false
    }

    /// How many events there are, nearly, where that is known without reading them.
    async fn size(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Divides the journal into `count` segments, at least one.
    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError>;

    /// The page of `segment` after `place`; from its beginning without one.
    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError>;
}

/// A part of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Which one, from 0.
    pub number: u32,
    /// Of how many.
    pub of: u32,
    /// The first partition that can be in it, in a journal that is ordered by partition.
    pub from: Option<String>,
    /// The first partition beyond it, in such a journal.
    pub until: Option<String>,
}

/// The item that a page ended with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanPosition {
    /// Its partition.
    pub partition: String,
    /// Its version, as the store writes it: of a forged item it need not be a whole number.
    pub version: String,
}

/// A page of a segment.
#[derive(Debug, Clone, Default)]
pub struct Scanned {
    /// What is stored there.
    pub items: Vec<StoredItem>,
    /// Where the next page starts; `None` on the segment's last.
    pub next: Option<ScanPosition>,
}

/// One item of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredItem {
    /// The partition that it is stored under: `<tenant>#<asset>` or `<tenant>#<stream>`.
    pub partition: String,
    /// The line that is stored there, or what is there instead.
    pub line: Result<StoredLine, Stray>,
}

/// An item that is no event of any ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its version, as the store writes it.
    pub version: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the item at version {} is no event: {}", self.version, self.why)
    }
}

/// Everything that is stored under one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// `<tenant>#<asset>` or `<tenant>#<stream>`, or whatever somebody else wrote there.
    pub partition: String,
    /// Its lines, by rising version.
    pub lines: Vec<StoredLine>,
    /// What is among them and is no event.
    pub strays: Vec<Stray>,
}

impl Chain {
    /// Whose history this is; `None` for a partition that is no asset's.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        Key::from_partition(&self.partition)
    }

    /// Which named stream this is; `None` for an asset's history, and for a partition that has the
    /// name of a stream but no event of one.
    #[must_use]
    pub fn stream(&self) -> Option<PartitionKey> {
        let key = PartitionKey::from_partition(&self.partition).filter(PartitionKey::is_named)?;
        self.lines.iter().any(|line| record::is_of_a_stream(&line.body)).then_some(key)
    }
}

/// The histories of one segment, one asset after the other. Holds one page and one history.
pub struct Chains<'a> {
    journal: &'a dyn Scan,
    segment: &'a Segment,
    page: std::vec::IntoIter<StoredItem>,
    next: Option<ScanPosition>,
    ended: bool,
    begun: Option<(Chain, ScanPosition)>,
    done: Option<ScanPosition>,
    read: u64,
}

impl<'a> Chains<'a> {
    /// The histories of `segment` after `place`, which was [`Chains::place`] of an earlier walk.
    pub fn new(journal: &'a dyn Scan, segment: &'a Segment, after: Option<ScanPosition>) -> Self {
        let (page, done) = (Vec::new().into_iter(), after.clone());
        Self { journal, segment, page, next: after, ended: false, begun: None, done, read: 0 }
    }

    /// The next asset's whole history; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Chain>, StoreError> {
        loop {
            while let Some(stored) = self.page.next() {
                self.read += 1;
                if let Some(whole) = self.take(stored) {
                    return Ok(Some(self.give(whole)));
                }
            }
            if self.ended {
                return Ok(self.begun.take().map(|last| self.give(last)));
            }
            let page = self.journal.page(self.segment, self.next.as_ref()).await?;
            self.page = page.items.into_iter();
            self.ended = page.next.is_none();
            self.next = page.next;
        }
    }

    /// Where somebody else can go on after the histories that were given.
    #[must_use]
    pub fn place(&self) -> Option<&ScanPosition> {
        self.done.as_ref()
    }

    /// How many items were read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Adds an item to the history that was begun; if it begins another, gives that one back.
    fn take(&mut self, stored: StoredItem) -> Option<(Chain, ScanPosition)> {
        let StoredItem { partition, line } = stored;
        let same = self.begun.as_ref().is_some_and(|(begun, _)| begun.partition == partition);
        let whole = if same { None } else { self.begun.take() };
        let (begun, end) = self.begun.get_or_insert_with(|| {
            let end = ScanPosition { partition: partition.clone(), version: String::new() };
            (Chain { partition, lines: Vec::new(), strays: Vec::new() }, end)
        });
        match line {
            Ok(line) => {
                end.version = line.version.to_string();
                begun.lines.push(line);
            }
            Err(stray) => {
                end.version.clone_from(&stray.version);
                begun.strays.push(stray);
            }
        }
        whole
    }

    /// A whole history is put in order once more: an emulator of DynamoDB gives the numbers of a
    /// scan in the order of their digits, 10 before 2, and its histories are no worse for it.
    fn give(&mut self, (mut chain, end): (Chain, ScanPosition)) -> Chain {
        chain.lines.sort_by_key(|line| line.version);
        self.done = Some(end);
        chain
    }
}
