//! `asset-ledger serve`: the API and all other parts, on one folder or with DynamoDB and S3.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use ledger::id::Tenant;
use ledger::signer::Signer;

use super::checkpoint::secret;
use super::replay::keep;
use super::signals::SignalListener;
use super::store_options::StoreKind;
use super::values::{self, RetentionDays};
use crate::aws::serve::{self, AwsServer};
use crate::aws::{
    AUTH, AUTH_CONFIG, BUCKET, Config, DEFAULT_SHARDS, FEED_RETENTION, JOURNAL_TABLE, SHARDS,
    TENANT, VIEWS_TABLE, sdk_config,
};
use crate::http::{AuthMode, RatePolicy, spelt};
use crate::jwt::AuthConfig;
use crate::local::{LocalOptions, LocalServer};
use crate::scheduled::{CheckpointPlan, SchedulePlan};
use crate::server::DRAIN;

/// Run the API on a data folder, or on DynamoDB and S3.
///
/// With --data, no account and no other server are needed. The journal and the rows are SQLite
/// files in the folder, a local S3 endpoint runs beside the API, and clients upload and download by
/// presigned URLs as on AWS. A crash loses no acknowledged write.
///
/// With --store dynamodb, the journal and the rows are DynamoDB tables (created by `asset-ledger
/// migrate`) and the files are in an S3 bucket with versioning on. Also run `asset-ledger project`,
/// or the projector on Lambda. The process keeps no state, so several can run at once.
///
/// Ctrl-C, SIGTERM and SIGHUP stop the server after the requests under way.
#[derive(Debug, Args)]
#[command(
    after_help = "With --store dynamodb, region, credentials and endpoints come from the usual AWS
settings: AWS_REGION, AWS_PROFILE, AWS_ACCESS_KEY_ID …, AWS_ENDPOINT_URL_DYNAMODB,
AWS_ENDPOINT_URL_S3.

Examples:
  asset-ledger serve --data ./data
  curl -X POST http://127.0.0.1:8080/asset

  asset-ledger serve --data ./data --verify-every 24h \\
      --checkpoint-every 1h --checkpoint-key ledger.key --checkpoint-out /mnt/elsewhere

  asset-ledger tenant create --data ./data
  asset-ledger key create --name me --scope read,write --data ./data > me.key
  asset-ledger serve --data ./data --auth required
  curl -X POST -H \"Authorization: Bearer $(cat me.key)\" http://127.0.0.1:8080/asset

  asset-ledger serve --store dynamodb --journal-table journal --views-table views --bucket files
  curl http://127.0.0.1:8080/readyz"
)]
pub(super) struct Serve {
    /// The store of events and rows.
    #[arg(long, env = "ASSET_LEDGER_STORE", value_enum, default_value_t = StoreKind::Sqlite)]
    store: StoreKind,
    /// The address of the API, or a port on loopback; port 0 selects a free port.
    #[arg(long, env = "ASSET_LEDGER_LISTEN", default_value = "127.0.0.1:8080",
        value_parser = values::address)]
    listen: SocketAddr,
    /// The S3 URL for clients, if it differs from the one that this process uses.
    #[arg(long, env = "ASSET_LEDGER_S3_URL", value_name = "URL", value_parser = s3_url)]
    s3_url: Option<String>,
    /// A web origin that may use the API and the presigned URLs, in addition to loopback origins.
    /// Can be given more than once.
    #[arg(long, env = "ASSET_LEDGER_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origin: Vec<String>,
    /// The public URL of the API behind a proxy that keeps the client's `Host` header. The server
    /// accepts this host name and this web origin. Can be given more than once.
    #[arg(long, env = "ASSET_LEDGER_PUBLIC_URL", value_name = "URL", value_delimiter = ',',
        value_parser = public_url)]
    public_url: Vec<String>,
    /// The tenant: 1 to 32 of a-z, 0-9 and '-'.
    #[arg(long, env = TENANT, default_value = "main")]
    tenant: Tenant,
    /// Who decides which requests are served. `none`: nobody; the default on loopback. `required`:
    /// each request needs an API key, or a token of --auth-config, which names its tenant.
    #[arg(long, env = AUTH, value_enum)]
    auth: Option<AuthChoice>,
    /// With --auth required, a JSON file of the issuers whose tokens (JWT) are accepted beside API
    /// keys. The environment variable may also hold the JSON itself.
    #[arg(long, env = AUTH_CONFIG, value_name = "FILE")]
    auth_config: Option<String>,
    /// With --auth required, allow addresses other than loopback: TLS ends in front of this
    /// process, so that no key is sent in the clear. --public-url names the host.
    #[arg(long, env = "ASSET_LEDGER_BEHIND_TLS")]
    behind_tls: bool,
    /// With --auth required, the requests a second of each caller in the long run. A caller is a
    /// key, also after its rotation. By default there is no limit.
    #[arg(long, env = "ASSET_LEDGER_RATE", value_name = "REQUESTS")]
    rate: Option<NonZeroU32>,
    /// With --rate, the requests that a caller may make at once after a pause. By default twice the
    /// rate.
    #[arg(long, env = "ASSET_LEDGER_BURST", value_name = "REQUESTS", requires = "rate")]
    burst: Option<NonZeroU32>,
    /// With --auth required, a loopback address for /metrics, which are of all tenants. Without it
    /// they are not served.
    #[arg(long, env = "ASSET_LEDGER_METRICS_LISTEN", value_name = "ADDRESS",
        value_parser = values::address)]
    metrics_listen: Option<SocketAddr>,
    /// Allow addresses other than loopback without authentication: every client that reaches the
    /// address can read and change every asset.
    #[arg(long, env = "ASSET_LEDGER_INSECURE_NO_AUTH")]
    insecure_no_auth: bool,
    /// The time limit, in seconds, for all requests under way when the server stops.
    #[arg(long, env = "ASSET_LEDGER_DRAIN_TIMEOUT", value_name = "SECONDS",
        default_value_t = DRAIN.as_secs(), value_parser = clap::value_parser!(u64).range(..=3600))]
    drain_timeout: u64,
    #[command(flatten)]
    folder: FolderOptions,
    #[command(flatten)]
    looking: ScheduleOptions,
    #[command(flatten)]
    tables: TableOptions,
}

