//! Keys in files: the secret one readable by its owner only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use ledger::Effects;
use ledger::checkpoint::{SecretKey, VerifierKey};

use crate::export::{sync_beside, text};
use crate::system::SystemEffects;

/// The mode bits of group and others.
const OTHERS: u32 = 0o100;
/// The maximum size of a key file, in bytes.
const KEY: usize = 1024;

/// Make a key that signs checkpoints.
///
/// The secret key is written to FILE, readable by its owner only, and is never printed. The public
/// key is written to FILE.pub and to standard output. Give the public key to the auditors. Keep the
/// secret key away from everyone who can write to the ledger.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  asset-ledger checkpoint keygen --name files.example/ledger --out ledger.key")]
pub(super) struct Keygen {
    /// The name of the key and of the ledger whose checkpoints it signs: a host name of yours and a
    /// path, without spaces or '+'.
    #[arg(long)]
    name: String,
    /// The file of the secret key; the public key is FILE.pub. Neither may exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Keygen {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(&SystemEffects.random().to_be_bytes());
        seed[16..].copy_from_slice(&SystemEffects.random().to_be_bytes());
        let key = SecretKey::new(&self.name, seed).context("--name")?;
        let public = PathBuf::from(format!("{}.pub", self.out.display()));
        // First: a secret key is useless if another file has the name of its public key.
        let there = public.symlink_metadata().is_ok();
        ensure!(!there, "--out: {} already exists", public.display());
        write_new(&self.out, 0o600, &key.reveal())?;
        write_new(&public, 0o644, &key.verifier().to_string())?;
        Ok(writeln!(io::stdout(), "{}", key.verifier())?)
    }
}

fn write_new(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file =
        file.with_context(|| format!("--out {}: cannot create the file", path.display()))?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    Ok(sync_beside(path)?)
}

/// The secret key of a file that only its owner can read.
pub(in crate::cli) fn secret(path: &Path) -> anyhow::Result<SecretKey> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("--key {shown}: cannot be read"))?;
    let mode = file.metadata().with_context(|| format!("--key {shown}: cannot be read"))?.mode();
    ensure!(
        mode % OTHERS == 0,
        "--key {shown}: other users can read it; make a new key, or `chmod 600` this one if no \
         other user has read it"
    );
    let text = text(file, &format!("--key {shown}"), KEY)?;
    text.trim_end().parse().with_context(|| {
        format!("--key {shown}: not a secret key, such as `checkpoint keygen` writes")
    })
}

/// The public key of a file, or the key itself.
pub(in crate::cli) fn verifier(given: &str) -> anyhow::Result<VerifierKey> {
    let path = Path::new(given);
    match File::open(path) {
        Ok(file) => {
            let text = text(file, &format!("--key {given}"), KEY)?;
            text.trim_end().parse().with_context(|| {
                format!("--key {given}: not a public key, such as FILE.pub of `checkpoint keygen`")
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !given.contains('+') {
                bail!(
                    "--key {given}: no such file; name FILE.pub of `checkpoint keygen`, or give \
                     the key itself"
                );
            }
            given.parse().context("--key")
        }
        Err(error) => Err(error).with_context(|| format!("--key {given}: cannot be read")),
    }
}
