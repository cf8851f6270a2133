//! `asset-ledger export`: histories in files, for an auditor, another store, or a recovery.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::ensure;
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use ledger::Effects;
use ledger::id::Tenant;

use super::progress::EventProgress;
use super::signals::unless_stopped;
use super::store_options::StoreOptions;
use super::values::{self, AssetLabel};
use super::{leftovers, render};
use crate::export::Layout;
use crate::export::{ExportFilter, ExportShape, ExportSource, ExportWriter, ExportedStreams};
use crate::plural::count;
use crate::system::SystemEffects;

/// Export histories to a folder or a tar that can be verified offline.
///
/// Filters select whole assets, never single events, so every exported chain verifies. Streams that
/// belong to no asset are exported unless assets are selected by more than --tenant. The service
/// may run meanwhile; each history is exported as of the moment it is read. The same events give
/// the same bytes from either store; only the time in manifest.json differs. docs/AUDIT.md
/// describes the format.
///
/// A history that does not verify, or has over 64 MiB of events, fails the export, and nothing is
/// left at PATH. With --leave-out-broken the other assets are exported, and the manifest names the
/// omitted ones.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger export --data ./data --out ledger-export
  asset-ledger export --data ./data --out ledger-export.tar --gzip
  asset-ledger export --data ./data --out june --since 2026-06-01 --until 2026-07-01 \\
      --state UPLOADED
  asset-ledger export --store dynamodb --journal-table journal --views-table views \\
      --out one --per asset --asset $id

On DynamoDB the histories are sorted in temporary files in TMPDIR, as large as the journal.")]
pub(super) struct Export {
    /// The output: a tar if the name ends in `.tar`, else a folder. It must not exist yet. A packed
    /// archive (`.tar.gz`) is not supported: --gzip compresses the files inside a tar.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// One file per asset, or one per segment of about 100,000 events.
    #[arg(long, default_value = "segment")]
    per: ExportLayout,
    /// Compress each file of events.
    #[arg(long)]
    gzip: bool,
    /// Omit the assets whose histories do not verify or have over 64 MiB of events.
    #[arg(long)]
    leave_out_broken: bool,
    #[command(flatten)]
    wanted: AssetSelection,
    #[command(flatten)]
    stores: StoreOptions,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ExportLayout {
    Asset,
    Segment,
}

/// The assets to export.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Asset filters (default: all assets)")]
struct AssetSelection {
    /// The asset with this id. Can be given more than once.
    #[arg(long, value_name = "ID")]
    asset: Vec<AssetLabel>,
    /// Assets with an event at or after this time: RFC 3339, or a date for its midnight in UTC.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    since: Option<DateTime<Utc>>,
    /// Assets with an event before this time; with --since, one event must match both.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    until: Option<DateTime<Utc>>,
    /// Assets with an event of this actor; with a time filter, one event must match both.
    #[arg(long)]
    actor: Option<String>,
    /// Assets in this state after their last event.
    #[arg(long, value_parser = ["CREATED", "RECEIVED", "UPLOADED", "DELETED", "PURGED"])]
    state: Option<String>,
}

impl AssetSelection {
    fn filter(&self, tenant: Option<&Tenant>) -> ExportFilter {
        let tenant = tenant.filter(|_| self.asset.is_empty()).map(Tenant::to_string);
        let Self { asset, since, until, actor, state } = self.clone();
        let id = |named: &AssetLabel| named.key(&Tenant::default()).asset.to_string();
        let assets = asset.iter().map(id).collect();
        ExportFilter { tenant, since, until, actor, state, assets }
    }
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (layout, gzip) = (self.layout(), self.gzip);
        let shape = ExportShape { out: self.out.clone(), layout, gzip };
        let wanted = self.wanted.filter(self.stores.tenant.as_ref());
        let opened = self.stores.journal().await?;
        leftovers(&self.out);
        let writer = ExportWriter::create(shape, SystemEffects.now(), wanted.clone())?;
        let journal = &*opened;
        let source = ExportSource { journal, tenant: self.stores.tenant.as_ref() };
        // The writer removes its partial output.
        let stopped = "stopped: nothing was exported";
        unless_stopped(self.write(source, writer, &wanted), stopped).await
    }

    async fn write(
        &self,
        source: ExportSource<'_>,
        mut writer: ExportWriter,
        wanted: &ExportFilter,
    ) -> anyhow::Result<()> {
        let key = |asset: &AssetLabel| asset.key(&self.stores.home_tenant());
        let keys = self.wanted.asset.iter().map(key).collect();
        let mut progress = EventProgress::new("exported");
        let left_out = source.export(keys, wanted, &mut writer, &mut progress).await?;
        drop(progress);
        ensure!(
            left_out == 0 || self.leave_out_broken,
            "nothing was exported: {} with a history that does not verify or is too long; run \
             `verify`, or give --leave-out-broken",
            count(left_out, "asset")
        );
        let manifest = writer.finish()?;
        let (assets, events) = (count(manifest.assets, "asset"), count(manifest.events, "event"));
        let (out, root) = (self.out.display().to_string(), manifest.root);
        let out = render::line(&out);
        writeln!(io::stdout(), "{out}: {assets}, {events}, root {root}")?;
        if let Some(ExportedStreams { count: streams, events, root }) = manifest.streams {
            let (streams, events) = (count(streams, "stream"), count(events, "event"));
            writeln!(io::stdout(), "{out}: {streams}, {events}, root {root}")?;
        }
        Ok(())
    }

    fn layout(&self) -> Layout {
        match self.per {
            ExportLayout::Asset => Layout::Asset,
            ExportLayout::Segment => Layout::Segment,
        }
    }
}
