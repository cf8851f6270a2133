//! The soft-deleted assets of a tenant.

use ledger::asset::{Asset, AssetStatus};

use super::TenantProjection;

/// The projection `trash`.
#[derive(Debug)]
pub struct Trash;

impl TenantProjection for Trash {
    fn name(&self) -> &'static str {
        "trash"
    }
    fn figures(&self) -> &'static [&'static str] {
        &["deleted"]
    }
    fn fold(&self, asset: &Asset) -> Vec<u64> {
        vec![(asset.status() == AssetStatus::Deleted).into()]
    }
}
