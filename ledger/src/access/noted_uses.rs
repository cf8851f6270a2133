//! Which uses of keys this process has noted today.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use tokio::time::Instant;

use super::api_key::KeyId;
use crate::id::Tenant;
use crate::key_uses::KeyUses;

/// Keys that are remembered: those of as many tenants as the access of is. Beyond them a use may be
/// noted twice.
const KEYS_MAX: usize = 102_400;
/// Notes under way at once. At midnight every key in use has one to make.
const UNDER_WAY_MAX: usize = 16;
/// How long nothing is noted after a failure.
const PAUSE: Duration = Duration::from_mins(1);

/// The uses of one day.
#[derive(Debug, Default)]
pub(super) struct NotedUses(Mutex<NotedDay>);

#[derive(Debug, Default)]
struct NotedDay {
    day: NaiveDate,
    keys: HashSet<(Tenant, KeyId)>,
    under_way: usize,
    paused_until: Option<Instant>,
}

impl NotedUses {
    fn day(&self) -> MutexGuard<'_, NotedDay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this use is to be noted now. Then [`NotedUses::note`] must follow.
    pub(super) fn is_due(&self, tenant: &Tenant, key: KeyId, day: NaiveDate) -> bool {
        let mut noted = self.day();
        if noted.day != day {
            noted.day = day;
            noted.keys.clear();
        }
        let paused = noted.paused_until.is_some_and(|until| Instant::now() < until);
        // The set is looked into first: this is the usual case.
        let of = (tenant.clone(), key);
        if noted.keys.contains(&of) || paused || noted.under_way >= UNDER_WAY_MAX {
            return false;
        }
        if noted.keys.len() >= KEYS_MAX {
            noted.keys.clear();
        }
        noted.under_way += 1;
        noted.keys.insert(of)
    }

    /// Notes a use. If that fails, the next one after a pause is noted.
    pub(super) async fn note(
        self: Arc<Self>,
        uses: Arc<dyn KeyUses>,
        tenant: Tenant,
        key: KeyId,
        day: NaiveDate,
    ) {
        let noted = uses.note(&tenant, key, day).await;
        let mut today = self.day();
        today.under_way -= 1;
        if let Err(error) = noted {
            let (kind, cause) = (error.kind, crate::error::chain(&error));
            tracing::warn!(?kind, cause, "the use of a key was not noted");
            today.paused_until = Some(Instant::now() + PAUSE);
            today.keys.remove(&(tenant, key));
        }
    }
}
