//! `asset-ledger project`: the projection on DynamoDB, where no Lambda does it.

use std::net::SocketAddr;

use anyhow::bail;
use clap::Args;
use ledger::id::Tenant;

use super::signals::SignalListener;
use super::values;
use crate::aws::serve::{AwsServer, Projecting};
use crate::aws::{Config, DEFAULT_SHARDS, JOURNAL_TABLE, SHARDS, TENANT, VIEWS_TABLE, sdk_config};
use crate::server::DRAIN;

/// Follow the journal's DynamoDB stream and keep the rows up with it.
///
/// For places without Lambda, or beside it. Each start reads the stream from its oldest record
/// (24 hours): projecting an asset again changes nothing, so nothing has to be remembered, and
/// several of these can run at once, for when one dies. Two readers is what a stream allows.
///
/// What the stream has lost, because nobody read it for a day or because it was switched off, is
/// found by going through the journal's keys. While this runs it notices by itself; after more
/// than 24 hours without any projection, start it once with --catch-up.
///
/// An event that was changed or removed is tampering: it is logged as an error with the hashes of
/// both images, and counted for /metrics.
#[derive(Debug, Args)]
#[command(after_help = "Region, credentials and endpoints are those of every AWS tool: AWS_REGION,
AWS_PROFILE, AWS_ACCESS_KEY_ID …, AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL_DYNAMODB_STREAMS.

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
    /// Partitions of the rows on DynamoDB, as it was when the first row was written.
    #[arg(long, env = SHARDS, default_value_t = DEFAULT_SHARDS,
        value_parser = clap::value_parser!(u8).range(1..))]
    shards: u8,
    /// Whose assets: 1 to 32 of a-z, 0-9 and '-'.
    #[arg(long, env = TENANT, default_value = "main")]
    tenant: Tenant,
    /// Project every asset of the journal first.
    #[arg(long)]
    catch_up: bool,
    /// Where /healthz, /readyz and /metrics are; port 0 takes a free one.
    #[arg(long, env = "ASSET_LEDGER_PROJECT_LISTEN", default_value = "127.0.0.1:8082",
        value_parser = values::address)]
    listen: SocketAddr,
    /// Listen on other than loopback addresses although everybody who reaches them may ask.
    #[arg(long, env = "ASSET_LEDGER_INSECURE_NO_AUTH")]
    insecure_no_auth: bool,
}

impl Project {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        if !self.listen.ip().is_loopback() && !self.insecure_no_auth {
            bail!("--listen {} is not this machine only: give --insecure-no-auth", self.listen);
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
            bucket: String::new(), // a projection never looks at files
            tenant: self.tenant,
            shards: self.shards,
        };
        Projecting { config, listen: self.listen, catch_up: self.catch_up, drain: DRAIN }
    }
}
