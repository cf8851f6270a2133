//! The port to the ids that are reserved for idempotency keys.
//!
//! The id of a new asset holds its time, so it cannot be derived from a key. It is reserved before
//! the asset is created: a repeated request finds the reservation, and creates the same asset or
//! finds it created.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::error::StoreError;
use crate::id::{Key, Tenant};
use crate::idempotency::RepeatableCommand;

/// How long a reservation is kept. Then its key is free again.
pub const RESERVATION_TTL: TimeDelta = TimeDelta::days(7);

/// An id that is reserved for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The tenant, and the id of the new asset.
    pub key: Key,
    /// The command that creates it.
    pub command: RepeatableCommand,
}

/// Reservations, one for each tenant and idempotency key.
///
/// # Contract
/// * `reserve` returns the reservation that holds the key of `wanted`: the first one, until it
///   expires [`RESERVATION_TTL`] after its time, else `wanted`. One of many calls at once is the
///   first.
/// * Once `reserve` returned a reservation, it survives a crash of this process and machine.
#[async_trait]
pub trait Reservations: Send + Sync {
    /// Reserves an id at `at`, unless the key has one, and returns the reservation that holds.
    async fn reserve(
        &self,
        wanted: &Reservation,
        at: DateTime<Utc>,
    ) -> Result<Reservation, StoreError>;
}

/// Reservations in memory, for tests and for a single run.
#[derive(Debug, Default)]
pub struct MemoryReservations(Mutex<BTreeMap<(Tenant, String), HeldSince>>);

type HeldSince = (Reservation, DateTime<Utc>);

#[async_trait]
impl Reservations for MemoryReservations {
    async fn reserve(
        &self,
        wanted: &Reservation,
        at: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (wanted.key.tenant.clone(), wanted.command.key.clone());
        let held = all.entry(place).or_insert_with(|| (wanted.clone(), at));
        if at >= held.1 + RESERVATION_TTL {
            *held = (wanted.clone(), at);
        }
        Ok(held.0.clone())
    }
}
