//! `asset-ledger checkpoint`: the heads of all histories, to be stored elsewhere.

mod key;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use ledger::checkpoint::SortedHeads;
use ledger::signer::Signer;

use super::progress::EventProgress;
use super::signals::unless_stopped;
use super::store_options::StoreOptions;
use super::{leftovers, render};
use crate::export::{BrokenHistories, ExportSource, left_out_beside};
use crate::plural::{count, listed};

use key::Keygen;
pub(super) use key::{secret, verifier};

/// Write the head of every asset to a file, to detect later tampering.
///
/// A hash chain cannot reveal that its end was cut off, that the whole asset was removed, or that
/// its history was rewritten. `verify --against` detects all three with an earlier checkpoint. The
/// file has one line per asset (tenant, asset, version, hash), sorted, and one per stream that
/// belongs to no asset. With --key, a signed note
/// over the Merkle root of the lines is written to FILE.note, and `proof` proves that one asset is
/// in the checkpoint. Keep both files in another account, under an object lock. docs/AUDIT.md
/// describes the limits.
///
/// A history that does not verify stops the command, because a checkpoint would vouch for it. With
/// --leave-out-broken such assets are omitted; the note holds their number, and FILE.left-out
/// lists them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  asset-ledger checkpoint keygen --name files.example/ledger --out ledger.key
  asset-ledger checkpoint --data ./data --key ledger.key --out 2026-11-25.heads
  asset-ledger verify --data ./data --against 2026-11-25.heads --key ledger.key.pub
  asset-ledger proof $id --checkpoint 2026-11-25.heads --out $id.tlog-proof")]
pub(super) struct CheckpointCommand {
    #[command(subcommand)]
    other: Option<CheckpointSubcommand>,
    #[command(flatten)]
    make: MakeOptions,
}

#[derive(Debug, Subcommand)]
enum CheckpointSubcommand {
    Keygen(Keygen),
}

#[derive(Debug, Args)]
struct MakeOptions {
    /// The file of heads to write; the note is FILE.note. Neither may exist yet.
    #[arg(long, value_name = "FILE", required = true)]
    out: Option<PathBuf>, // not with `keygen`
    /// The secret key that signs the checkpoint, made by `checkpoint keygen`.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Omit the assets whose histories do not verify, and list them in FILE.left-out.
    #[arg(long)]
    leave_out_broken: bool,
    #[command(flatten)]
    stores: StoreOptions,
}

impl CheckpointCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match (self.other, &self.make.out) {
            (Some(CheckpointSubcommand::Keygen(keygen)), _) => keygen.run(),
            (None, Some(out)) => self.make.run(out).await,
            (None, None) => bail!("--out FILE is required: the file of heads to write"),
        }
    }
}

impl MakeOptions {
    async fn run(&self, out: &Path) -> anyhow::Result<()> {
        leftovers(out);
        let stopped = "stopped: no checkpoint was written";
        let (rising, left_out) = unless_stopped(self.write(out), stopped).await?;
        let (assets, streams) = (rising.count() - rising.streams(), rising.streams());
        let assets = count(assets, "asset") + &listed(streams, "stream");
        let root = rising.root();
        let (out, list) = (out.display().to_string(), left_out_beside(out).display().to_string());
        writeln!(io::stdout(), "{}: the heads of {assets}, root {root}", render::line(&out))?;
        if !left_out.is_empty() {
            let left_out = count(left_out.len() as u64, "asset");
            writeln!(io::stdout(), "left out: {left_out}, see {}", render::line(&list))?;
        }
        Ok(())
    }

    async fn write(&self, out: &Path) -> anyhow::Result<(SortedHeads, Vec<String>)> {
        let key = self.key.as_deref().map(secret).transpose()?;
        let signer = key.as_ref().map(|key| key as &dyn Signer);
        let opened = self.stores.journal().await?;
        let journal = &*opened;
        let source = ExportSource { journal, tenant: self.stores.tenant.as_ref() };
        let broken =
            if self.leave_out_broken { BrokenHistories::LeaveOut } else { BrokenHistories::Refuse };
        source.checkpoint(out, signer, broken, &mut EventProgress::new("read")).await
    }
}
