//! Projections with one row a tenant: figures that are summed over all its assets.
//!
//! Such a projection is a file with an implementation of [`TenantProjection`], and a line in
//! [`PROJECTIONS`]. All stores keep its figures, reads sum them again once they are old, a replay
//! sums the rows that it builds, and an audit compares the figures with the journal.
//!
//! The rows of the assets are the source of a sum, so nothing is written for an event, and a
//! repeated or late event counts once. A row is written whole, and only if it is newer.

mod drift;
mod reader;
mod sum;
mod usage;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::asset::{Asset, AssetStatus};
use ledger::error::StoreErrorKind;
use ledger::id::Tenant;
use serde::{Deserialize, Serialize};

use crate::generations::Generation;

pub(crate) use drift::TotalsDrift;
pub use reader::TotalsReader;
pub(crate) use sum::TenantSums;
pub use usage::Usage;

/// Every projection of this kind.
pub const PROJECTIONS: &[&dyn TenantProjection] = &[&Usage];

/// A projection of all assets of a tenant to one row of figures.
pub trait TenantProjection: Send + Sync {
    /// Its name: 1 to 32 of a-z and '_'.
    fn name(&self) -> &'static str;

    /// The names of its figures.
    fn figures(&self) -> &'static [&'static str];

    /// What one asset adds to each figure, in their order. A purged asset, whose row expires, is
    /// not asked for: it adds nothing.
    fn fold(&self, asset: &Asset) -> Vec<u64>;
}

/// What an asset adds to the figures of a projection.
fn share(projection: &dyn TenantProjection, asset: &Asset) -> Vec<u64> {
    if asset.status() == AssetStatus::Purged {
        return vec![0; projection.figures().len()];
    }
    projection.fold(asset)
}

/// A tenant's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The order of a tenant's rows: microseconds since 1970, and more than before.
    pub revision: u64,
    /// The time at which the sums began. Each event until then is counted; a later one may be.
    pub as_of: DateTime<Utc>,
    /// The figures of each projection, by name.
    pub figures: BTreeMap<String, BTreeMap<String, u64>>,
}

/// The figures of one projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantFigures {
    /// The time at which the sums began.
    pub as_of: DateTime<Utc>,
    /// The figures by name.
    pub figures: BTreeMap<String, u64>,
}

impl Totals {
    /// The figures of `projection`; `None` if it is newer than the row.
    #[must_use]
    pub fn of(&self, projection: &dyn TenantProjection) -> Option<TenantFigures> {
        let figures = self.figures.get(projection.name())?.clone();
        let whole = projection.figures().iter().all(|name| figures.contains_key(*name));
        whole.then_some(TenantFigures { as_of: self.as_of, figures })
    }

    /// The name under which a store has a tenant's row: `totals#<generation>#<tenant>#`.
    #[must_use]
    pub fn name(of: Generation, tenant: &Tenant) -> String {
        format!("{}{tenant}#", Self::names(of))
    }

    /// The beginning of the names of all rows of a generation.
    #[must_use]
    pub fn names(of: Generation) -> String {
        format!("totals#{of}#")
    }

    /// The tenant that a name states.
    #[must_use]
    pub fn tenant(of: Generation, name: &str) -> Option<Tenant> {
        name.strip_prefix(&Self::names(of))?.strip_suffix('#')?.parse().ok()
    }

    /// The JSON text, as stored.
    pub fn text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|e| {
            StoreError::caused(StoreErrorKind::Corrupt, "views: totals cannot be written", e)
        })
    }

    /// The row of a stored JSON text.
    pub fn of_text(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|e| {
            StoreError::caused(StoreErrorKind::Corrupt, "views: totals cannot be read", e)
        })
    }
}

/// The rows of some tenants. An unreadable row is an error of its own.
pub type StoredTotals = BTreeMap<Tenant, Result<Totals, StoreError>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_states_its_tenant_and_no_other() {
        let of = Generation::FIRST;
        for tenant in ["a", "a-b", "aa", "totals"] {
            let tenant: Tenant = tenant.parse().unwrap();
            let name = Totals::name(of, &tenant);
            assert!(name.starts_with(&Totals::names(of)));
            assert_eq!(Totals::tenant(of, &name), Some(tenant.clone()));
            let a = Totals::name(of, &"a".parse().unwrap());
            assert_eq!(name.starts_with(&a), tenant.as_str() == "a");
            assert_eq!(Totals::tenant(of.next(), &name), None);
        }
    }

    /// The names are parts of answers.
    #[test]
    fn names_are_short_and_each_is_used_once() {
        let names: Vec<_> = PROJECTIONS.iter().map(|it| it.name()).collect();
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len());
        let figures = PROJECTIONS.iter().flat_map(|it| it.figures().iter().copied());
        for name in names.iter().copied().chain(figures) {
            let valid = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!((1..=32).contains(&name.len()) && name.chars().all(valid), "{name}");
        }
    }
}
