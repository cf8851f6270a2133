//! The access of tenants as this process knows it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::state::TenantAccess;
use crate::id::Tenant;

/// How long a state is believed: a revoked key ends everywhere within this time.
const BELIEVED: Duration = Duration::from_secs(10);
/// Tenants that are kept, also unknown ones.
const TENANTS_MAX: usize = 1_024;

/// The access of a tenant; `None` for a tenant that does not exist.
pub(super) type Known = Option<Arc<TenantAccess>>;

/// What is known of tenants.
#[derive(Debug, Default)]
pub(super) struct AccessCache {
    tenants: Mutex<HashMap<Tenant, Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Held by the one task that reads or changes the tenant's stream.
    flight: Arc<tokio::sync::Mutex<()>>,
    /// The last state, and a time at which it was the last one.
    seen: Option<(Known, Instant)>,
}

impl AccessCache {
    fn tenants(&self) -> MutexGuard<'_, HashMap<Tenant, Slot>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tenants().len()
    }

    /// The state, while it is believed.
    pub(super) fn believed(&self, tenant: &Tenant) -> Option<Known> {
        let tenants = self.tenants();
        let (known, at) = tenants.get(tenant)?.seen.as_ref()?;
        (at.elapsed() < BELIEVED).then(|| known.clone())
    }

    /// The last state, believed or not.
    pub(super) fn last(&self, tenant: &Tenant) -> Known {
        self.tenants().get(tenant)?.seen.as_ref()?.0.clone()
    }

    /// The lock for reading or changing the tenant's stream.
    pub(super) fn flight(&self, tenant: &Tenant) -> Arc<tokio::sync::Mutex<()>> {
        let mut tenants = self.tenants();
        if !tenants.contains_key(tenant) && tenants.len() >= TENANTS_MAX {
            make_room(&mut tenants);
        }
        Arc::clone(&tenants.entry(tenant.clone()).or_default().flight)
    }

    /// Keeps a state that was the last one at `at`. The caller holds the flight.
    pub(super) fn keep(&self, tenant: &Tenant, known: Known, at: Instant) {
        if let Some(slot) = self.tenants().get_mut(tenant) {
            slot.seen = Some((known, at));
        }
    }

    /// Believes nothing of a tenant until the journal is read again.
    pub(super) fn forget(&self, tenant: &Tenant) {
        if let Some(slot) = self.tenants().get_mut(tenant) {
            slot.seen = None;
        }
    }
}

/// Forgets one tenant: an unknown one before an existing one, then the one read longest ago.
/// Requests for made-up tenants do not displace real ones.
fn make_room(tenants: &mut HashMap<Tenant, Slot>) {
    let worth = |slot: &Slot| match &slot.seen {
        None => (false, None),
        Some((known, at)) => (known.is_some(), Some(*at)),
    };
    // One that is being read is kept, or it would be read twice.
    let idle = tenants.iter().filter(|(_, slot)| Arc::strong_count(&slot.flight) == 1);
    let least = idle.min_by_key(|(_, slot)| worth(slot)).map(|(tenant, _)| tenant.clone());
    if let Some(least) = least {
        tenants.remove(&least);
    }
}
