//! Imports an export into a journal, byte for byte.
//!
//! The whole export is checked first, then the journal's content: an interrupted import continues,
//! and any other journal is refused. Only then are events appended.

use anyhow::{bail, ensure};
use futures::TryFutureExt;
use futures::stream::{FuturesUnordered, TryStreamExt};
use ledger::audit::{Finding, inspect_with};
use ledger::checkpoint::{Head, SortedHeads};
use ledger::id::PartitionKey;
use ledger::journal::scan::Chain;
use ledger::journal::{Appended, Journal};
use ledger::record::StoredLine;

use super::archive::Archive;
use super::check::{CheckObserver, check};
use super::form::{UNDER_WAY, bytes};
use super::runs::{ExportItem, Runs};
use super::sorted::SortedHistories;
use crate::plural;

/// Assets whose events are appended at once, for group commit and the network.
const AT_ONCE: usize = 256;
/// Findings that are reported; a file with as many is not imported.
const TOLD: usize = 20;

/// An export's import into a journal.
pub struct Importer<'a> {
    archive: &'a Archive,
    journal: &'a dyn Journal,
}

/// An import's result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Assets of the export.
    pub assets: u64,
    /// Named streams of the export.
    pub streams: u64,
    /// Events of the export, also those of named streams.
    pub events: u64,
    /// Events that the journal already had.
    pub there: u64,
}

impl<'a> Importer<'a> {
    /// From `archive` into the journal.
    #[must_use]
    pub fn new(archive: &'a Archive, journal: &'a dyn Journal) -> Self {
        Self { archive, journal }
    }

    /// Refuses an export that has findings.
    pub fn check(archive: &Archive, seen: CheckObserver<'_>) -> anyhow::Result<()> {
        let (mut told, mut count) = (Vec::new(), 0_u64);
        let mut tell = |Finding { kind, asset, says, .. }: Finding| {
            count += 1;
            if told.len() < TOLD {
                told.push(format!("  {kind}: {}: {}", one_line(&asset), one_line(&says)));
            }
        };
        check(archive, &mut tell, seen)?;
        ensure!(
            count == 0,
            "the export is not as it was written, and nothing was imported; {}:\n{}",
            plural::count(count, "finding"),
            told.join("\n"),
        );
        Ok(())
    }

    /// Refuses a journal with anything but beginnings of the export's own histories.
    pub async fn compare(&self) -> anyhow::Result<()> {
        let whole = self.journal.segments(1).await?;
        let mut held = SortedHistories::of(self.journal, &whole[0]).await?;
        let mut brought = self.archive.runs();
        while let Some(held) = held.next().await? {
            let same = match find(&mut brought, &held.partition)? {
                Some(chain) => held.strays.is_empty() && chain.lines.starts_with(&held.lines),
                None => false,
            };
            ensure!(
                same,
                "the journal is not empty: it holds {}, which is not in the export, or otherwise; \
                 import into an empty journal",
                held.partition,
            );
        }
        Ok(())
    }

    /// Appends the missing events.
    ///
    /// Histories are appended by rising key, which is the order of creation, some of them at the
    /// same time; the events of each in order.
    pub async fn append(
        &self,
        mut say: impl FnMut(ImportSummary),
    ) -> anyhow::Result<ImportSummary> {
        let (mut runs, mut done) = (self.archive.runs(), ImportSummary::default());
        let (mut under_way, mut held) = (FuturesUnordered::new(), 0);
        let [mut assets, mut streams] = [(); 2].map(|()| SortedHeads::default());
        while let Some((key, chain)) = keyed(&mut runs)? {
            rise(if key.is_named() { &mut streams } else { &mut assets }, &key, &chain)?;
            let length = bytes(&chain.lines);
            held += length;
            under_way.push(self.append_one(key, chain).map_ok(move |one| (one, length)));
            while (under_way.len() >= AT_ONCE || held > UNDER_WAY)
                && let Some((one, length)) = under_way.try_next().await?
            {
                held -= length;
                done.add(one);
                say(done);
            }
        }
        while let Some((one, _)) = under_way.try_next().await? {
            done.add(one);
        }
        let manifest = self.archive.manifest();
        let of_streams = manifest.streams.clone().unwrap_or_default();
        let whole = (done.assets, done.streams, done.events, assets.root(), streams.root())
            == (
                manifest.assets,
                of_streams.count,
                manifest.events + of_streams.events,
                manifest.root,
                of_streams.root,
            );
        ensure!(whole, "the export was changed while it was read: import it again");
        Ok(done)
    }

    async fn append_one(&self, key: PartitionKey, chain: Chain) -> anyhow::Result<ImportSummary> {
        // Checked again: others can write to the file.
        if let Some(Finding { kind, says, .. }) = inspect_with(&chain, &[]).findings.first() {
            bail!("{}: {kind}: {says}: was the export changed meanwhile?", chain.partition);
        }
        let streams = u64::from(key.is_named());
        let mut done = ImportSummary { assets: 1 - streams, streams, ..ImportSummary::default() };
        for line in chain.lines {
            done.there += u64::from(!self.append_line(&key, line).await?);
            done.events += 1;
        }
        Ok(done)
    }

    /// Whether the event was missing.
    async fn append_line(&self, key: &PartitionKey, line: StoredLine) -> anyhow::Result<bool> {
        match self.journal.append_to(key, line.clone()).await? {
            Appended::Written => Ok(true),
            Appended::Taken(held) if held == line => Ok(false),
            Appended::Taken(held) => {
                bail!("{}: version {} was written by somebody else", key.partition(), held.version)
            }
        }
    }
}

impl ImportSummary {
    fn add(&mut self, one: Self) {
        self.assets += one.assets;
        self.streams += one.streams;
        self.events += one.events;
        self.there += one.there;
    }
}

/// Text without line ends, which would pass for the program's own.
fn one_line(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n")
}

/// Adds the head of an imported history: in the end all must match the manifest.
fn rise(rising: &mut SortedHeads, key: &PartitionKey, chain: &Chain) -> anyhow::Result<()> {
    let Some(last) = chain.lines.last() else { return Ok(()) };
    let head = Head { key: key.clone(), version: last.version, hash: last.hash() };
    Ok(rising.push(&head, &head.line()?)?)
}

fn next(runs: &mut Runs<'_>) -> anyhow::Result<Option<Chain>> {
    match runs.read()? {
        None => Ok(None),
        Some(ExportItem::Run(run)) => Ok(Some(run.chain)),
        Some(ExportItem::Fault(finding)) => bail!("{}", finding.says),
    }
}

/// The next history and its key.
fn keyed(runs: &mut Runs<'_>) -> anyhow::Result<Option<(PartitionKey, Chain)>> {
    let Some(chain) = next(runs)? else { return Ok(None) };
    match PartitionKey::from_partition(&chain.partition) {
        Some(key) => Ok(Some((key, chain))),
        None => bail!("{} is no asset", chain.partition),
    }
}

/// The history of `partition`, if the rest of `runs` has it.
fn find(runs: &mut Runs<'_>, partition: &str) -> anyhow::Result<Option<Chain>> {
    while let Some(chain) = next(runs)? {
        if chain.partition.as_str() >= partition {
            return Ok(Some(chain).filter(|chain| chain.partition == partition));
        }
    }
    Ok(None)
}
