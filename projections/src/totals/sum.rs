//! Sums the rows of a tenant's assets.

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use ledger::asset::Asset;
use ledger::error::chain;
use ledger::id::{Key, Tenant};
use ledger::journal::Journal;
use ledger::{Effects, StoreError, service};

use super::{PROJECTIONS, TenantProjection, Totals, share};
use crate::rows::{Rows, StoredRow};

/// The sums of a tenant's assets, one for each projection.
#[derive(Clone)]
pub(crate) struct TenantSums {
    tenant: Tenant,
    as_of: DateTime<Utc>,
    sums: Vec<Vec<u64>>,
}

impl TenantSums {
    /// Sums of no assets. Every asset that is added must be read after this.
    pub(crate) fn begin(tenant: &Tenant, effects: &dyn Effects) -> Self {
        let sums = PROJECTIONS.iter().map(|it| vec![0; it.figures().len()]).collect();
        Self { tenant: tenant.clone(), as_of: effects.now(), sums }
    }

    /// The sums over all rows of the tenant. An asset whose row is unreadable is folded from
    /// `journal`; it is left out if its history is unreadable too.
    pub(crate) async fn of(
        rows: &dyn Rows,
        tenant: &Tenant,
        journal: &dyn Journal,
        effects: &dyn Effects,
    ) -> Result<Self, StoreError> {
        let mut all = Self::begin(tenant, effects);
        let parts = (0..rows.parts()).map(|part| all.part(rows, part, journal));
        for part in try_join_all(parts).await? {
            all.sums.iter_mut().zip(part.sums).for_each(|(all, part)| add(all, &part));
        }
        Ok(all)
    }

    /// The sums over one part of the rows.
    async fn part(
        &self,
        rows: &dyn Rows,
        part: u8,
        journal: &dyn Journal,
    ) -> Result<Self, StoreError> {
        let (mut sums, mut after) = (self.clone(), None);
        loop {
            let page = rows.page(&self.tenant, part, after.as_deref()).await?;
            for row in page.rows {
                match row.asset {
                    Ok(asset) => sums.add(&asset),
                    Err(_) => sums.add_unread(&row, journal).await?,
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(sums);
            }
        }
    }

    /// Adds an asset.
    pub(crate) fn add(&mut self, asset: &Asset) {
        for (projection, sums) in PROJECTIONS.iter().zip(&mut self.sums) {
            add(sums, &share(*projection, asset));
        }
    }

    async fn add_unread(
        &mut self,
        row: &StoredRow,
        journal: &dyn Journal,
    ) -> Result<(), StoreError> {
        let Ok(asset) = row.id.parse() else { return Ok(()) };
        let key = Key { tenant: self.tenant.clone(), asset };
        let history = match journal.history(&key).await {
            Ok(lines) => service::fold(&key, lines).await,
            Err(error) => Err(error),
        };
        match history {
            Ok(Some(history)) => self.add(history.asset()),
            Ok(None) => {}
            Err(error) if error.kind.is_of_one_asset() => {
                let (asset, cause) = (key.partition(), chain(&error));
                tracing::warn!(asset, cause, "an asset is not counted: it cannot be read");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The row to store, newer than the one that was `seen`.
    pub(crate) fn totals(&self, seen: Option<&Totals>) -> Totals {
        let now = u64::try_from(self.as_of.timestamp_micros()).unwrap_or_default();
        let revision = seen.map_or(now, |seen| now.max(seen.revision.saturating_add(1)));
        let figures = |(projection, sums): (&&dyn TenantProjection, &Vec<u64>)| {
            let names = projection.figures().iter().map(|name| (*name).to_owned());
            (projection.name().to_owned(), names.zip(sums.iter().copied()).collect())
        };
        let figures = PROJECTIONS.iter().zip(&self.sums).map(figures).collect();
        Totals { revision, as_of: self.as_of, figures }
    }

    /// Stores the sums in a generation.
    pub(crate) async fn store(&self, to: &dyn Rows) -> Result<(), StoreError> {
        let seen = to.totals(Some(&self.tenant)).await?.remove(&self.tenant);
        let totals = self.totals(seen.and_then(Result::ok).as_ref());
        to.put_totals(&self.tenant, &totals).await.map(drop)
    }
}

/// Adds to each sum; the largest number is the maximum.
pub(super) fn add(sums: &mut [u64], shares: &[u64]) {
    for (sum, share) in sums.iter_mut().zip(shares) {
        *sum = sum.saturating_add(*share);
    }
}
