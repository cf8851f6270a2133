//! The location of the ledger for a command: a data folder, or tables and a bucket on AWS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ledger::StoreError;
use ledger::access::AccessService;
use ledger::id::Tenant;
use ledger::journal::Journal;
use ledger::objects::ObjectInventory;
use ledger::url_log::UrlLog;
use projections::Generations;
use stores::sqlite::OpenMode;
use stores::{DynamoJournal, SqliteJournal};
use stores::{DynamoViews, SqliteViews};

use super::values::{self, RetentionDays};
use crate::aws::{
    BUCKET, Clients, DEFAULT_SHARDS, FEED_RETENTION, JOURNAL_TABLE, PROJECTOR_OPERATION, SHARDS,
    TENANT, VIEWS_TABLE, sdk_config,
};
use crate::local::{self, FolderLock};
use crate::objects::S3Objects;
use crate::s3::LocalBucket;
use crate::system::SystemEffects;

/// The store of events and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StoreKind {
    /// SQLite files in the data folder, with a local S3 endpoint.
    Sqlite,
    /// Two DynamoDB tables, with the files in an S3 bucket.
    Dynamodb,
}

/// The ledger that a command works on. On a folder, `serve` may run meanwhile.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Ledger options")]
pub(super) struct StoreOptions {
    /// The store of events and rows.
    #[arg(long, env = "ASSET_LEDGER_STORE", value_enum, default_value_t = StoreKind::Sqlite)]
    pub(super) store: StoreKind,
    /// The data folder. `serve` and `import` create it if it is missing.
    #[arg(
        long,
        env = "ASSET_LEDGER_DATA",
        value_name = "DIR",
        required_unless_present = "store",
        required_if_eq("store", "sqlite")
    )]
    pub(super) data: Option<PathBuf>,
    /// The DynamoDB table of events.
    #[arg(long, env = JOURNAL_TABLE, value_name = "TABLE", required_if_eq("store", "dynamodb"))]
    pub(super) journal_table: Option<String>,
    /// The DynamoDB table of rows.
    #[arg(long, env = VIEWS_TABLE, value_name = "TABLE", required_if_eq("store", "dynamodb"))]
    pub(super) views_table: Option<String>,
    /// The S3 bucket of the files. Versioning must be on.
    #[arg(long, env = BUCKET, value_name = "BUCKET")]
    pub(super) bucket: Option<String>,
    /// The number of partitions of the rows on DynamoDB. It must not change after the first row.
    #[arg(long, env = SHARDS, default_value_t = DEFAULT_SHARDS,
        value_parser = clap::value_parser!(u8).range(1..))]
    pub(super) shards: u8,
    /// The days for which the feed on DynamoDB keeps events, 7 to 731; with 0 for ever. It must be
    /// the same for all processes and functions on the tables.
    #[arg(long, env = FEED_RETENTION, value_name = "DAYS", default_value = "0",
        value_parser = values::feed_retention)]
    pub(super) feed_retention_days: RetentionDays,
    /// The tenant: 1 to 32 of a-z, 0-9 and '-'. By default `main` for an asset given by its id
    /// alone, and every tenant for a command that reads all assets.
    #[arg(long, env = TENANT)]
    pub(super) tenant: Option<Tenant>,
}

impl StoreOptions {
    /// The tenant of an asset that is named by its id alone.
    pub(super) fn home_tenant(&self) -> Tenant {
        self.tenant.clone().unwrap_or_default()
    }

    /// The journal, which must exist, read only: no byte of its folder changes.
    pub(super) async fn journal(&self) -> anyhow::Result<Arc<dyn Journal>> {
        self.journal_as(OpenMode::ReadOnly).await
    }

    /// The same, in any mode.
    pub(super) async fn journal_as(&self, open: OpenMode) -> anyhow::Result<Arc<dyn Journal>> {
        match self.store {
            StoreKind::Sqlite => Ok(Arc::new(self.sqlite_journal(open).await?)),
            StoreKind::Dynamodb => {
                let client = self.clients().await.dynamodb;
                let table = self.journal_table.as_deref().unwrap_or_default();
                Ok(Arc::new(DynamoJournal::new(client, table)))
            }
        }
    }

