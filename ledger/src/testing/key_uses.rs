//! The contract of [`KeyUses`], for every adapter.
#![allow(clippy::unwrap_used, reason = "a suite that cannot set itself up has failed")]

use std::sync::Arc;

use chrono::NaiveDate;
use tokio::task::JoinSet;

use crate::access::KeyId;
use crate::id::Tenant;
use crate::key_uses::{KeyUses, LastUses};

fn day(number: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 12, 30).unwrap() + chrono::Days::new(number)
}

fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

/// Runs the whole contract on the uses of `open`: the same each time, as after a restart.
///
/// # Panics
/// If the uses violate the contract.
pub async fn conformance<U: KeyUses + 'static>(open: impl AsyncFn() -> Arc<U>) {
    let last = async |name: &str| open().await.last_uses(&tenant(name)).await.unwrap();
    let note = async |name: &str, key: u64, on| {
        open().await.note(&tenant(name), KeyId::new(key), day(on)).await.unwrap();
    };
    assert_eq!(last("a").await, LastUses::new());
    note("a", 1, 2).await;
    for earlier in [2, 0, 1] {
        note("a", 1, earlier).await;
        assert_eq!(last("a").await, [(KeyId::new(1), day(2))].into(), "only later days count");
    }
    note("a", 1, 3).await;
    note("a", u64::MAX, 0).await;
    for other in ["a-b", "aa", "b"] {
        assert_eq!(last(other).await, LastUses::new(), "{other}: another tenant's");
    }
    note("a-b", 1, 9).await;
    let expected = LastUses::from([(KeyId::new(1), day(3)), (KeyId::new(u64::MAX), day(0))]);
    assert_eq!(last("a").await, expected);

    let shared = open().await;
    let mut racing = JoinSet::new();
    for nth in 0..64 {
        let shared = shared.clone();
        let of = tenant("race");
        racing.spawn(async move { shared.note(&of, KeyId::new(nth % 2), day(nth)).await });
    }
    assert!(racing.join_all().await.iter().all(Result::is_ok));
    let expected = LastUses::from([(KeyId::new(0), day(62)), (KeyId::new(1), day(63))]);
    assert_eq!(last("race").await, expected, "the latest of many at once");
}
