//! `asset-ledger export`: histories in files, for an auditor, another store, or a bad day.

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
use crate::export::{ExportFilter, ExportShape, ExportSource, ExportWriter, Layout};
use crate::plural::count;
use crate::system::SystemEffects;

/// Write histories to a folder or a tar that anybody can check.
///
/// Whole assets always: a filter chooses which, never which of their events, so every exported
/// chain verifies. It reads beside a running service; each history is as long as it was when it
/// was read. Of the same events the files are the same bytes, from whichever store; only the time
/// in manifest.json differs. docs/AUDIT.md has the form.
///
/// A history that does not verify stops the export, which is then taken away again: see `verify`.
/// So does one that is too long for whoever reads it in files. With --leave-out-broken the rest is
/// written, and the manifest names what is missing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger export --data ./data --out ledger-export
  asset-ledger export --data ./data --out ledger-export.tar --gzip
  asset-ledger export --data ./data --out june --since 2026-06-01 --until 2026-07-01 \\
      --state UPLOADED
  asset-ledger export --store dynamodb --journal-table journal --views-table views \\
      --out one --per asset --asset $id

On DynamoDB the histories are sorted through temporary files, as large as the journal, in TMPDIR.")]
pub(super) struct Export {
    /// Where to: a tar if it ends in `.tar`, else a folder; there must be nothing yet. Packed
    /// archives (`.tar.gz`) are not written: --gzip packs the files in a tar.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// One file for each asset, or for some 100,000 events.
    #[arg(long, default_value = "segment")]
    per: ExportLayout,
    /// Compress each file of events.
    #[arg(long)]
    gzip: bool,
    /// Go on without the assets whose histories do not verify, or have over 64 MiB of events.
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

/// Which assets.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Which assets (whole ones; all by default)")]
struct AssetSelection {
    /// This asset; may be given several times.
    #[arg(long, value_name = "ID")]
    asset: Vec<AssetLabel>,
    /// With an event at or after this time (RFC 3339), or the midnight UTC of a date.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    since: Option<DateTime<Utc>>,
    /// With an event before this time; with --since, the same event.
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    until: Option<DateTime<Utc>>,
    /// With an event of this actor; with a time, the same event.
    #[arg(long)]
    actor: Option<String>,
    /// In this state at its last event.
    #[arg(long, value_parser = ["CREATED", "RECEIVED", "UPLOADED", "DELETED", "PURGED"])]
    state: Option<String>,
}

impl AssetSelection {
    fn filter(&self) -> ExportFilter {
        let Self { asset, since, until, actor, state } = self.clone();
        let id = |named: &AssetLabel| named.key(&Tenant::default()).asset.to_string();
        let assets = asset.iter().map(id).collect();
        ExportFilter { since, until, actor, state, assets }
    }
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let (layout, gzip) = (self.layout(), self.gzip);
        let shape = ExportShape { out: self.out.clone(), layout, gzip };
        let wanted = self.wanted.filter();
        let opened = self.stores.journal().await?;
        leftovers(&self.out);
        let writer = ExportWriter::create(shape, SystemEffects.now(), wanted.clone())?;
        let source = ExportSource { journal: &*opened.journal, scan: &*opened.scan };
        // The writer takes away what it wrote.
        let stopped = "stopped: nothing was exported";
        unless_stopped(self.write(source, writer, &wanted), stopped).await
    }

    async fn write(
        &self,
        source: ExportSource<'_>,
        mut writer: ExportWriter,
        wanted: &ExportFilter,
    ) -> anyhow::Result<()> {
        let key = |asset: &AssetLabel| asset.key(&self.stores.tenant);
        let keys = self.wanted.asset.iter().map(key).collect();
        let mut progress = EventProgress::new("exported");
        let left_out = source.export(keys, wanted, &mut writer, &mut progress).await?;
        drop(progress);
        ensure!(
            left_out == 0 || self.leave_out_broken,
            "of {} the history does not verify or is too long, so nothing was exported; look with \
             `verify`, or give --leave-out-broken",
            count(left_out, "asset")
        );
        let manifest = writer.finish()?;
        let (assets, events) = (count(manifest.assets, "asset"), count(manifest.events, "event"));
        let (out, root) = (self.out.display().to_string(), manifest.root);
        let out = render::line(&out);
        Ok(writeln!(io::stdout(), "{out}: {assets}, {events}, root {root}")?)
    }

    fn layout(&self) -> Layout {
        match self.per {
            ExportLayout::Asset => Layout::Asset,
            ExportLayout::Segment => Layout::Segment,
        }
    }
}
