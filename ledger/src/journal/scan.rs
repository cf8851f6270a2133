//! Every event of a journal, to rebuild, check or export it: in segments that several readers may
//! read at once, in pages that continue where the last one ended.

use std::fmt::{self, Write};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::id::{Key, PartitionKey, StreamName};
use crate::journal::JournalDecorator;
use crate::record::{self, StoredLine};

/// Events of a typical asset, for which a history has room at first.
const TYPICAL: usize = 8;

/// The journal as a whole.
///
/// # Contract
/// * The segments of one call of `segments` together hold every event, each in exactly one, also
///   events that are appended later; all events of an asset are in the same segment.
/// * Within a segment, the items of an asset are contiguous, by rising version. A page may end
///   between them; the next page continues there.
/// * A scan sees every event whose append returned before the request of its first page. It may
///   see some of those appended meanwhile, and of each asset only the first ones.
/// * Segments and positions may be kept and used by another process later.
/// * In an `ordered` journal, the assets of its one segment come by rising partition.
/// * Every stored item is returned, also forged ones: an item that is no event is returned as such,
///   and is no error.
#[async_trait]
pub trait Scan: Send + Sync {
    /// Whether the store keeps its partitions in their order.
    fn ordered(&self) -> bool {
        false
    }

    /// The approximate number of events, if it is known without reading them.
    async fn size(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Divides the journal into `count` segments, at least one.
    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError>;

    /// The page of `segment` after `place`, or the first page.
    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError>;
}

#[async_trait]
impl<D: JournalDecorator> Scan for D {
    fn ordered(&self) -> bool {
        self.inner().ordered()
    }

    async fn size(&self) -> Result<Option<u64>, StoreError> {
        self.inner().size().await
    }

    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError> {
        self.around("segments", self.inner().segments(count)).await
    }

    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        JournalDecorator::page(self, segment, after).await
    }
}

/// A part of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its index, from 0.
    pub number: u32,
    /// The total.
    pub of: u32,
    /// The first possible partition, in an ordered journal.
    pub from: Option<String>,
    /// The first partition after it, in such a journal.
    pub until: Option<String>,
}

/// The last item of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanPosition {
    /// Its partition.
    pub partition: String,
    /// Its version, as the store writes it: in a forged item it need not be a whole number.
    pub version: String,
}

/// A page of a segment.
#[derive(Debug, Clone, Default)]
pub struct Scanned {
    /// The stored items.
    pub items: Vec<StoredItem>,
    /// The start of the next page; `None` on the segment's last.
    pub next: Option<ScanPosition>,
}

/// One item of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredItem {
    /// Its partition: `<tenant>#<asset>` or `<tenant>#<stream>`.
    pub partition: String,
    /// The stored line, or the item in its place.
    pub line: Result<StoredLine, Stray>,
}

/// An item that is no event of any ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its version, as the store writes it.
    pub version: String,
    /// The fault.
    pub why: String,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the item at version {} is no event: {}", self.version, self.why)
    }
}

/// All items of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// `<tenant>#<asset>`, `<tenant>#<stream>` or a forged name.
    pub partition: String,
    /// Its lines, by rising version.
    pub lines: Vec<StoredLine>,
    /// The items that are no events.
    pub strays: Vec<Stray>,
}

impl Chain {
    /// The asset's key; `None` for a partition of no asset.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        Key::from_partition(&self.partition)
    }

    /// The named stream's key; `None` for an asset's history, and for a partition that has a
    /// stream's name but no event of one.
    #[must_use]
    pub fn stream(&self) -> Option<PartitionKey> {
        // Most partitions are those of assets, whose ids are longer than any name.
        let (_, name) = self.partition.split_once('#')?;
        if name.len() > StreamName::MOST {
            return None;
        }
        let key = PartitionKey::from_partition(&self.partition).filter(PartitionKey::is_named)?;
        self.lines.iter().any(|line| record::is_of_a_stream(&line.body)).then_some(key)
    }
}

/// The version of the last item of a history.
enum LastVersion {
    Line(u64),
    Stray(String),
}

/// The histories of one segment, asset by asset. Holds one page and one history.
pub struct Chains<'a> {
    journal: &'a dyn Scan,
    segment: &'a Segment,
    page: std::vec::IntoIter<StoredItem>,
    next: Option<ScanPosition>,
    ended: bool,
    begun: Option<(Chain, LastVersion)>,
    done: Option<ScanPosition>,
    read: u64,
}

impl<'a> Chains<'a> {
    /// The histories of `segment` after `place`, a [`Chains::place`] of an earlier walk.
    pub fn new(journal: &'a dyn Scan, segment: &'a Segment, after: Option<ScanPosition>) -> Self {
        let (page, done) = (Vec::new().into_iter(), after.clone());
        Self { journal, segment, page, next: after, ended: false, begun: None, done, read: 0 }
    }

    /// The next complete history; `None` after the last.
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

    /// The position from which another reader can continue.
    #[must_use]
    pub fn place(&self) -> Option<&ScanPosition> {
        self.done.as_ref()
    }

    /// The number of items read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Adds an item to the current history. If it begins another, returns the current one.
    fn take(&mut self, stored: StoredItem) -> Option<(Chain, LastVersion)> {
        let StoredItem { partition, line } = stored;
        let same = self.begun.as_ref().is_some_and(|(begun, _)| begun.partition == partition);
        let whole = if same { None } else { self.begun.take() };
        let (begun, last) = self.begun.get_or_insert_with(|| {
            let chain = Chain { partition, lines: Vec::with_capacity(TYPICAL), strays: Vec::new() };
            (chain, LastVersion::Line(0))
        });
        match line {
            Ok(line) => {
                *last = LastVersion::Line(line.version);
                begun.lines.push(line);
            }
            Err(stray) => {
                *last = LastVersion::Stray(stray.version.clone());
                begun.strays.push(stray);
            }
        }
        whole
    }

    /// Sorts a complete history again: an emulator of DynamoDB returns the numbers of a scan in the
    /// order of their digits, 10 before 2. Its histories are sound.
    fn give(&mut self, (mut chain, last): (Chain, LastVersion)) -> Chain {
        chain.lines.sort_by_key(|line| line.version);
        let nowhere = || ScanPosition { partition: String::new(), version: String::new() };
        let done = self.done.get_or_insert_with(nowhere);
        done.partition.clone_from(&chain.partition);
        match last {
            LastVersion::Line(version) => {
                done.version.clear();
                let _ = write!(done.version, "{version}"); // a string takes every text
            }
            LastVersion::Stray(version) => done.version = version,
        }
        chain
    }
}
