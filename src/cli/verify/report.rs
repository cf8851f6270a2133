//! `verify`'s output: a table for people, JSON Lines for machines.

use std::collections::BTreeMap;
use std::io::{self, Write};

use ledger::audit::{Finding, FindingKind};
use ledger::chain::Hash;
use ledger::id::Tenant;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::cli::{render, table};
use crate::plural::{count as so_many, listed};

/// Findings that a table shows; the rest are counted by kind. More is unreadable, and would have to
/// be kept.
const SHOWN: usize = 1000;
/// Hex digits of a hash that a table shows.
const SHORT: usize = 12;

/// Takes findings as they come.
pub(super) struct VerifyReport {
    json: bool,
    tenant: Tenant,
    shown: Vec<Finding>,
    counts: BTreeMap<FindingKind, u64>,
}

/// The last line of JSON.
#[derive(Serialize)]
struct ReportSummary {
    checked: VerifiedCounts,
    findings: BTreeMap<&'static str, u64>,
    /// Whether all was verified.
    whole: bool,
}

/// What was verified.
#[derive(Default, PartialEq, Serialize)]
pub(super) struct VerifiedCounts {
    pub(super) assets: u64,
    /// Named streams, shown if there are any.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) streams: u64,
    pub(super) events: u64,
    pub(super) rows: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl VerifyReport {
    /// The assets of `tenant` are shown by their ids alone.
    pub(super) fn new(json: bool, tenant: Tenant) -> Self {
        Self { json, tenant, shown: Vec::new(), counts: BTreeMap::new() }
    }

    /// The number of findings so far.
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

    /// Takes a finding. JSON is written at once.
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

    /// Writes the rest, and whether the audit was `whole`. Returns the number of findings. An audit
    /// without any result has no output.
    pub(super) fn end(self, checked: VerifiedCounts, whole: bool) -> io::Result<u64> {
        let count = self.count();
        if !whole && count == 0 && checked == VerifiedCounts::default() {
            return Ok(0);
        }
        if self.json {
            let findings = self.counts.iter().map(|(kind, count)| (kind.name(), *count)).collect();
            unless_closed(line(&ReportSummary { checked, findings, whole }))?;
        } else {
            unless_closed(self.table(&checked, count, whole))?;
        }
        Ok(count)
    }

    fn table(&self, checked: &VerifiedCounts, count: u64, whole: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if count > 0 {
            let headers = ["finding", "asset", "#", "expected", "found", "what", "repair"];
            let rows: Vec<_> = self.shown.iter().map(|it| row(it, &self.tenant)).collect();
            let table = table::fit(&headers, &rows, &[0, 1, 2, 3, 4], table::columns());
            writeln!(out, "{table}")?;
        }
        for (kind, count) in &self.counts {
            writeln!(out, "{count:>8} {kind}")?;
        }
        let VerifiedCounts { assets, streams, events, rows } = checked;
        let (but, so_far) = if whole { ("", "") } else { (" (incomplete)", " so far") };
        writeln!(
            out,
            "checked {}{} with {} and {}{but}: {}{so_far}",
            so_many(*assets, "asset"),
            listed(*streams, "stream"),
            so_many(*events, "event"),
            so_many(*rows, "row"),
            so_many(count, "finding"),
        )
    }
}

/// The reader may close the pipe early, but still gets the exit code: the audit continues.
fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn row(finding: &Finding, tenant: &Tenant) -> Vec<String> {
    let short = |hash: Option<Hash>| {
        hash.map(|hash| hash.to_string()[..SHORT].to_owned()).unwrap_or_default()
    };
    vec![
        finding.kind.to_string(),
        render::asset(&finding.asset, tenant),
        finding.version.map(|version| version.to_string()).unwrap_or_default(),
        short(finding.expected),
        short(finding.found),
        render::line(&finding.says).into_owned(),
        render::line(finding.repair.as_deref().unwrap_or_default()).into_owned(),
    ]
}

fn line(told: &impl Serialize) -> io::Result<()> {
    let told = serde_json::to_string(told)?;
    writeln!(io::stdout().lock(), "{}", render::json(&told))
}
