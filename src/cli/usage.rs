//! `asset-ledger usage`: the assets and bytes of each tenant.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ledger::id::Tenant;
use ledger::time;
use projections::TotalsReader;
use projections::totals::{TenantFigures, TenantProjection, Usage};
use serde_json::{Map, Value};
use stores::sqlite::OpenMode;

use super::store_options::StoreOptions;
use super::table::{columns, fit};
use crate::system::SystemEffects;

/// Show how many assets and bytes each tenant has.
///
/// Counts the rows, which may lag by a moment: the assets that are not purged, those among them
/// that await their upload, and bytes. A received object counts by its size, an awaited one by its
/// declared size. Nothing is written. On DynamoDB every row is read and paid for.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger usage --data ./data
  asset-ledger usage --data ./data --tenant acme --format json")]
pub(super) struct UsageCommand {
    /// A table, or one JSON object per line and tenant.
    #[arg(long, default_value = "table")]
    format: UsageFormat,
    #[command(flatten)]
    stores: StoreOptions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UsageFormat {
    Table,
    Json,
}

impl UsageCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let journal = self.stores.journal().await?;
        let views = self.stores.views_as(OpenMode::ReadOnly).await?;
        let reader = TotalsReader::new(journal, views, Arc::new(SystemEffects), Duration::ZERO);
        let summed = reader.summed(&Usage, self.stores.tenant.as_ref()).await?;
        let names = || Usage.figures().iter().copied();
        let mut out = io::stdout().lock();
        match self.format {
            UsageFormat::Table => {
                let headers: Vec<_> = ["tenant"].into_iter().chain(names()).collect();
                let row = |(tenant, totals): &(Tenant, TenantFigures)| {
                    let tenant = tenant.to_string();
                    let figures = names().map(|name| totals.figures[name].to_string());
                    [tenant].into_iter().chain(figures).collect()
                };
                let rows: Vec<Vec<_>> = summed.iter().map(row).collect();
                writeln!(out, "{}", fit(&headers, &rows, &[0, 1, 2, 3], columns()))?;
            }
            UsageFormat::Json => {
                for (tenant, totals) in summed {
                    let mut line = Map::new();
                    line.insert("tenant".to_owned(), tenant.to_string().into());
                    let figures = totals.figures.into_iter().map(|(name, it)| (name, it.into()));
                    line.extend(figures);
                    line.insert("asOf".to_owned(), time::format(totals.as_of).into());
                    writeln!(out, "{}", Value::Object(line))?;
                }
            }
        }
        Ok(())
    }
}
