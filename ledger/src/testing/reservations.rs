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

/// Tenants that do the same at the same time: none gets what another one reserved.
const TENANTS: [&str; 3] = ["a", "a-b", "aa"];

/// Runs the whole contract on the reservations of `open`: the same each time, as after a restart.
///
/// # Panics
/// If the reservations violate the contract.
pub async fn conformance<R: Reservations + 'static>(open: impl AsyncFn() -> Arc<R>) {
    // Each names an asset, a key and a request; who asks for the first gets the second.
    let reserve =
        async |asked: (u128, &str, &str), minutes, held: (u128, &str, &str), why: &str| {
            for tenant in TENANTS {
                let [asked, held] = [asked, held].map(|it| wanted(tenant, it.0, it.1, it.2));
                let reserved = open().await.reserve(&asked, at(minutes)).await.unwrap();
                assert_eq!(reserved, held, "{tenant}: {why}");
            }
        };
    let first = (1, "k", "a");
    reserve(first, 0, first, "nothing was reserved before").await;
    reserve(first, 1, first, "a lost reply is told again").await;
    reserve((2, "k", "a"), 2, first, "the first one holds").await;
    reserve((3, "k", "b"), -2, first, "for any request and clock").await;
    reserve((4, "l", "a"), 3, (4, "l", "a"), "another key").await;

    let week = RESERVATION_TTL.num_minutes();
    reserve((6, "k", "a"), week - 1, first, "it has not expired").await;
    let next = (7, "k", "b");
    reserve(next, week, next, "it has expired").await;
    reserve(first, week + 1, next, "the next one holds").await;
    reserve(next, 2 * week - 1, next, "for as long").await;

    let shared = open().await;
    let mut racing = JoinSet::new();
    for nth in 0..64 * TENANTS.len() {
        let (shared, tenant) = (shared.clone(), TENANTS[nth % TENANTS.len()]);
        let wanted = wanted(tenant, 100 + nth as u128, "race", "a");
        racing.spawn(async move { shared.reserve(&wanted, at(0)).await });
    }
    let held: Vec<_> = racing.join_all().await.into_iter().map(Result::unwrap).collect();
    for tenant in TENANTS {
        let of: Vec<_> = held.iter().filter(|it| it.key.tenant.as_str() == tenant).collect();
        assert!(of.len() == 64 && of.iter().all(|it| *it == of[0]), "one of many is first: {of:?}");
    }
}