/// Who decides which requests are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AuthChoice {
    None,
    Required,
    Gateway,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "On one folder (--store sqlite)")]
struct FolderOptions {
    /// The data folder. `serve` and `import` create it if it is missing.
    #[arg(
        long,
        env = "ASSET_LEDGER_DATA",
        value_name = "DIR",
        required_unless_present = "store",
        required_if_eq("store", "sqlite")
    )]
    data: Option<PathBuf>,
    /// The address of the S3 endpoint. Port 0 selects a free port; URLs are then invalid after a
    /// restart.
    #[arg(long, env = "ASSET_LEDGER_S3_LISTEN", default_value = "127.0.0.1:8081",
        value_parser = values::address)]
    s3_listen: SocketAddr,
}

/// Scheduled jobs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scheduled jobs (--store sqlite)")]
struct ScheduleOptions {
    /// Verify the ledger at this interval, such as 15m, 24h or 7d, like `verify --objects` but at a
    /// low rate. Findings are in the log and in /metrics, and /readyz fails.
    #[arg(long, env = "ASSET_LEDGER_VERIFY_EVERY", value_name = "DURATION", value_parser = every)]
    verify_every: Option<Duration>,
    /// Write a checkpoint into --checkpoint-out at this interval, like `checkpoint`.
    #[arg(long, env = "ASSET_LEDGER_CHECKPOINT_EVERY", value_name = "DURATION",
        value_parser = every, requires = "checkpoint_out")]
    checkpoint_every: Option<Duration>,
    /// The folder for checkpoints, one file per run. It must not be in --data.
    #[arg(
        long,
        env = "ASSET_LEDGER_CHECKPOINT_OUT",
        value_name = "DIR",
        requires = "checkpoint_every"
    )]
    checkpoint_out: Option<PathBuf>,
    /// The secret key that signs the checkpoints, made by `checkpoint keygen`. Everyone who can
    /// read this file can sign any checkpoint: use a separate key for this machine.
    #[arg(
        long,
        env = "ASSET_LEDGER_CHECKPOINT_KEY",
        value_name = "FILE",
        requires = "checkpoint_every"
    )]
    checkpoint_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "On AWS (--store dynamodb)")]
