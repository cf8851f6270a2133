//! The stores of a data folder: the journal, the rows, and the bucket.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use futures::future::join_all;
use ledger::StoreError;
use ledger::error::StoreErrorKind;
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::{Database, OpenMode};

use super::{FolderLock, strays};
use crate::http::AllowedOrigins;
use crate::objects::{Connection, S3Objects};
use crate::s3::{Credentials, LocalBucket, LocalS3, REGION};
use crate::system::SystemEffects;

/// The name of the one bucket, which clients see in URLs only.
pub(crate) const BUCKET: &str = "assets";

pub(super) struct LocalStores {
    pub(super) journal: Arc<SqliteJournal>,
    pub(super) views: Arc<SqliteViews>,
    pub(super) s3: LocalS3,
    credentials: Credentials,
}

impl LocalStores {
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        refuse_lost_journal(folder)?;
        let journal = SqliteJournal::open(folder, OpenMode::OrCreate).await;
        let journal = journal.map_err(|error| {
            mend(
                error,
                "the journal is the truth: restore it from a backup, then run `asset-ledger replay \
                 --accept-restored`",
            )
        })?;
        let views = SqliteViews::open(folder, OpenMode::OrCreate).map_err(|error| {
            mend(error, "rows are made from the journal: remove views.sqlite and start again")
        })?;
        let bucket = folder.join("s3");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&bucket);
        let made = made.and_then(|()| File::open(folder)?.sync_all());
        made.context("cannot make the folder of the bucket")?;
        let damaged = |error| mend(error, "restore the folder s3 from a backup");
        let s3 = LocalS3::claim(&bucket, BUCKET, Arc::new(SystemEffects)).map_err(damaged)?;
        strays::refuse_pinned(&journal, &s3, folder).await?;
        let s3 = s3.settle().await.map_err(damaged)?;
        let credentials =
            Credentials::load_or_create(&bucket, &SystemEffects).map_err(|error| {
                mend(error, "restore it, or remove it: a new key is made, and URLs given out end")
            })?;
        Ok(Self { journal: Arc::new(journal), views: Arc::new(views), s3, credentials })
    }

    /// Whether every open file is still the one at its path.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.databases().into_iter().try_for_each(Database::check)
    }

    /// Whether a write to each file reaches the disk.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        for database in self.databases() {
            database.probe().await?;
        }
        Ok(())
    }

    /// Ends the writers, without write-ahead logs.
    pub(super) async fn close(&self) {
        join_all(self.databases().map(Database::close)).await;
    }

    fn databases(&self) -> [&Database; 3] {
        [self.journal.database(), self.views.database(), self.s3.database()]
    }

    pub(super) fn s3_router(&self, pages: AllowedOrigins) -> Router {
        self.s3.router(&self.credentials, pages)
    }

    /// The bucket, without its endpoint.
    pub(super) fn bucket(&self) -> Arc<LocalBucket> {
        Arc::new(self.s3.bucket())
    }

    /// Signs URLs for the endpoint's public URL. It makes no calls.
    pub(super) fn presigner(&self, public_url: &str) -> S3Objects {
        let Credentials { access_key, secret_key } = &self.credentials;
        let connection = Connection::local(public_url, REGION, access_key, secret_key);
        S3Objects::new(connection, BUCKET, Arc::new(SystemEffects))
    }
}

/// Makes a data folder ready for its journal, for a command that may be the first to write to it.
///
/// # Errors
/// If its journal was lost, or an import into it is not finished.
pub(crate) fn prepare(folder: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("--data {}: cannot make the folder", folder.display()))?;
    FolderLock::refuse_half(folder)?;
    refuse_lost_journal(folder)
}

/// A journal that is missing although its projection exists was lost. A new journal would be taken
/// for the original, and would discard the rows, which are evidence of the old one.
fn refuse_lost_journal(folder: &Path) -> anyhow::Result<()> {
    let is_empty = |file: &str| folder.join(file).metadata().map_or(true, |it| it.len() == 0);
    let left = ["views.sqlite", "s3/objects.sqlite"].into_iter().find(|file| !is_empty(file));
    match left.filter(|_| is_empty("journal.sqlite")) {
        None => Ok(()),
        Some(left) => bail!(
            "--data {0}: journal.sqlite is missing or empty, but {left} is there. The journal is \
             the truth: restore it from a backup, or `import` an export into another folder. \
             To begin anew, move {0} away",
            folder.display()
        ),
    }
}

/// A store that cannot be opened, with the remedy if it is damaged.
fn mend(error: StoreError, remedy: &str) -> anyhow::Error {
    let corrupt = error.kind == StoreErrorKind::Corrupt;
    let error = anyhow::Error::new(error);
    if corrupt { error.context(format!("a file is damaged ({remedy})")) } else { error }
}
