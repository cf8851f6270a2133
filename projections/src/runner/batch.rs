//! What a batch says of assets, and what came of it.

use std::collections::BTreeMap;

use ledger::StoreError;
use ledger::history::History;
use ledger::id::Key;
use ledger::record::Line;

use crate::views::Put;

/// Word that an asset has reached a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Which asset.
    pub key: Key,
    /// The version that it has reached.
    pub version: u64,
    /// Events of the asset that came with the word, in any order. If those of a batch make its
    /// whole history, the journal need not be read.
    pub lines: Vec<Line>,
}

/// What became of a batch, counted in assets.
#[derive(Debug, Default)]
pub struct Report {
    /// Rows written.
    pub projected: usize,
    /// Rows found to be as new already.
    pub stale: usize,
    /// Assets set aside for a person.
    pub parked: usize,
    /// Hints to give again, because a store could not answer; by their place, lowest first.
    pub failed: Vec<Failed>,
}

/// A hint that was not followed and must be given again.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Its place in the batch, from 0.
    pub hint: usize,
    /// Why.
    pub error: StoreError,
}

/// What became of one asset.
#[derive(Debug, Clone)]
pub enum Projected {
    /// Its row is written, or was as new already.
    Row(Put),
    /// It is set aside for a person.
    Parked,
    /// A store could not answer.
    Failed(StoreError),
}

impl Report {
    /// Nothing was done, and every hint must be given again.
    pub(super) fn failed(hints: usize, error: &StoreError) -> Self {
        let failed = (0..hints).map(|hint| Failed { hint, error: error.clone() });
        Self { failed: failed.collect(), ..Self::default() }
    }

    pub(super) fn count(&mut self, outcome: Projected, hints: &[usize]) {
        match outcome {
            Projected::Row(Put::Written) => self.projected += 1,
            Projected::Row(Put::Stale) => self.stale += 1,
            Projected::Row(Put::Contradicted(_)) | Projected::Parked => self.parked += 1,
            Projected::Failed(error) => {
                let failed = |hint: &usize| Failed { hint: *hint, error: error.clone() };
                self.failed.extend(hints.iter().map(failed));
            }
        }
    }
}

/// Everything that a batch says of one asset.
pub(super) struct Told {
    pub(super) key: Key,
    pub(super) version: u64,
    pub(super) lines: Vec<Line>,
    pub(super) hints: Vec<usize>,
}

impl Told {
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

pub(super) fn by_asset(hints: &[Hint]) -> Vec<Told> {
    let mut assets = BTreeMap::<&Key, Told>::new();
    for (place, hint) in hints.iter().enumerate() {
        let told = assets.entry(&hint.key).or_insert_with(|| Told {
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