struct TableOptions {
    /// The DynamoDB table of events.
    #[arg(long, env = JOURNAL_TABLE, value_name = "TABLE", required_if_eq("store", "dynamodb"))]
    journal_table: Option<String>,
    /// The DynamoDB table of rows.
    #[arg(long, env = VIEWS_TABLE, value_name = "TABLE", required_if_eq("store", "dynamodb"))]
    views_table: Option<String>,
    /// The S3 bucket of the files. Versioning must be on.
    #[arg(long, env = BUCKET, value_name = "BUCKET", required_if_eq("store", "dynamodb"))]
    bucket: Option<String>,
    /// The number of partitions of the rows on DynamoDB. It must not change after the first row.
    #[arg(long, env = SHARDS, default_value_t = DEFAULT_SHARDS,
        value_parser = clap::value_parser!(u8).range(1..))]
    shards: u8,
    /// The days for which the feed on DynamoDB keeps events, 7 to 731; with 0 for ever. It must be
    /// the same for all processes and functions on the tables.
    #[arg(long, env = FEED_RETENTION, value_name = "DAYS", default_value = "0",
        value_parser = values::feed_retention)]
    feed_retention_days: RetentionDays,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let auth = self.auth_mode()?;
        let issuers = self.issuers(auth)?;
        let stop = SignalListener::heed()?;
        match self.store {
            StoreKind::Sqlite => {
                let plan = self.looking.plan()?;
                let local = LocalServer::start_with(self.on_folder(auth, issuers), plan).await?;
                greet(&local.api_url(), &local.s3_url(), auth);
                stop.wait_unless(local.lost(), local.stop()).await
            }
            StoreKind::Dynamodb => {
                self.looking.refuse()?;
                let bucket = format!("bucket {}", self.tables.bucket.as_deref().unwrap_or("?"));
                let server =
                    AwsServer::serve(self.on_aws(auth, issuers), &sdk_config().await).await?;
                greet(server.url(), &bucket, auth);
                stop.wait(server.stop()).await
            }
        }
    }

    /// Who decides about requests. Refuses addresses that strangers reach, unless each request
    /// needs a key that travels by TLS.
    fn auth_mode(&self) -> anyhow::Result<AuthMode> {
        let s3 =
            (self.store == StoreKind::Sqlite).then_some(("--s3-listen", self.folder.s3_listen));
        let listeners = [Some(("--listen", self.listen)), s3].into_iter().flatten();
        let foreign = listeners.clone().find(|(_, address)| !address.ip().is_loopback());
        let auth = match (self.auth, foreign) {
            (Some(AuthChoice::Gateway), _) => bail!(
                "--auth gateway is for the functions behind API Gateway, whose authorizer names \
                 the caller: this process has none in front. Give --auth required"
            ),
            (Some(AuthChoice::Required), foreign) => self.required(foreign)?,
            (Some(AuthChoice::None) | None, Some((flag, address))) if !self.insecure_no_auth => {
                bail!(
                    "{flag} {address} is not a loopback address, and requests are not \
                     authenticated: every client could read and change every asset. Give --auth \
                     required with --behind-tls and --public-url, listen on 127.0.0.1 behind a \
                     proxy that authenticates, or give --insecure-no-auth"
                )
            }
            (Some(AuthChoice::None) | None, _) => AuthMode::None,
        };
        if self.rate.is_some() && auth != AuthMode::Required {
            bail!("--rate is for --auth required: without it callers are not told apart");
        }
        if let Some(address) = self.metrics_listen {
            if auth != AuthMode::Required {
                bail!("--metrics-listen is for --auth required: without it the API has /metrics");
            }
            if !address.ip().is_loopback() {
                bail!("--metrics-listen {address} is not a loopback address: /metrics has no key");
            }
        }
        let s3 = s3.filter(|(_, address)| address.ip().is_unspecified() && self.s3_url.is_none());
        if let Some((flag, address)) = s3 {
            bail!("{flag} {address} is not an address that clients can reach: give --s3-url");
        }
        Ok(auth)
    }

    fn required(&self, foreign: Option<(&str, SocketAddr)>) -> anyhow::Result<AuthMode> {
        if self.insecure_no_auth {
            bail!("--auth required and --insecure-no-auth contradict each other: give one");
        }
        if let Some((flag, address)) = foreign {
            if !self.behind_tls {
                bail!(
                    "{flag} {address} is not a loopback address: an API key sent there in the \
                     clear can be read on the way. Give --behind-tls if TLS ends in front of it"
                );
            }
            if self.public_url.is_empty() {
                bail!("--behind-tls needs --public-url: the URL by which clients reach the API");
            }
        }
        Ok(AuthMode::Required)
    }

    fn rate_policy(&self) -> Option<RatePolicy> {
        let per_second = self.rate?;
        let twice = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(1));
        Some(RatePolicy { per_second, burst: self.burst.unwrap_or(twice) })
    }

    /// The issuers whose tokens are accepted.
    fn issuers(&self, auth: AuthMode) -> anyhow::Result<Option<AuthConfig>> {
        let Some(given) = &self.auth_config else { return Ok(None) };
        if auth != AuthMode::Required {
            bail!("--auth-config is for --auth required: without it no token is looked at");
        }
        let json = if given.trim_start().starts_with('{') {
            given.clone()
        } else {
            std::fs::read_to_string(given).with_context(|| format!("--auth-config {given}"))?
        };
        let config = AuthConfig::parse(&json);
        Ok(Some(config.map_err(|error| anyhow!("--auth-config: {error}"))?))
    }

    fn on_folder(self, auth: AuthMode, issuers: Option<AuthConfig>) -> LocalOptions {
        LocalOptions {
            rate: self.rate_policy(),
            data: self.folder.data.unwrap_or_default(),
            listen: self.listen,
            s3_listen: self.folder.s3_listen,
            s3_url: self.s3_url,
            cors_origins: self.cors_origin,
            public_urls: self.public_url,
            auth,
            issuers,
            metrics_listen: self.metrics_listen,
            tenant: self.tenant,
            any_host: self.insecure_no_auth,
            drain: Duration::from_secs(self.drain_timeout),
        }
    }

    fn on_aws(self, auth: AuthMode, issuers: Option<AuthConfig>) -> serve::ServeOptions {
        let rate = self.rate_policy();
        let TableOptions { journal_table, views_table, bucket, shards, feed_retention_days } =
            self.tables;
        let config = Config {
            journal: journal_table.unwrap_or_default(),
            views: views_table.unwrap_or_default(),
            bucket: bucket.unwrap_or_default(),
            tenant: self.tenant,
            shards,
            feed_retention: feed_retention_days.0,
        };
        serve::ServeOptions {
            rate,
            config,
            listen: self.listen,
            auth,
            issuers,
            metrics_listen: self.metrics_listen,
            s3_url: self.s3_url,
            cors_origins: self.cors_origin,
            public_urls: self.public_url,
            any_host: self.insecure_no_auth,
            drain: Duration::from_secs(self.drain_timeout),
        }
    }
}

