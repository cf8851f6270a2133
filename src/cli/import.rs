//! `asset-ledger import`: an empty journal rebuilt from an export.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use ledger::journal::Journal;
use stores::SqliteJournal;
use stores::sqlite::OpenMode;

use super::progress::EventProgress;
use super::signals::unless_stopped;
use super::store_options::{StoreKind, StoreOptions};
use crate::export::{Archive, ImportSummary, Importer as Importing};
use crate::local::FolderLock;
use crate::plural::{count, listed};

/// Rebuild an empty journal from an export, byte for byte.
///
/// For a move to another store, or for disaster recovery. The whole export is verified first;
/// nothing is imported if it does not verify, or if the journal holds other events. An interrupted
/// import resumes when the same command is run again. Until it is complete, `serve` refuses the
/// data folder; on DynamoDB keep the service stopped.
///
/// Events are appended by asset in the order of creation, several assets at a time: an export does
/// not hold the order of events across assets. Files are not in an export: copy the bucket, or the
/// folder `s3`, separately. Rows are rebuilt from the journal: by `serve` when it starts, on
/// DynamoDB by `project --catch-up`.
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
        check(&archive)?; // before the journal is created
        let folder = self.claimed()?;
        let opened = self.opened().await?;
        let importing = Importing::new(&archive, &*opened);
        importing.compare().await?;
        if let Some(folder) = &folder {
            folder.begin_import()?;
        }
        let stopped = "stopped: run the same command again to resume";
        let imported = unless_stopped(bring(&importing), stopped).await?;
        if let Some(folder) = &folder {
            folder.end_import()?;
        }
        let ImportSummary { assets, streams, events, there } = imported;
        let (assets, events) = (count(assets, "asset"), count(events, "event"));
        let streams = listed(streams, "stream");
        Ok(writeln!(io::stdout(), "imported {assets}{streams}, {events}, {there} already present")?)
    }

    /// The data folder, locked against `serve`.
    fn claimed(&self) -> anyhow::Result<Option<FolderLock>> {
        let folder = self.stores.store == StoreKind::Sqlite;
        folder.then(|| FolderLock::claim_for_import(self.stores.folder())).transpose()
    }

    async fn opened(&self) -> anyhow::Result<Arc<dyn Journal>> {
        if self.stores.store == StoreKind::Dynamodb {
            return self.stores.journal().await;
        }
        let journal = SqliteJournal::open(self.stores.folder(), OpenMode::OrCreate).await;
        Ok(Arc::new(journal.context("cannot open the journal")?))
    }
}

fn check(archive: &Archive) -> anyhow::Result<()> {
    let mut progress = EventProgress::new("checked");
    Importing::check(archive, &mut |events| progress.reached(events))
}

async fn bring(importing: &Importing<'_>) -> anyhow::Result<ImportSummary> {
    let mut progress = EventProgress::new("imported");
    let done = importing.append(|done| progress.reached(done.events)).await;
    done.context("the import is not finished; run the same command again to resume")
}
