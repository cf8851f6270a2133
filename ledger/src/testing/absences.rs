//! The contract of [`Absences`], for every adapter.
#![allow(clippy::unwrap_used, reason = "a suite that cannot set itself up has failed")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::absences::{Absence, Absences, NOTE_TTL};
use crate::id::{AssetId, Key};

fn absence(tenant: &str, asset: u128, version_id: &str, asset_version: u64) -> Absence {
    let asset = AssetId::new(DateTime::UNIX_EPOCH, asset);
    let key = Key { tenant: tenant.parse().unwrap(), asset };
    Absence { key, version_id: version_id.to_owned(), asset_version }
}

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

/// Tenants that miss the same at the same time: each has notes of its own.
const TENANTS: [&str; 3] = ["a", "a-b", "aa"];

/// Runs the whole contract on the notes of `open`: the same each time, as after a restart.
///
/// # Panics
/// If the notes violate the contract.
pub async fn conformance<A: Absences>(open: impl AsyncFn() -> Arc<A>) {
    // An asset, the version of its object, and its own; when it is missed, and since when.
    let missed = async |(asset, object, version): (u128, &str, u64), minutes, since, why: &str| {
        for tenant in TENANTS {
            let absence = absence(tenant, asset, object, version);
            let noted = open().await.missed(&absence, at(minutes)).await.unwrap();
            assert_eq!(noted, at(since), "{tenant}: {why}");
        }
    };
    let ended = async |tenant: &str, asset| {
        open().await.ended(&absence(tenant, asset, "v", 1).key).await.unwrap();
    };
    let first = (1, "v1", 3);
    missed(first, 0, 0, "nothing was noted before").await;
    missed(first, 7, 0, "the first time counts").await;
    missed(first, -7, 0, "also for a clock that went back").await;
    missed((2, "v1", 3), 8, 8, "another asset's is another").await;
    missed((1, "v2", 3), 9, 9, "another version of the object").await;
    missed((1, "v2", 4), 10, 10, "another version of the asset").await;
    ended("a", 1).await;
    for (tenant, since) in [("a", 11), ("a-b", 10), ("aa", 10)] {
        let again = absence(tenant, 1, "v2", 4);
        let noted = open().await.missed(&again, at(11)).await.unwrap();
        assert_eq!(noted, at(since), "{tenant}: it was there meanwhile, for one tenant");
    }
    ended("a", 3).await;
    missed((2, "v1", 3), 12, 8, "others are as they were").await;
    let late = 8 + NOTE_TTL.num_minutes() + 1;
    missed((2, "v1", 3), late, late, "it was too long ago").await;
}
