//! The contract of [`Reservations`], for every adapter.
#![allow(clippy::unwrap_used, reason = "a suite that cannot set itself up has failed")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;

use crate::id::{AssetId, Key};
use crate::idempotency::IdempotencyKey;
use crate::reservations::{RESERVATION_TTL, Reservation, Reservations};

fn wanted(tenant: &str, asset: u128, name: &str, request: &str) -> Reservation {
    let asset = AssetId::new(DateTime::UNIX_EPOCH, asset);
    let key = Key { tenant: tenant.parse().unwrap(), asset };
    let command = IdempotencyKey::new("key:1", name).unwrap();
    Reservation { command: command.command(&key.tenant, &[request]), key }
}

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minutes)
}

/// Runs the whole contract on the reservations of `open`: the same each time, as after a restart.
///
/// # Panics
/// If the reservations violate the contract.
pub async fn conformance<R: Reservations + 'static>(open: impl AsyncFn() -> R) {
    let reserve = async |wanted: &Reservation, minutes| {
        open().await.reserve(wanted, at(minutes)).await.unwrap()
    };
    let first = wanted("main", 1, "k", "a");
    assert_eq!(reserve(&first, 0).await, first, "nothing was reserved before");
    assert_eq!(reserve(&first, 1).await, first, "a lost reply is told again");
    assert_eq!(reserve(&wanted("main", 2, "k", "a"), 2).await, first, "the first one holds");
    assert_eq!(reserve(&wanted("main", 3, "k", "b"), -2).await, first, "for any request and clock");
    for other in [wanted("main", 4, "l", "a"), wanted("other", 5, "k", "a")] {
        assert_eq!(reserve(&other, 3).await, other, "another key, or another tenant's");
    }

    let week = RESERVATION_TTL.num_minutes();
    assert_eq!(reserve(&wanted("main", 6, "k", "a"), week - 1).await, first, "it has not expired");
    let next = wanted("main", 7, "k", "b");
    assert_eq!(reserve(&next, week).await, next, "it has expired");
    assert_eq!(reserve(&first, week + 1).await, next, "the next one holds");
    assert_eq!(reserve(&next, 2 * week - 1).await, next, "for as long");

    let shared = Arc::new(open().await);
    let mut racing = JoinSet::new();
    for nth in 0..64 {
        let shared = shared.clone();
        let reserve =
            async move { shared.reserve(&wanted("main", 100 + nth, "race", "a"), at(0)).await };
        racing.spawn(reserve);
    }
    let held: Vec<_> = racing.join_all().await.into_iter().map(Result::unwrap).collect();
    assert!(held.iter().all(|it| *it == held[0]), "one of many at once is first: {held:?}");
}
