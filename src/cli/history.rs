//! `asset-ledger history`: the events of one asset.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ledger::history::History as Chain;
use ledger::record::StoredLine;

use super::render;
use super::store_options::StoreOptions;
use super::values::AssetLabel;

/// Show the history of an asset, and verify its hash chain.
///
/// Reads the journal, with or without a running `serve`. The exit code is 1 if the asset does not
/// exist or its history does not verify.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger history $id --data ./data
  asset-ledger history $id --data ./data --format jsonl > history.jsonl
  asset-ledger history $id --store dynamodb --journal-table journal --views-table views")]
pub(super) struct HistoryCommand {
    /// The asset's id, as returned by `POST /asset`.
    id: AssetLabel,
    /// A table, or the raw chain with the stored bytes of one event per line.
    #[arg(long, default_value = "table")]
    format: Format,
    #[command(flatten)]
    stores: StoreOptions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Jsonl,
}

impl HistoryCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let journal = self.stores.journal().await?;
        let key = self.id.key(&self.stores.home_tenant());
        let lines = journal.history(&key).await?;
        if lines.is_empty() {
            bail!("tenant {} has no asset {}", key.tenant, key.asset);
        }
        let mut out = io::stdout().lock();
        let read = Chain::read(&key, lines.clone());
        let shown = match (&read, self.format) {
            (Ok(Some(history)), Format::Table) => super::table::write(&mut out, history),
            (_, Format::Table) => write_shown(&mut out, &lines),
            (_, Format::Jsonl) => write_lines(&mut out, &lines),
        };
        // Also if the output is not read to the end: the exit code reports the verification.
        read.context("cannot verify the history")?;
        Ok(shown?)
    }
}

/// The stored lines instead of a table, for people.
fn write_shown(out: &mut impl Write, lines: &[StoredLine]) -> io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{}", render::line(&line.body)))
}

/// The stored bytes; on a terminal, control characters are escaped.
fn write_lines(out: &mut impl Write, lines: &[StoredLine]) -> io::Result<()> {
    if io::stdout().is_terminal() {
        return write_shown(out, lines);
    }
    lines.iter().try_for_each(|line| writeln!(out, "{}", line.body))
}
