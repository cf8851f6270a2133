//! What a batch says of assets, and what came of it.

use std::collections::BTreeMap;

use ledger::StoreError;
use ledger::history::History;
use ledger::id::Key;
use ledger::record::StoredLine;

use crate::views::PutOutcome;

/// Word that an asset has reached a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionHint {
    /// Which asset.
    pub key: Key,
    /// The version that it has reached.
    pub version: u64,
    /// Events of the asset that came with the word, in any order. If those of a batch make its
    /// whole history, the journal need not be read.
    pub lines: Vec<StoredLine>,
}

/// What became of a batch, counted in assets.
#[derive(Debug, Default)]
pub struct BatchReport {
    /// Rows written.
    pub projected: usize,
    /// Rows found to be as new already.
    pub stale: usize,
    /// Assets set aside for a person.
    pub parked: usize,
    /// Hints to give again, because a store could not answer; by their place, lowest first.
    pub failed: Vec<FailedHint>,
}

/// A hint that was not followed and must be given again.
#[derive(Debug, Clone)]
pub struct FailedHint {
    /// Its place in the batch, from 0.
    pub hint: usize,
    /// Why.
    pub error: StoreError,
}

/// What became of one asset.
#[derive(Debug, Clone)]
pub enum ProjectedAsset {
    /// Its row is written, or was as new already.
    Row(PutOutcome),
    /// It is set aside for a person.
    Parked,
    /// A store could not answer.
    Failed(StoreError),
}

impl BatchReport {
    /// Nothing was done, and every hint must be given again.
    pub(super) fn failed(hints: usize, error: &StoreError) -> Self {
        let failed = (0..hints).map(|hint| FailedHint { hint, error: error.clone() });
        Self { failed: failed.collect(), ..Self::default() }
    }

    pub(super) fn count(&mut self, outcome: ProjectedAsset, hints: &[usize]) {
        match outcome {
            ProjectedAsset::Row(PutOutcome::Written) => self.projected += 1,
            ProjectedAsset::Row(PutOutcome::Stale) => self.stale += 1,
            ProjectedAsset::Row(PutOutcome::Contradicted(_)) | ProjectedAsset::Parked => {
                self.parked += 1;
            }
            ProjectedAsset::Failed(error) => {
                let failed = |hint: &usize| FailedHint { hint: *hint, error: error.clone() };
                self.failed.extend(hints.iter().map(failed));
            }
        }
    }
}

/// Everything that a batch says of one asset.
pub(super) struct AssetHints {
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) lines: Vec<StoredLine>,
    pub(super) hints: Vec<usize>,
}

impl AssetHints {
    /// The history that the batch itself makes, if it is whole and a chain.
    pub(super) fn history(&self) -> Option<History> {
        let mut lines = self.lines.clone();
        lines.sort_by_key(|line| line.version);
        lines.dedup();
        let whole = lines.iter().map(|line| line.version).eq(1..=lines.len() as u64);
        let enough = lines.len() as u64 >= self.version;
        // What is wrong with them, the journal will tell.
        (whole && enough).then(|| History::read(&self.key, lines).ok().flatten())?
    }
}

pub(super) fn by_asset(hints: &[ProjectionHint]) -> Vec<AssetHints> {
    let mut assets = BTreeMap::<&Key, AssetHints>::new();
    for (place, hint) in hints.iter().enumerate() {
        let told = assets.entry(&hint.key).or_insert_with(|| AssetHints {
            key: hint.key.clone(),
            version: 0,
            lines: Vec::new(),
            hints: Vec::new(),
        });
        told.version = told.version.max(hint.version);
        told.lines.extend_from_slice(&hint.lines);
        told.hints.push(place);
    }
    assets.into_values().collect()
}
