//! The histories of a journal by rising key, in any store.
//!
//! An ordered store is walked directly. For another, runs that fit into memory are sorted and
//! written to temporary files, which are then merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, Write};

use anyhow::Context;
use ledger::journal::Scan;
use ledger::journal::scan::{Chain, Chains, Segment, Stray};
use ledger::record::StoredLine;
use serde::{Deserialize, Serialize};

use super::form::bytes;

/// Bytes of events that are held before they are written as a sorted run.
const RUN: usize = 64 * 1024 * 1024;

/// Every history of a journal by rising key, including partitions of no asset.
pub enum SortedHistories<'a> {
    /// Of an ordered store.
    Walked(Box<Chains<'a>>),
    /// Of another.
    Merged(RunMerge),
}

impl<'a> SortedHistories<'a> {
    /// Starts; `whole` is the one segment of `journal`.
    pub async fn of(journal: &'a dyn Scan, whole: &'a Segment) -> anyhow::Result<Self> {
        Self::with_runs_of(RUN, journal, whole).await
    }

    pub(super) async fn with_runs_of(
        bytes: usize,
        journal: &'a dyn Scan,
        whole: &'a Segment,
    ) -> anyhow::Result<Self> {
        let mut chains = Chains::new(journal, whole, None);
        if journal.ordered() {
            return Ok(Self::Walked(Box::new(chains)));
        }
        let mut runs = SortedRuns { bytes, held: 0, chains: Vec::new(), files: Vec::new() };
        while let Some(chain) = chains.next().await? {
            runs.add(chain)?;
        }
        Ok(Self::Merged(runs.merge()?))
    }

    /// The next history; `None` after the last.
    pub async fn next(&mut self) -> anyhow::Result<Option<Chain>> {
        match self {
            Self::Walked(chains) => Ok(chains.next().await?),
            Self::Merged(merge) => merge.next(),
        }
    }
}

struct SortedRuns {
    bytes: usize,
    held: usize,
    chains: Vec<Chain>,
    files: Vec<BufReader<File>>,
}

impl SortedRuns {
    fn add(&mut self, chain: Chain) -> anyhow::Result<()> {
        self.held += bytes(&chain.lines);
        self.chains.push(chain);
        if self.held < self.bytes { Ok(()) } else { self.spill() }
    }

    /// Writes the held histories as a sorted run. The file has no name, so none is left.
    fn spill(&mut self) -> anyhow::Result<()> {
        let mut file = BufWriter::new(tempfile::tempfile().context("no room to sort: see TMPDIR")?);
        self.chains.sort_by(|a, b| a.partition.cmp(&b.partition));
        for chain in self.chains.drain(..) {
            serde_json::to_writer(&mut file, &SpilledHistory::from(chain))
                .context("cannot sort")?;
            file.write_all(b"\n").context("no room to sort: see TMPDIR")?;
        }
        let mut file = file.into_inner().context("no room to sort: see TMPDIR")?;
        file.rewind()?;
        self.files.push(BufReader::new(file));
        self.held = 0;
        Ok(())
    }

    fn merge(mut self) -> anyhow::Result<RunMerge> {
        self.spill()?;
        let mut merge = RunMerge { files: self.files, next: BinaryHeap::new() };
        for run in 0..merge.files.len() {
            merge.advance(run)?;
        }
        Ok(merge)
    }
}

/// Sorted runs, merged.
pub struct RunMerge {
    files: Vec<BufReader<File>>,
    next: BinaryHeap<Reverse<(SpilledHistory, usize)>>,
}

impl RunMerge {
    fn next(&mut self) -> anyhow::Result<Option<Chain>> {
        let Some(Reverse((chain, run))) = self.next.pop() else { return Ok(None) };
        self.advance(run)?;
        Ok(Some(chain.into()))
    }

    fn advance(&mut self, run: usize) -> anyhow::Result<()> {
        let mut line = String::new();
        if self.files[run].read_line(&mut line)? > 0 {
            self.next.push(Reverse((serde_json::from_str(&line)?, run)));
        }
        Ok(())
    }
}

/// A history in a temporary file: first its partition, the sort key.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct SpilledHistory(String, Vec<(u64, String)>, Vec<(String, String)>);

impl From<Chain> for SpilledHistory {
    fn from(Chain { partition, lines, strays }: Chain) -> Self {
        let lines = lines.into_iter().map(|line| (line.version, line.body)).collect();
        let strays = strays.into_iter().map(|stray| (stray.version, stray.why)).collect();
        Self(partition, lines, strays)
    }
}

impl From<SpilledHistory> for Chain {
    fn from(SpilledHistory(partition, lines, strays): SpilledHistory) -> Self {
        let lines = lines.into_iter().map(|(version, body)| StoredLine { version, body }).collect();
        let strays = strays.into_iter().map(|(version, why)| Stray { version, why }).collect();
        Self { partition, lines, strays }
    }
}
