//! `asset-ledger proof`: proves that one asset is in a checkpoint, to a reader with only the key.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use ledger::audit::{ExpectedHeads, Witness, inspect_with};
use ledger::checkpoint::{Head, InclusionProof, PROOF, merkle};
use ledger::id::{Key, Tenant};

use super::checkpoint::verifier;
use super::render;
use super::values::AssetLabel;
use crate::aws::TENANT;
use crate::export::{
    ExportInput, ExportItem, HeadsFile, PartialFile, Runs, note_beside, read_note, small,
};
use crate::plural::count;

/// Prove that an asset's head is in a signed checkpoint, or check such a proof.
///
/// The proof is one small file (tlog-proof of C2SP): the head, its Merkle path to the signed root,
/// and the note. It is checked offline with the public key, without the ledger and without the
/// other heads. --history also checks the asset's chain against the proof.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  asset-ledger proof $id --checkpoint 2026-11-25.heads --out $id.tlog-proof
  asset-ledger proof --check $id.tlog-proof --key ledger.key.pub
  asset-ledger proof --check $id.tlog-proof --key ledger.key.pub --history $id.jsonl")]
pub(super) struct ProofCommand {
    /// The asset to prove.
    #[arg(required_unless_present = "check", requires = "checkpoint", conflicts_with = "check")]
    asset: Option<AssetLabel>,
    /// The heads of the checkpoint; its note is FILE.note.
    #[arg(long, value_name = "FILE", requires = "asset")]
    checkpoint: Option<PathBuf>,
    /// The file of the proof; standard output by default.
    #[arg(long, value_name = "FILE", requires = "asset")]
    out: Option<PathBuf>,
    /// The proof to check.
    #[arg(long, value_name = "FILE", requires = "key")]
    check: Option<PathBuf>,
    /// The public key of the checkpoint's signer: the key itself, or a file with it.
    #[arg(long, value_name = "KEY", requires = "check")]
    key: Option<String>,
    /// The asset's chain, the stored bytes of one event per line, to check against the proof.
    #[arg(long, value_name = "FILE", requires = "check")]
    history: Option<PathBuf>,
    /// The tenant: 1 to 32 of a-z, 0-9 and '-'.
    #[arg(long, env = TENANT, default_value = "main")]
    tenant: Tenant,
}

impl ProofCommand {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        match (&self.asset, &self.checkpoint, &self.check, &self.key) {
            (Some(asset), Some(heads), ..) => {
                let key = asset.key(&self.tenant);
                self.write(&prove(&key, heads)?.to_string())
            }
            (_, _, Some(file), Some(key)) => self.check(file, key),
            _ => bail!("give an asset and --checkpoint, or --check and --key"),
        }
    }

    fn write(&self, proof: &str) -> anyhow::Result<()> {
        let Some(path) = &self.out else { return Ok(write!(io::stdout(), "{proof}")?) };
        let mut draft = PartialFile::with_mode(path, 0o644)?;
        draft.write_all(proof.as_bytes())?;
        draft.keep()
    }

    fn check(&self, file: &Path, key: &str) -> anyhow::Result<()> {
        let (key, shown) = (verifier(key)?, file.display());
        let text = small(file, PROOF).context("--check")?;
        let proof: InclusionProof = text.parse().with_context(|| format!("--check {shown}"))?;
        let (head, of) = proof.verify(&key).with_context(|| format!("--check {shown}"))?;
        let whole = self.history.as_deref().map(|path| has(path, &head)).transpose()?;
        let (asset, version, hash) = (head.key.partition(), head.version, head.hash);
        let (origin, size) = (render::line(&of.origin), count(of.size, "history"));
        let mut out = io::stdout();
        writeln!(out, "{asset} was at version {version} with the head {hash}")?;
        writeln!(out, "when {origin} signed the heads of {size}")?;
        whole.map_or(Ok(()), |events| {
            let events = count(events as u64, "event");
            Ok(writeln!(out, "its history of {events} matches the proof")?)
        })
    }
}

fn prove(key: &Key, heads: &Path) -> anyhow::Result<InclusionProof> {
    let note = read_note(heads)?.with_context(|| {
        format!("{} is missing: a proof needs a signed checkpoint", note_beside(heads).display())
    })?;
    let of = note.unverified()?;
    let (mut read, mut leaves, mut found) = (HeadsFile::open(heads)?, Vec::new(), None);
    while let Some(head) = read.read()? {
        let line = head.line()?;
        leaves.push(merkle::leaf(line.as_bytes()));
        if head.key.asset().as_ref() == Some(key) {
            found = Some((line, leaves.len() - 1));
        }
    }
    let same = (of.size, of.root) == (read.rising().count(), read.rising().root());
    ensure!(same, "{}: the heads do not match the note", heads.display());
    let absent = || format!("{} is not in {}", key.partition(), heads.display());
    let (line, index) = found.with_context(absent)?;
    Ok(InclusionProof::new(line, index, &leaves, note))
}

/// The number of events of a chain, if it verifies and passes through the head.
fn has(path: &Path, head: &Head) -> anyhow::Result<usize> {
    let shown = path.display().to_string();
    let from = ExportInput::open(path).and_then(|input| input.once(&shown)).context("--history")?;
    let mut runs = Runs::of_one(&shown, from)?;
    let run = match runs.read()? {
        Some(ExportItem::Run(run)) => run,
        Some(ExportItem::Fault(finding)) => bail!("--history {}", finding.says),
        None => bail!("--history {shown}: the file is empty"),
    };
    let (partition, only) = (head.key.partition(), runs.read()?.is_none());
    ensure!(
        only && run.chain.partition == partition,
        "--history {shown}: the file is not the chain of {partition} alone"
    );
    let known = ExpectedHeads { version: head.version, hash: head.hash, by: Witness::Checkpoint };
    match inspect_with(&run.chain, &[known]).findings.into_iter().next() {
        None => Ok(run.chain.lines.len()),
        Some(finding) => {
            let finding = run.locate(finding);
            bail!("--history: {}: {}", finding.kind, finding.says)
        }
    }
}
