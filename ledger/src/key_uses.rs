//! The port to the days on which keys were last used.
//!
//! They are no events: they tell an administrator which key nobody uses, and prove nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::NaiveDate;

use crate::access::KeyId;
use crate::error::StoreError;
use crate::id::Tenant;

/// The days, in UTC, on which the keys of tenants were last used.
///
/// # Contract
/// * `note` keeps the latest day of each key, in any order of calls, any number of times.
/// * `last_uses` has each noted key of that tenant with its latest day, and no other.
#[async_trait]
pub trait KeyUses: Send + Sync {
    /// Notes that a key was used on this day.
    async fn note(&self, tenant: &Tenant, key: KeyId, day: NaiveDate) -> Result<(), StoreError>;

    /// The last day of each key of the tenant.
    async fn last_uses(&self, tenant: &Tenant) -> Result<LastUses, StoreError>;
}

/// The last days of keys.
pub type LastUses = BTreeMap<KeyId, NaiveDate>;

/// The days in memory, for tests and for a single run.
#[derive(Debug, Default)]
pub struct MemoryKeyUses(Mutex<BTreeMap<Tenant, LastUses>>);

#[async_trait]
impl KeyUses for MemoryKeyUses {
    async fn note(&self, tenant: &Tenant, key: KeyId, day: NaiveDate) -> Result<(), StoreError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.entry(tenant.clone()).or_default().entry(key).or_insert(day);
        *last = day.max(*last);
        Ok(())
    }

    async fn last_uses(&self, tenant: &Tenant) -> Result<LastUses, StoreError> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(all.get(tenant).cloned().unwrap_or_default())
    }
}
