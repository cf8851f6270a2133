//! `asset-ledger history`: what happened to one asset.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ledger::history::History as Chain;
use ledger::id::{AssetId, Key, Tenant};
use ledger::journal::{Journal, SqliteJournal};
use ledger::record::Line;
use ledger::sqlite::Open;

/// Show what happened to an asset, and check its hash chain.
///
/// Reads the journal of a data folder, beside a running `serve` or without one. Exits with 1 if
/// the asset does not exist or its history was tampered with.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger history $id --data ./data
  asset-ledger history $id --data ./data --format jsonl > history.jsonl")]
pub(super) struct History {
    /// The asset's id, as `POST /asset` gave it.
    id: AssetId,
    /// The data folder of `serve`.
    #[arg(long, env = "ASSET_LEDGER_DATA", value_name = "DIR")]
    data: PathBuf,
    /// Whose asset.
    #[arg(long, env = "ASSET_LEDGER_TENANT", default_value = "main")]
    tenant: Tenant,
    /// A table for people, or the raw chain: one event's stored bytes a line.
    #[arg(long, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Jsonl,
}

impl History {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let journal = SqliteJournal::open(&self.data, Open::Existing).await.with_context(|| {
            format!("no journal could be opened in {}; is --data right?", self.data.display())
        })?;
        let key = Key { tenant: self.tenant, asset: self.id };
        let lines = journal.history(&key).await?;
        if lines.is_empty() {
            bail!("there is no asset {} of tenant {}", key.asset, key.tenant);
        }
        let mut out = io::stdout().lock();
        if matches!(self.format, Format::Jsonl) {
            write_lines(&mut out, &lines)?;
        }
        let read = Chain::read(&key, lines.clone());
        match (read, self.format) {
            (Ok(Some(history)), Format::Table) => super::table::write(&mut out, &history)?,
            (Ok(_), _) => {}
            (Err(broken), format) => {
                if matches!(format, Format::Table) {
                    write_lines(&mut out, &lines)?;
                }
                return Err(broken).context("this history is not as it was written");
            }
        }
        Ok(())
    }
}

fn write_lines(out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{}", line.body))
}
