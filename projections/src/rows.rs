//! Every row of one generation, for whoever compares or checks them.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::asset::Asset;
use ledger::history::History;
use ledger::id::{Key, Tenant};

use crate::views::{AssetPage, ListQuery, Parked, PutOutcome, Views};

/// A row as it lies there.
#[derive(Debug, Clone)]
pub struct StoredRow {
    /// Its key within the tenant: an asset's id, or whatever somebody else wrote there.
    pub id: String,
    /// The asset that was put there, or what cannot be read about it.
    pub asset: Result<Asset, StoreError>,
}

/// Some rows of one part, and where the next ones are.
#[derive(Debug, Clone, Default)]
pub struct RowPage {
    /// The rows, by rising key.
    pub rows: Vec<StoredRow>,
    /// The key after which the next page starts; `None` on the part's last.
    pub next: Option<String>,
}

/// The rows of one generation, as a whole.
///
/// # Contract
/// * The pages of all parts together give every row of the tenant once, tombstones too; within a
///   part by rising key. A row that is added meanwhile may be among them.
/// * A page sees every `put` that was answered before it was asked for.
/// * The parts are the same for as long as the table is; a place may be kept and used later.
/// * `tenants` names every tenant of which there is a row of this generation, or an asset that is
///   set aside. It reads the keys of all rows where the store has no index of them.
/// * A row that cannot be read is told as such, and is no error.
/// * `erase` takes away one row, whatever it is, and is as good as done if there is none. It keeps
///   no late duplicate away: project the asset again right after it, from a fresh history.
#[async_trait]
pub trait Rows: Views {
    /// How many parts the rows lie in, at least one.
    fn parts(&self) -> u8;

    /// Whose rows there are, and whose assets are set aside.
    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError>;

    /// A page of the tenant's rows in `part`, after a key; from the first without one.
    async fn page(
        &self,
        tenant: &Tenant,
        part: u8,
        after: Option<&str>,
    ) -> Result<RowPage, StoreError>;

    /// The part that the asset's row is in.
    fn part_of(&self, key: &Key) -> u8;

    /// Takes the tenant's row of this key away, for whoever mends the table.
    async fn erase(&self, tenant: &Tenant, part: u8, id: &str) -> Result<(), StoreError>;
}

#[async_trait]
impl<T: Views + ?Sized> Views for Arc<T> {
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        (**self).get(key).await
    }

    async fn get_eventually(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        (**self).get_eventually(key).await
    }

    async fn put(&self, asset: &Asset) -> Result<PutOutcome, StoreError> {
        (**self).put(asset).await
    }

    async fn put_all(&self, assets: &[Asset]) -> Vec<Result<PutOutcome, StoreError>> {
        (**self).put_all(assets).await
    }

    async fn put_checked(&self, history: &History) -> Result<PutOutcome, StoreError> {
        (**self).put_checked(history).await
    }

    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError> {
        (**self).list(query).await
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        (**self).park(parked).await
    }

    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        (**self).parked(tenant, limit).await
    }

    async fn contradicted(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        (**self).contradicted(tenant, limit).await
    }

    async fn let_go(&self, parked: &Parked) -> Result<(), StoreError> {
        (**self).let_go(parked).await
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        (**self).sweep(now).await
    }
}

#[async_trait]
impl<T: Rows + ?Sized> Rows for Arc<T> {
    fn parts(&self) -> u8 {
        (**self).parts()
    }

    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError> {
        (**self).tenants().await
    }

    async fn page(
        &self,
        tenant: &Tenant,
        part: u8,
        after: Option<&str>,
    ) -> Result<RowPage, StoreError> {
        (**self).page(tenant, part, after).await
    }

    fn part_of(&self, key: &Key) -> u8 {
        (**self).part_of(key)
    }

    async fn erase(&self, tenant: &Tenant, part: u8, id: &str) -> Result<(), StoreError> {
        (**self).erase(tenant, part, id).await
    }
}
