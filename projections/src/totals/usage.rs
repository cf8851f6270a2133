//! The usage of a tenant: its assets and their bytes.

use ledger::asset::{Asset, AssetStatus};

use super::TenantProjection;

/// The projection `usage`: a tenant's assets, those among them that await their upload, and bytes.
///
/// A soft-deleted asset counts until it is purged: its object is still stored. An object counts by
/// its size, and one that is still awaited by its declared size.
#[derive(Debug)]
pub struct Usage;

impl TenantProjection for Usage {
    fn name(&self) -> &'static str {
        "usage"
    }

    fn figures(&self) -> &'static [&'static str] {
        &["assets", "awaiting", "bytes"]
    }

    fn fold(&self, asset: &Asset) -> Vec<u64> {
        let awaits = asset.status() == AssetStatus::Created;
        let declared = asset.declared.size.filter(|_| awaits);
        let bytes = asset.pin.as_ref().map(|pin| pin.size).or(declared);
        vec![1, awaits.into(), bytes.unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Story;

    #[test]
    fn an_asset_counts_until_it_is_purged() {
        let mut awaited = Story::begin("main", 1).asset();
        assert_eq!(Usage.fold(&awaited), [1, 1, 0]);
        awaited.declared.size = Some(5);
        assert_eq!(Usage.fold(&awaited), [1, 1, 5]);
        let received = Story::begin("main", 1).received();
        let size = received.asset().pin.unwrap().size;
        assert!(size > 0);
        for story in [received.clone(), received.clone().uploaded(), received.clone().deleted()] {
            assert_eq!(Usage.fold(&story.asset()), [1, 0, size]);
        }
        let purged = received.deleted().purged().asset();
        assert_eq!(super::super::share(&Usage, &purged), [0, 0, 0]);
    }
}
