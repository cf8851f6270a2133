//! `asset-ledger project`: the projection on DynamoDB without Lambda.

use std::net::SocketAddr;

use anyhow::bail;
use clap::Args;
use ledger::id::Tenant;

use super::signals::SignalListener;
use super::values::{self, RetentionDays};
use crate::aws::serve::{AwsServer, Projecting};
use crate::aws::{
    Config, DEFAULT_SHARDS, FEED_RETENTION, JOURNAL_TABLE, SHARDS, TENANT, VIEWS_TABLE, sdk_config,
};
use crate::server::DRAIN;

/// Follow the journal's DynamoDB stream and project its events into the rows.
///
/// Runs instead of the projector on Lambda, or beside it. Each start reads the stream from its
/// oldest record (24 hours). Projecting an asset again changes nothing, so no cursor is stored, and
/// a second process can run for failover. A stream allows two readers.
///
/// Records that the stream lost, because it was not read for a day or was switched off, are
/// recovered by a scan of the journal's keys. A running process detects the loss and starts the
/// scan. After more than 24 hours without any projection, start it once with --catch-up.
///
/// A changed or removed event is tampering. It is logged as an error with the hashes of both
/// images, and counted in /metrics.
#[derive(Debug, Args)]
#[command(after_help = "Region, credentials and endpoints come from the usual AWS settings:
AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID …, AWS_ENDPOINT_URL_DYNAMODB,
AWS_ENDPOINT_URL_DYNAMODB_STREAMS.

Examples:
  asset-ledger project --journal-table journal --views-table views
  curl http://127.0.0.1:8082/readyz     # 503 until it has read up to now
  curl http://127.0.0.1:8082/metrics    # asset_ledger_stream_lag_ms and others")]
pub(super) struct Project {
    /// The DynamoDB table of events.
    #[arg(long, env = JOURNAL_TABLE, value_name = "TABLE")]
    journal_table: String,
    /// The DynamoDB table of rows.
    #[arg(long, env = VIEWS_TABLE, value_name = "TABLE")]
    views_table: String,
    /// The number of partitions of the rows on DynamoDB. It must not change after the first row.
    #[arg(long, env = SHARDS, default_value_t = DEFAULT_SHARDS,
        value_parser = clap::value_parser!(u8).range(1..))]
    shards: u8,
    /// The days for which the feed on DynamoDB keeps events, 7 to 731; with 0 for ever. It must be
    /// the same for all processes and functions on the tables.
    #[arg(long, env = FEED_RETENTION, value_name = "DAYS", default_value = "0",
        value_parser = values::feed_retention)]
    feed_retention_days: RetentionDays,
    /// The tenant: 1 to 32 of a-z, 0-9 and '-'.
    #[arg(long, env = TENANT, default_value = "main")]
    tenant: Tenant,
    /// Project every asset of the journal first.
    #[arg(long)]
    catch_up: bool,
    /// The address of /healthz, /readyz and /metrics; port 0 selects a free port.
    #[arg(long, env = "ASSET_LEDGER_PROJECT_LISTEN", default_value = "127.0.0.1:8082",
        value_parser = values::address)]
    listen: SocketAddr,
    /// Allow addresses other than loopback. Requests are not authenticated.
    #[arg(long, env = "ASSET_LEDGER_INSECURE_NO_AUTH")]
    insecure_no_auth: bool,
}

impl Project {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        if !self.listen.ip().is_loopback() && !self.insecure_no_auth {
            bail!("--listen {} is not a loopback address: give --insecure-no-auth", self.listen);
        }
        let stop = SignalListener::heed()?;
        let server = AwsServer::project(self.options(), &sdk_config().await).await?;
        let url = server.url();
        tracing::info!(url, "listening");
        super::announce(format!("Projecting; see {url}/readyz and {url}/metrics"));
        stop.wait(server.stop()).await
    }

    fn options(self) -> Projecting {
        let config = Config {
            journal: self.journal_table,
            views: self.views_table,
            bucket: String::new(), // a projection does not read files
            tenant: self.tenant,
            shards: self.shards,
            feed_retention: self.feed_retention_days.0,
        };
        Projecting { config, listen: self.listen, catch_up: self.catch_up, drain: DRAIN }
    }
}
