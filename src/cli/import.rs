//! `asset-ledger import`: an empty journal rebuilt from an export.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use stores::SqliteJournal;
use stores::sqlite::OpenMode;

use super::progress::EventProgress;
use super::signals::unless_stopped;
use super::store_options::{OpenedJournal, StoreKind, StoreOptions};
use crate::export::{Archive, Importer as Importing};
use crate::local::FolderLock;
use crate::plural::count;

/// Rebuild an empty journal from an export, byte for byte.
///
/// For a move to another store and for a bad day. The export is checked first as a whole, and
/// nothing of it is taken if it is not as it was written. A journal that holds other events is left
/// alone. If the import is cut off, run it again: it goes on. Until it is through, `serve` refuses
/// the data folder; on DynamoDB keep the service stopped.
///
/// Events arrive asset after asset in the order of creation, some assets at the same time: the
/// order among assets in which the old journal took them is not in an export. Files are not in it
/// either: copy the bucket, or the folder `s3`, by itself. Rows are made from the journal: by
/// `serve` when it starts, on DynamoDB by `project --catch-up`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger import ledger-export.tar --data ./restored
  asset-ledger import ledger-export --store dynamodb --journal-table journal --views-table views")]
pub(super) struct ImportCommand {
    /// The export: a folder, or a tar.
    export: PathBuf,
    #[command(flatten)]
    stores: StoreOptions,
}

impl ImportCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let archive = Archive::open(&self.export)?;
        check(&archive)?; // before anything is made at the other end
        let folder = self.claimed()?;
        let opened = self.opened().await?;
        let importing = Importing::new(&archive, &*opened.journal, &*opened.scan);
        importing.compare().await?;
        if let Some(folder) = &folder {
            folder.begin_import()?;
        }
        let stopped = "stopped: run the same command again to go on";
        let imported = unless_stopped(bring(&importing), stopped).await?;
        if let Some(folder) = &folder {
            folder.end_import()?;
        }
        let crate::export::ImportSummary { assets, events, there } = imported;
        let (assets, events) = (count(assets, "asset"), count(events, "event"));
        Ok(writeln!(io::stdout(), "imported {assets}, {events}, {there} there before")?)
    }

    /// The data folder, which nobody may serve meanwhile.
    fn claimed(&self) -> anyhow::Result<Option<FolderLock>> {
        let folder = self.stores.store == StoreKind::Sqlite;
        folder.then(|| FolderLock::claim_for_import(self.stores.folder())).transpose()
    }

    async fn opened(&self) -> anyhow::Result<OpenedJournal> {
        if self.stores.store == StoreKind::Dynamodb {
            return self.stores.journal().await;
        }
        let journal = SqliteJournal::open(self.stores.folder(), OpenMode::OrCreate).await;
        let journal = Arc::new(journal.context("the journal cannot be opened")?);
        Ok(OpenedJournal { journal: journal.clone(), scan: journal })
    }
}

fn check(archive: &Archive) -> anyhow::Result<()> {
    let mut progress = EventProgress::new("checked");
    Importing::check(archive, &mut |events| progress.reached(events))
}

async fn bring(importing: &Importing<'_>) -> anyhow::Result<crate::export::ImportSummary> {
    let mut progress = EventProgress::new("imported");
    let done = importing.append(|done| progress.reached(done.events)).await;
    done.context("the import is not finished; run the same command again to go on")
}