impl ScheduleOptions {
    fn plan(&self) -> anyhow::Result<SchedulePlan> {
        let key = self.checkpoint_key.as_deref().map(secret).transpose()?;
        let signer = key.map(|key| Arc::new(key) as Arc<dyn Signer>);
        let checkpoints = self.checkpoint_every.zip(self.checkpoint_out.clone());
        let checkpoints = checkpoints.map(|(every, out)| CheckpointPlan { every, out, signer });
        Ok(SchedulePlan { verify_every: self.verify_every, checkpoints })
    }

    /// Each of several processes on the same tables would verify everything, without knowing of the
    /// others' runs.
    fn refuse(&self) -> anyhow::Result<()> {
        if self.verify_every.is_none() && self.checkpoint_every.is_none() {
            return Ok(());
        }
        bail!(
            "--verify-every and --checkpoint-every are for --store sqlite: on DynamoDB the stack's \
             function `audit` verifies every day; otherwise run `asset-ledger verify` and \
             `asset-ledger checkpoint` by a timer"
        )
    }
}

/// An interval of at least a second.
fn every(text: &str) -> Result<Duration, String> {
    let every = keep::parse(text)?.to_std().unwrap_or_default();
    if every.is_zero() {
        Err(format!("{text} is too short: the shortest interval is 1s"))
    } else {
        Ok(every)
    }
}

/// The base of S3 URLs, spelt as clients send it: no client sends a default port or a host in upper
/// case, so a signature over these would not verify.
fn s3_url(text: &str) -> Result<String, String> {
    spelt(text)
}

/// The public URL of the API.
fn public_url(text: &str) -> Result<String, String> {
    spelt(text).map_err(|why| format!("{why}, such as https://ledger.example"))
}

fn greet(api: &str, s3: &str, auth: AuthMode) {
    tracing::info!(api, s3, "listening");
    let key = match auth {
        AuthMode::Required => " -H \"Authorization: Bearer KEY\"",
        AuthMode::None | AuthMode::Gateway => "",
    };
    super::announce(format!(
        "API  {api}    docs {api}/docs
S3   {s3}

Create an asset, upload a file to the returned URL, and confirm it:
  curl -X POST{key} {api}/asset
  curl -X PUT --upload-file FILE \"UPLOAD_URL\"
  curl -X PUT{key} {api}/asset/ID
Then download the file, and show its history:
  curl{key} {api}/asset/ID
  curl{key} {api}/asset/ID/history"
    ));
}
