//! Compares stored totals with the journal.
//!
//! A sum takes some time, and commands continue meanwhile: an asset counts in one of the states
//! that it had since the sum began. So each figure has a lower and an upper bound, which are equal
//! unless the tenant's assets have changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use ledger::asset::Asset;
use ledger::audit::{Finding, FindingKind};
use ledger::error::chain;
use ledger::history::History;
use ledger::id::Tenant;

use super::sum::add;
use super::{PROJECTIONS, StoredTotals, TenantProjection, Totals, share};

/// How late a row may be when it is summed: an event of this long before may not be counted.
const LATE: TimeDelta = TimeDelta::minutes(15);

/// Stored totals, and the bounds of their figures by the histories that were read since.
pub(crate) struct TotalsDrift {
    stored: StoredTotals,
    bounds: Mutex<Bounds>,
}

#[derive(Default)]
struct Bounds {
    /// The bounds for each projection.
    by_tenant: BTreeMap<Tenant, Vec<[Vec<u64>; 2]>>,
    /// Tenants with a history that does not verify. What it adds is not known.
    broken: BTreeSet<Tenant>,
}

impl Bounds {
    /// A tenant's bounds, at first those of no assets.
    fn of(&mut self, tenant: &Tenant) -> &mut Vec<[Vec<u64>; 2]> {
        self.by_tenant.entry(tenant.clone()).or_insert_with(nothing)
    }
}

impl TotalsDrift {
    /// Begins with the stored totals. Every history must be read after them.
    pub(crate) fn new(stored: StoredTotals) -> Self {
        Self { stored, bounds: Mutex::default() }
    }

    /// Adds a history.
    pub(crate) fn add(&self, history: &History) {
        let tenant = &history.asset().key.tenant;
        let Some(Ok(stored)) = self.stored.get(tenant) else { return };
        let states: Vec<_> = history.since(stored.as_of - LATE).collect();
        self.add_states(tenant, &states);
    }

    /// Adds the asset of a history if its earlier states do not matter; returns whether it did.
    pub(crate) fn add_settled(&self, asset: &Asset) -> bool {
        let tenant = &asset.key.tenant;
        let Some(Ok(stored)) = self.stored.get(tenant) else { return true };
        let settled = asset.updated_at <= stored.as_of - LATE;
        if settled {
            self.add_share(asset);
        }
        settled
    }

    /// Adds to both bounds, without the copies of [`TotalsDrift::add_states`].
    fn add_share(&self, asset: &Asset) {
        let shares = PROJECTIONS.iter().map(|projection| share(*projection, asset));
        let shares: Vec<_> = shares.collect();
        let mut all = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        for (shares, bounds) in shares.iter().zip(all.of(&asset.key.tenant)) {
            for bound in bounds {
                add(bound, shares);
            }
        }
    }

    fn add_states(&self, tenant: &Tenant, states: &[Option<Asset>]) {
        let mut all = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        for (projection, sums) in PROJECTIONS.iter().zip(all.of(tenant)) {
            let none = || vec![0; projection.figures().len()];
            let shares =
                states.iter().map(|it| it.as_ref().map_or_else(none, |it| share(*projection, it)));
            if let Some(bounds) = shares.map(|it| [it.clone(), it]).reduce(widest) {
                sums.iter_mut().zip(bounds).for_each(|(sums, shares)| add(sums, &shares));
            }
        }
    }

    /// Records that a history of the tenant does not verify.
    pub(crate) fn broken(&self, tenant: &Tenant) {
        let mut all = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        all.broken.insert(tenant.clone());
    }

    /// The totals that are not those of the journal, after all histories were added.
    pub(crate) fn findings(&self, of: Option<&Tenant>) -> Vec<(Tenant, Finding)> {
        let all = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut findings = Vec::new();
        for (tenant, stored) in &self.stored {
            if all.broken.contains(tenant) || of.is_some_and(|of| of != tenant) {
                continue;
            }
            let bounds = all.by_tenant.get(tenant).cloned().unwrap_or_else(nothing);
            for (projection, bounds) in PROJECTIONS.iter().zip(bounds) {
                let says = match stored {
                    Ok(stored) => differences(*projection, stored, &bounds),
                    Err(error) => Some(chain(error)),
                };
                let name = format!("{tenant}#{}", projection.name());
                let finding = |says| Finding::new(FindingKind::TotalsDrifted, name, says);
                findings.extend(says.map(finding).map(|finding| (tenant.clone(), finding)));
            }
        }
        findings
    }
}

