//! The contract of [`Absences`], for every adapter.
#![allow(clippy::unwrap_used, reason = "a suite that cannot set itself up has failed")]

use chrono::{DateTime, TimeDelta, Utc};

use crate::absences::{Absence, Absences, NOTE_TTL};
use crate::id::{AssetId, Key};

fn absence(asset: u128, version_id: &str, asset_version: u64) -> Absence {
    let asset = AssetId::new(DateTime::UNIX_EPOCH, asset);
    let key = Key { tenant: "main".parse().unwrap(), asset };
    Absence { key, version_id: version_id.to_owned(), asset_version }
}

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

/// Runs the whole contract on the notes of `open`: the same each time, as after a restart.
///
/// # Panics
/// If the notes violate the contract.
pub async fn conformance<A: Absences>(open: impl AsyncFn() -> A) {
    let missed =
        async |absence: &Absence, minutes| open().await.missed(absence, at(minutes)).await.unwrap();
    let first = absence(1, "v1", 3);
    assert_eq!(missed(&first, 0).await, at(0), "nothing was noted before");
    assert_eq!(missed(&first, 7).await, at(0), "the first time counts");
    assert_eq!(missed(&first, -7).await, at(0), "also for a clock that went back");
    assert_eq!(missed(&absence(2, "v1", 3), 8).await, at(8), "another asset's is another");
    assert_eq!(missed(&absence(1, "v2", 3), 9).await, at(9), "another version of the object");
    assert_eq!(missed(&absence(1, "v2", 4), 10).await, at(10), "another version of the asset");
    open().await.ended(&first.key).await.unwrap();
    assert_eq!(missed(&absence(1, "v2", 4), 11).await, at(11), "it was there meanwhile");
    open().await.ended(&absence(3, "v", 1).key).await.unwrap();
    assert_eq!(missed(&absence(2, "v1", 3), 12).await, at(8), "others are as they were");
    let late = 8 + NOTE_TTL.num_minutes() + 1;
    assert_eq!(missed(&absence(2, "v1", 3), late).await, at(late), "it was too long ago");
}
