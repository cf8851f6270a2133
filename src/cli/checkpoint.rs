//! `asset-ledger checkpoint`: the heads of all histories, to be kept elsewhere.

mod key;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use ledger::checkpoint::Rising;
use ledger::signer::{self, Signer};

use super::progress::Progress;
use super::stores::Stores;
use crate::export::{Source, note_beside};

use key::Keygen;
pub(super) use key::verifier;

/// Write the head of every asset, to be kept where the ledger's keepers cannot change it.
///
/// A chain cannot show that its own end was cut off, that an asset was removed as a whole, or that
/// a history was written anew. Whoever kept a checkpoint finds all three, with `verify --against`.
/// The file has a line for each asset (tenant, asset, version, hash), sorted; with --key a signed
/// note over their Merkle root lies beside it (FILE.note), and `proof` shows one asset to be in it.
/// Keep both in another account, under an object lock. docs/AUDIT.md says what they cannot show.
///
/// A history that does not verify stops it: a checkpoint would vouch for the tampering.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  asset-ledger checkpoint keygen --name files.example/ledger --out ledger.key
  asset-ledger checkpoint --data ./data --key ledger.key --out 2026-11-25.heads
  asset-ledger verify --data ./data --against 2026-11-25.heads --key ledger.key.pub
  asset-ledger proof $id --checkpoint 2026-11-25.heads --out $id.tlog-proof")]
pub(super) struct Checkpoint {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    make: Make,
}

#[derive(Debug, Subcommand)]
enum Other {
    Keygen(Keygen),
}

#[derive(Debug, Args)]
struct Make {
    /// The file of heads to write; the note becomes FILE.note. There must be neither yet.
    #[arg(long, value_name = "FILE", required = true)]
    out: Option<PathBuf>, // not with `keygen`
    /// The secret key that signs, made by `checkpoint keygen`.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    stores: Stores,
}

impl Checkpoint {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        match (self.other, &self.make.out) {
            (Some(Other::Keygen(keygen)), _) => keygen.run(),
            (None, Some(out)) => self.make.run(out).await,
            (None, None) => bail!("--out says where the heads are to be written"),
        }
    }
}

impl Make {
    async fn run(&self, out: &Path) -> anyhow::Result<()> {
        let key = self.key.as_deref().map(key::secret).transpose()?;
        let note = note_beside(out);
        for there in [out, &note] {
            ensure!(there.symlink_metadata().is_err(), "{} is there already", there.display());
        }
        let mut heads = Draft::create(out)?;
        let rising = tokio::select! {
            rising = self.heads(&mut heads.file) => rising?,
            _ = tokio::signal::ctrl_c() => bail!("stopped: no checkpoint was written"),
        };
        if let Some(key) = &key {
            let checkpoint = rising.checkpoint(Signer::verifier(key).name());
            let signed = signer::sign(key, &checkpoint).await?;
            let mut draft = Draft::create(&note)?;
            write!(draft.file, "{signed}")?;
            draft.keep()?;
        }
        heads.keep()?;
        let (out, count, root) = (out.display(), rising.count(), rising.root());
        Ok(writeln!(io::stdout(), "{out}: the heads of {count} assets, root {root}")?)
    }

    async fn heads(&self, to: &mut impl Write) -> anyhow::Result<Rising> {
        let opened = self.stores.journal().await?;
        let source = Source { journal: &*opened.journal, scan: &*opened.scan };
        source.heads(to, &mut Progress::new("read")).await
    }
}

/// A file that has its name only once it is whole.
struct Draft {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
}

impl Draft {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let partial = PathBuf::from(format!("{}.partial", path.display()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        let file = file.with_context(|| format!("{} cannot be made", partial.display()))?;
        Ok(Self { path: path.to_owned(), partial, file: BufWriter::new(file) })
    }

    fn keep(mut self) -> anyhow::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.partial, &self.path)
            .with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

impl Drop for Draft {
    /// What was kept is not there under this name any more.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.partial);
    }
}
