//! `asset-ledger checkpoint`: the heads of all histories, to be kept elsewhere.

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
use crate::export::{ExportSource, left_out_beside};
use crate::plural::count;

use key::Keygen;
pub(super) use key::{secret, verifier};

/// Write the head of every asset, to be kept where the ledger's keepers cannot change it.
///
/// A chain cannot show that its own end was cut off, that an asset was removed as a whole, or that
/// a history was written anew. Whoever kept a checkpoint finds all three, with `verify --against`.
/// The file has a line for each asset (tenant, asset, version, hash), sorted; with --key a signed
/// note over their Merkle root lies beside it (FILE.note), and `proof` shows one asset to be in it.
/// Keep both in another account, under an object lock. docs/AUDIT.md says what they cannot show.
///
/// A history that does not verify stops it: a checkpoint would vouch for the tampering. With
/// --leave-out-broken it is made of the others; the note says how many are missing, and
/// FILE.left-out which.
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
    /// The file of heads to write; the note becomes FILE.note. There must be neither yet.
    #[arg(long, value_name = "FILE", required = true)]
    out: Option<PathBuf>, // not with `keygen`
    /// The secret key that signs, made by `checkpoint keygen`.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Go on without the assets whose histories do not verify, and say so beside the heads.
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
            (None, None) => bail!("--out says where the heads are to be written"),
        }
    }
}

impl MakeOptions {
    async fn run(&self, out: &Path) -> anyhow::Result<()> {
        leftovers(out);
        let stopped = "stopped: no checkpoint was written";
        let (rising, left_out) = unless_stopped(self.write(out), stopped).await?;
        let (assets, root) = (count(rising.count(), "asset"), rising.root());
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
        let source = ExportSource { journal: &*opened.journal, scan: &*opened.scan };
        let hears = &mut EventProgress::new("read");
        if self.leave_out_broken {
            return source.checkpoint_of_the_sound(out, signer, hears).await;
        }
        Ok((source.checkpoint(out, signer, hears).await?, Vec::new()))
    }
}