    async fn sqlite_journal(&self, open: OpenMode) -> anyhow::Result<SqliteJournal> {
        let journal = SqliteJournal::open(self.whole_folder()?, open).await;
        self.found("journal", journal)
    }

    async fn dynamo_views(&self) -> DynamoViews {
        let client = self.clients().await.dynamodb;
        let table = self.views_table.as_deref().unwrap_or_default();
        let views = DynamoViews::new(client, table, self.shards);
        views.keeping_feed(self.feed_retention_days.0)
    }

    /// The access of tenants, for commands that change it. `serve` may run meanwhile.
    pub(super) async fn access(&self, open: OpenMode) -> anyhow::Result<AccessService> {
        if self.store == StoreKind::Sqlite && open == OpenMode::OrCreate {
            local::prepare(self.folder())?;
        }
        let effects = Arc::new(SystemEffects);
        match self.store {
            StoreKind::Sqlite => {
                let journal = Arc::new(self.sqlite_journal(open).await?);
                Ok(AccessService::new(journal.clone(), effects).noting(journal))
            }
            StoreKind::Dynamodb => {
                let views = Arc::new(self.dynamo_views().await);
                Ok(AccessService::new(self.journal_as(open).await?, effects).noting(views))
            }
        }
    }

    /// The access logs of tenants, read only.
    pub(super) async fn urls(&self) -> anyhow::Result<UrlLog> {
        Ok(UrlLog::new(self.journal().await?, Arc::new(SystemEffects)))
    }

    /// The rows of every generation, read only; without their file, a new table in `scratch`.
    pub(super) async fn views_or_new(
        &self,
        scratch: &Path,
    ) -> anyhow::Result<Arc<dyn Generations>> {
        if self.store == StoreKind::Sqlite && !SqliteViews::is_there(self.folder()) {
            return Ok(Arc::new(SqliteViews::open(scratch, OpenMode::OrCreate)?));
        }
        self.views_as(OpenMode::ReadOnly).await
    }

    /// The rows of every generation; the table must exist.
    pub(super) async fn views_as(&self, open: OpenMode) -> anyhow::Result<Arc<dyn Generations>> {
        match self.store {
            StoreKind::Sqlite => {
                let views = SqliteViews::open(self.whole_folder()?, open);
                Ok(Arc::new(self.found("read table", views)?))
            }
            StoreKind::Dynamodb => Ok(Arc::new(self.dynamo_views().await)),
        }
    }

    /// The bucket, which must exist, and its name.
    pub(super) async fn files(
        &self,
        open: OpenMode,
    ) -> anyhow::Result<(Arc<dyn ObjectInventory>, String)> {
        match (self.store, &self.bucket) {
            (StoreKind::Sqlite, _) => {
                let folder = self.whole_folder()?.join("s3");
                let files =
                    LocalBucket::open(&folder, local::BUCKET, Arc::new(SystemEffects), open);
                Ok((Arc::new(self.found("bucket", files)?), local::BUCKET.to_owned()))
            }
            (StoreKind::Dynamodb, Some(bucket)) => {
                let objects = self.clients().await.objects;
                let files = S3Objects::new(objects, bucket, Arc::new(SystemEffects));
                files.ready().await?;
                Ok((Arc::new(files), bucket.clone()))
            }
            (StoreKind::Dynamodb, None) => bail!("--bucket is required with --store dynamodb"),
        }
    }

    /// Clients with the timeouts of a background process.
    pub(super) async fn clients(&self) -> Clients {
        Clients::new(&sdk_config().await, PROJECTOR_OPERATION)
    }

    pub(super) fn folder(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new("."))
    }

    /// The data folder, unless it has an unfinished import.
    fn whole_folder(&self) -> anyhow::Result<&Path> {
        FolderLock::refuse_half(self.folder())?;
        Ok(self.folder())
    }

    fn found<T>(&self, what: &str, opened: Result<T, StoreError>) -> anyhow::Result<T> {
        let folder = self.folder().display();
        opened.with_context(|| format!("cannot open the {what} in {folder}; check --data"))
    }
}
