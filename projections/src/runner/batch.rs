//! The hints of a batch by asset, and their results.

use std::collections::BTreeMap;

use ledger::StoreError;
use ledger::history::History;
use ledger::id::Key;
use ledger::record::StoredLine;

use crate::views::PutOutcome;

/// A hint that an asset has reached a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionHint {
    /// The asset.
    pub key: Key,
    /// The version that it has reached.
    pub version: u64,
    /// Events of the asset that came with the hint, in any order. If those of a batch are its whole
    /// history, the journal is not read.
    pub lines: Vec<StoredLine>,
}

/// The result of a batch, counted in assets.
#[derive(Debug, Default)]
pub struct BatchReport {
    /// Rows written.
    pub projected: usize,
    /// Rows that were already as new.
    pub stale: usize,
    /// Assets that were parked.
    pub parked: usize,
    /// Hints to retry because a store failed; by their index, lowest first.
    pub failed: Vec<FailedHint>,
}

/// A hint that failed and must be retried.
#[derive(Debug, Clone)]
pub struct FailedHint {
    /// Its index in the batch, from 0.
    pub hint: usize,
    /// The error.
    pub error: StoreError,
}

/// The result for one asset.
#[derive(Debug, Clone)]
pub enum ProjectedAsset {
    /// Its row is written, or was already as new.
    Row(PutOutcome),
    /// It is parked.
    Parked,
    /// A store failed.
    Failed(StoreError),
}

impl BatchReport {
    /// Nothing was done, and every hint must be retried.
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

/// All hints of a batch about one asset.
pub(super) struct AssetHints {
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) lines: Vec<StoredLine>,
    pub(super) hints: Vec<usize>,
}

impl AssetHints {
    /// The event of the highest version, if every hint came with its event. A hint without one may
    /// report that an event was changed or removed.
    pub(super) fn newest(&self) -> Option<&StoredLine> {
        let whole = self.lines.len() == self.hints.len();
        self.lines.iter().find(|line| whole && line.version == self.version)
    }

    /// The history in the batch itself, if it is complete and a chain.
    pub(super) fn history(&self) -> Option<History> {
        let mut lines = self.lines.clone();
        lines.sort_by_key(|line| line.version);
        lines.dedup();
        let whole = lines.iter().map(|line| line.version).eq(1..=lines.len() as u64);
        let enough = lines.len() as u64 >= self.version;
        // The journal's history will show any fault.
        (whole && enough).then(|| History::read(&self.key, lines).ok().flatten())?
    }
}

/// In the order of their first hints.
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
    let mut assets: Vec<_> = assets.into_values().collect();
    assets.sort_by_key(|told| told.hints.first().copied());
    assets
}
