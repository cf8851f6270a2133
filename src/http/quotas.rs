//! The quotas of tenants: how much may still be created.
//!
//! The usage that is read may be old, so what this process has admitted since is added. Other
//! processes' creations since then are not seen: a quota can be exceeded by what they admit within
//! the age of the usage. A confirmation of an upload is never refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ledger::Effects;
use ledger::access::TenantLimits;
use ledger::asset::Declaration;
use ledger::id::Tenant;
use ledger::time;
use projections::TotalsReader;
use projections::totals::{TenantFigures, Usage};

use super::errors::{Code, Problem, QuotaExceeded};

/// Nothing is refused by a usage older than this: it is counted again first.
const REFUSAL_AGE: Duration = Duration::from_mins(1);
/// How much longer than the usage an admission counts: its row may be late.
const LATE: TimeDelta = TimeDelta::minutes(1);

/// Decides which assets may be created.
pub(super) struct Quotas {
    totals: Arc<TotalsReader>,
    effects: Arc<dyn Effects>,
    /// What this process has admitted, by tenant and minute.
    admitted: Mutex<HashMap<Tenant, BTreeMap<i64, Admitted>>>,
}

/// What was admitted in one minute.
#[derive(Debug, Clone, Copy, Default)]
struct Admitted {
    assets: u64,
    bytes: u64,
}

impl Admitted {
    fn add(&mut self, other: Self) {
        self.assets = self.assets.saturating_add(other.assets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Quotas {
    pub(super) fn new(totals: Arc<TotalsReader>, effects: Arc<dyn Effects>) -> Self {
        Self { totals, effects, admitted: Mutex::default() }
    }

    /// Admits an asset with this declaration, or refuses it.
    pub(super) async fn admit(
        &self,
        tenant: &Tenant,
        limits: &TenantLimits,
        declared: &Declaration,
    ) -> Result<(), Problem> {
        if let Some(limit) = limits.object_bytes {
            let Some(size) = declared.size else {
                let detail = "size: must be declared, because this tenant limits it";
                return Err(Problem::new(Code::UploadUndeclared, detail));
            };
            if size > limit {
                let quota = QuotaExceeded { name: "object_bytes", limit, used: size, as_of: None };
                return Err(Problem::quota(quota));
            }
        }
        if [limits.assets, limits.awaiting, limits.bytes].iter().all(Option::is_none) {
            return Ok(());
        }
        let now = self.effects.now();
        let asked = Admitted { assets: 1, bytes: declared.size.unwrap_or_default() };
        let usage = self.totals.read(&Usage, tenant).await?;
        if self.take(tenant, limits, &usage, asked, now).is_ok() {
            return Ok(());
        }
        let usage = self.totals.read_within(REFUSAL_AGE, &Usage, tenant).await?;
        self.take(tenant, limits, &usage, asked, now).map_err(Problem::quota)
    }

    fn take(
        &self,
        tenant: &Tenant,
        limits: &TenantLimits,
        usage: &TenantFigures,
        asked: Admitted,
        now: DateTime<Utc>,
    ) -> Result<(), QuotaExceeded> {
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let minutes = admitted.entry(tenant.clone()).or_default();
        let counted = (usage.as_of - LATE).timestamp().div_euclid(60);
        *minutes = minutes.split_off(&counted);
        let mut since = Admitted::default();
        for minute in minutes.values() {
            since.add(*minute);
        }
        let figure = |name: &str| usage.figures.get(name).copied().unwrap_or_default();
        let quotas = [
            ("assets", limits.assets, since.assets, asked.assets),
            ("awaiting", limits.awaiting, since.assets, asked.assets),
            ("bytes", limits.bytes, since.bytes, asked.bytes),
        ];
        for (name, limit, since, asked) in quotas {
            let (Some(limit), used) = (limit, figure(name).saturating_add(since)) else { continue };
            if used.saturating_add(asked) > limit {
                let as_of = Some(time::format(usage.as_of));
                return Err(QuotaExceeded { name, limit, used, as_of });
            }
        }
        minutes.entry(now.timestamp().div_euclid(60)).or_default().add(asked);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ledger::testing::{MemoryJournal, TestEffects};
    use projections::testing::MemoryViews;

    use super::*;

    /// The usage of some assets, counted some seconds after the first admission.
    fn usage(assets: u64, late: i64) -> TenantFigures {
        let figures = [("assets".to_owned(), assets)].into();
        TenantFigures { as_of: at(late), figures }
    }

    fn at(late: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(late)
    }

    #[test]
    fn what_was_admitted_counts_until_the_usage_has_it() {
        let effects: Arc<dyn Effects> = Arc::new(TestEffects::seeded(1));
        let (journal, table) = (Arc::<MemoryJournal>::default(), Arc::<MemoryViews>::default());
        let totals = TotalsReader::new(journal, table, effects.clone(), Duration::ZERO);
        let quotas = Quotas::new(Arc::new(totals), effects);
        let limits = TenantLimits { assets: Some(3), ..TenantLimits::default() };
        let one = Admitted { assets: 1, bytes: 0 };
        let take = |usage: &TenantFigures, late: i64| {
            quotas.take(&Tenant::default(), &limits, usage, one, at(late)).map_err(|it| it.used)
        };
        assert_eq!((take(&usage(1, 0), 0), take(&usage(1, 0), 1)), (Ok(()), Ok(())));
        assert_eq!(take(&usage(1, 0), 2), Err(3));
        // The rows of what was just admitted may be late: a count of now may not have them.
        assert_eq!(take(&usage(1, 59), 60), Err(3));
        assert_eq!(take(&usage(3, 180), 181), Err(3));
        assert_eq!(take(&usage(2, 180), 181), Ok(()));
        assert_eq!(take(&usage(2, 180), 182), Err(3));
    }
}