/// The bounds of no assets.
fn nothing() -> Vec<[Vec<u64>; 2]> {
    let zeros = PROJECTIONS.iter().map(|it| vec![0; it.figures().len()]);
    zeros.map(|zeros| [zeros.clone(), zeros]).collect()
}

fn widest([low, high]: [Vec<u64>; 2], [lower, higher]: [Vec<u64>; 2]) -> [Vec<u64>; 2] {
    let low = low.into_iter().zip(lower).map(|(a, b)| a.min(b)).collect();
    let high = high.into_iter().zip(higher).map(|(a, b)| a.max(b)).collect();
    [low, high]
}

/// The figures outside their bounds, as a sentence.
fn differences(
    projection: &dyn TenantProjection,
    stored: &Totals,
    [low, high]: &[Vec<u64>; 2],
) -> Option<String> {
    let mut says = String::new();
    // Figures of a projection that is newer than the row are summed by the next read.
    let stored = stored.figures.get(projection.name())?;
    for (name, (low, high)) in projection.figures().iter().zip(low.iter().zip(high)) {
        let figure = stored.get(*name).copied();
        if figure.is_some_and(|figure| (*low..=*high).contains(&figure)) {
            continue;
        }
        let figure = figure.map_or_else(|| "missing".to_owned(), |figure| figure.to_string());
        let expected = if low == high { low.to_string() } else { format!("{low} to {high}") };
        let begin = if says.is_empty() { "" } else { "; " };
        let _ = write!(says, "{begin}{name} is {figure}, and its events make it {expected}");
    }
    (!says.is_empty()).then_some(says)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::testing::{Clock, Story};
    use crate::totals::Usage;

    /// The findings about totals of `figures` that were summed at `as_of`.
    fn told(stories: &[Story], as_of: DateTime<Utc>, figures: [u64; 3]) -> Vec<String> {
        let names = Usage.figures().iter().map(|name| (*name).to_owned());
        let figures = [("usage".to_owned(), names.zip(figures).collect())].into();
        let stored = Totals { revision: 1, as_of, figures };
        let drift = TotalsDrift::new([(Tenant::default(), Ok(stored))].into());
        for story in stories {
            drift.add(&story.history());
        }
        drift.findings(None).into_iter().map(|(_, finding)| finding.says).collect()
    }

    fn stories() -> [Story; 3] {
        let received = Story::begin("main", 1).received();
        let purged = Story::begin("main", 2).received().deleted().purged();
        [received, purged, Story::begin("main", 3)]
    }

    #[test]
    fn totals_of_settled_assets_must_be_exact() {
        let (settled, size) = (Clock::default().0, stories()[0].asset().pin.unwrap().size);
        assert_eq!(told(&stories(), settled, [2, 1, size]), [""; 0]);
        assert_eq!(
            told(&stories(), settled, [1, 1, size + 1]),
            [format!(
                "assets is 1, and its events make it 2; bytes is {}, and its events make it {size}",
                size + 1
            )]
        );
        assert_eq!(told(&[], settled, [0, 0, 0]), [""; 0]);
        assert_eq!(told(&[], settled, [0, 0, 1]), ["bytes is 1, and its events make it 0"]);
    }

    #[test]
    fn an_asset_that_changed_since_counts_in_any_of_its_states_since() {
        let (stories, size) = (stories(), stories()[0].asset().pin.unwrap().size);
        let during = stories[0].asset().created_at;
        for figures in [[0, 0, 0], [3, 2, 2 * size], [1, 1, size]] {
            assert_eq!(told(&stories, during, figures), [""; 0], "{figures:?}");
        }
        let more = "bytes is 99999, and its events make it 0 to ";
        assert!(told(&stories, during, [1, 1, 99_999])[0].starts_with(more));
    }

    #[test]
    fn a_broken_history_leaves_a_tenant_unchecked_and_an_unreadable_row_is_named() {
        let drift = TotalsDrift::new([(Tenant::default(), Totals::of_text("{}"))].into());
        let findings = drift.findings(None);
        assert_eq!(findings[0].1.asset, "main#usage");
        assert_eq!(drift.findings(Some(&"other".parse().unwrap())).len(), 0);
        drift.broken(&Tenant::default());
        assert_eq!(drift.findings(None).len(), 0);
    }
}
