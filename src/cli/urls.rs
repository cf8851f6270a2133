//! `asset-ledger urls`: who was given a URL of an asset.

use std::io::{self, Write};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use ledger::record::{StoredLine, UrlRecord};
use ledger::time;
use ledger::url_log::UrlLogQuery;

use super::render;
use super::store_options::StoreOptions;
use super::table::{columns, fit};
use super::values::AssetLabel;

/// URLs that are read at once.
const PAGE: usize = 1_000;

/// Show who was given a URL of an asset, and when.
///
/// Shows only what was recorded: `tenant limit --record-urls on` switches that on. It proves that a
/// URL was given, not that it was used. `verify` checks the recorded streams.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger urls $id --data ./data
  asset-ledger urls $id --data ./data --since 2026-11-23T00:00:00Z --format jsonl")]
pub(super) struct UrlsCommand {
    /// The asset's id, as returned by `POST /asset`.
    id: AssetLabel,
    /// Only URLs given at this RFC 3339 time or later.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<DateTime<Utc>>,
    /// Only URLs given before this RFC 3339 time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<DateTime<Utc>>,
    /// A table, or the stored bytes of one event per line.
    #[arg(long, default_value = "table")]
    format: UrlsFormat,
    #[command(flatten)]
    stores: StoreOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum UrlsFormat {
    Table,
    Jsonl,
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let at = DateTime::parse_from_rfc3339(text);
    at.map(|at| at.to_utc()).map_err(|_| "must be a time such as 2026-11-23T08:00:00Z".to_owned())
}

impl UrlsCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let key = self.id.key(&self.stores.home_tenant());
        let journal = self.stores.journal().await?;
        let Some(first) = journal.events_after(&key.clone().into(), 0, 1).await?.pop() else {
            bail!("tenant {} has no asset {}", key.tenant, key.asset);
        };
        let created = ledger::record::EventRecord::read(&first.body);
        let created_at = created.context("cannot read the asset's first event")?.at;
        let mut query = UrlLogQuery {
            tenant: key.tenant,
            asset: key.asset,
            since: self.since.map_or(created_at, |since| since.max(created_at)),
            until: self.until.unwrap_or(DateTime::<Utc>::MAX_UTC),
            after: None,
            limit: PAGE,
        };
        let (log, mut shown) = (self.stores.urls().await?, Vec::new());
        let mut out = io::stdout().lock();
        loop {
            let page = log.page(&query).await?;
            for entry in page.entries {
                match self.format {
                    UrlsFormat::Jsonl => writeln!(out, "{}", entry.line.body)?,
                    UrlsFormat::Table => shown.push(row(&entry.line)?),
                }
            }
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        if self.format == UrlsFormat::Table {
            if shown.is_empty() {
                return Ok(writeln!(out, "no URL of this asset was recorded in that time")?);
            }
            let headers = ["given (UTC)", "to", "method", "version", "expires (UTC)"];
            writeln!(out, "{}", fit(&headers, &shown, &[0, 2, 3, 4], columns()))?;
        }
        Ok(())
    }
}

fn row(line: &StoredLine) -> anyhow::Result<Vec<String>> {
    let record = UrlRecord::read_line(&line.body)?;
    Ok(vec![
        time::format(record.at),
        render::line(&record.cause.actor).into_owned(),
        record.event.method.as_str().to_owned(),
        record.event.version.to_string(),
        time::format(record.event.expires_at),
    ])
}
