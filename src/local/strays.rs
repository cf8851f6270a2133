//! Compares files that the bucket's database does not list with the journal, before any is moved:
//! if an asset pins one of them, the database is an older copy.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::bail;
use ledger::StoreError;
use ledger::asset::AssetStatus;
use ledger::history::History;
use ledger::journal::Scan;
use ledger::journal::scan::{Chain, Chains};

use crate::s3::ClaimedBucket;

/// Assets that a refusal names; the rest is counted.
const NAMED: usize = 3;

/// Refuses to start if an asset's pinned version has a file here and no row in the bucket's
/// database. This reads the whole journal, but only if there is an unlisted file.
pub(super) async fn refuse_pinned(
    journal: &dyn Scan,
    bucket: &ClaimedBucket,
    folder: &Path,
) -> anyhow::Result<()> {
    let strays: BTreeSet<String> = bucket.strays().await?.into_iter().collect();
    if strays.is_empty() {
        return Ok(());
    }
    let pinned = pinned(journal, &strays).await?;
    if pinned.is_empty() {
        return Ok(());
    }
    let named = pinned.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    bail!(
        "--data {}: s3/objects.sqlite is older than the files in s3/objects: it does not know the \
         bytes of {} assets that the journal counts on ({named}). Nothing was moved. Bring back \
         the s3/objects.sqlite that belongs to these files, or `asset-ledger restore` a whole \
         backup into another folder; docs/OPERATIONS.md has the run book",
        folder.display(),
        pinned.len(),
    )
}

/// The assets whose pinned version is among `strays`.
async fn pinned(journal: &dyn Scan, strays: &BTreeSet<String>) -> Result<Vec<String>, StoreError> {
    let mut pinned = Vec::new();
    for segment in journal.segments(1).await? {
        let mut chains = Chains::new(journal, &segment, None);
        while let Some(chain) = chains.next().await? {
            if counts_on(&chain, strays) {
                pinned.push(chain.partition);
            }
        }
    }
    Ok(pinned)
}

fn counts_on(chain: &Chain, strays: &BTreeSet<String>) -> bool {
    let Some(key) = chain.key() else { return false };
    match History::read(&key, chain.lines.clone()) {
        Ok(None) => false,
        Ok(Some(history)) => {
            let asset = history.asset();
            let lives = !matches!(asset.status(), AssetStatus::Purging | AssetStatus::Purged);
            lives && asset.pin.as_ref().is_some_and(|pin| strays.contains(&pin.version_id))
        }
        // A broken history is not reliable: every version that it names is kept.
        Err(_) => {
            chain.lines.iter().any(|line| strays.iter().any(|id| line.body.contains(id.as_str())))
        }
    }
}
