//! What `verify` tells: a table for people, JSON Lines for machines.

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use ledger::audit::{Finding, Kind};
use ledger::chain::Hash;
use serde::Serialize;
use tokio::sync::mpsc;

/// Findings that a table shows; the rest are counted by kind. Nobody reads more, and they would
/// have to be kept.
const SHOWN: usize = 1000;
/// Hex digits of a hash that a table shows.
const SHORT: usize = 12;

/// Takes findings as they come.
pub(super) struct Report {
    json: bool,
    shown: Vec<Finding>,
    counts: BTreeMap<Kind, u64>,
}

/// The last line for machines.
#[derive(Serialize)]
struct End {
    checked: Checked,
    findings: BTreeMap<&'static str, u64>,
    /// Whether that was everything.
    whole: bool,
}

/// How much was looked at.
#[derive(Serialize)]
struct Checked {
    assets: u64,
    events: u64,
    rows: u64,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, shown: Vec::new(), counts: BTreeMap::new() }
    }

    /// How many findings there were so far.
    pub(super) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Takes findings until there are no more.
    pub(super) async fn take(&mut self, mut from: mpsc::Receiver<Finding>) -> anyhow::Result<()> {
        while let Some(finding) = from.recv().await {
            self.tell(finding)?;
        }
        Ok(())
    }

    /// Takes a finding: machines are told at once.
    pub(super) fn tell(&mut self, finding: Finding) -> io::Result<()> {
        *self.counts.entry(finding.kind).or_default() += 1;
        if self.json {
            return unless_closed(line(&finding));
        }
        if self.shown.len() < SHOWN {
            self.shown.push(finding);
        }
        Ok(())
    }

    /// Tells the rest, whether that is the `whole`, and how many findings there were. Of a look
    /// that came to nothing there is nothing to tell.
    pub(super) fn end(self, looked: (u64, u64, u64), whole: bool) -> io::Result<u64> {
        let count = self.count();
        if !whole && count == 0 && looked == (0, 0, 0) {
            return Ok(0);
        }
        let (assets, events, rows) = looked;
        let checked = Checked { assets, events, rows };
        if self.json {
            let findings = self.counts.iter().map(|(kind, count)| (kind.name(), *count)).collect();
            unless_closed(line(&End { checked, findings, whole }))?;
        } else {
            unless_closed(self.table(&checked, count, whole))?;
        }
        Ok(count)
    }

    fn table(&self, checked: &Checked, count: u64, whole: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if count > 0 {
            let mut table = Table::new();
            table
                .load_preset(presets::UTF8_BORDERS_ONLY)
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_header(["finding", "asset", "#", "expected", "found", "what", "repair"])
                .add_rows(self.shown.iter().map(row));
            writeln!(out, "{table}")?;
        }
        for (kind, count) in &self.counts {
            writeln!(out, "{count:>8} {kind}")?;
        }
        let Checked { assets, events, rows } = checked;
        let (but, so_far) = if whole { ("", "") } else { (", but not all", " so far") };
        writeln!(
            out,
            "checked {assets} assets with {events} events and {rows} rows{but}: \
             {count} findings{so_far}"
        )
    }
}

/// Whoever reads may have read enough, but is still owed the exit code: so the look goes on.
fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn row(finding: &Finding) -> [String; 7] {
    let short = |hash: Option<Hash>| {
        hash.map(|hash| hash.to_string()[..SHORT].to_owned()).unwrap_or_default()
    };
    [
        finding.kind.to_string(),
        finding.asset.clone(),
        finding.version.map(|version| version.to_string()).unwrap_or_default(),
        short(finding.expected),
        short(finding.found),
        finding.says.clone(),
        finding.repair.clone().unwrap_or_default(),
    ]
}

fn line(told: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, told)?;
    writeln!(out)
}
