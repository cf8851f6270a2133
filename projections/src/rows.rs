//! Every row of one generation, for comparisons and checks.

mod unread;

use std::collections::BTreeSet;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::asset::Asset;
use ledger::error::StoreErrorKind;
use ledger::id::{Key, Tenant};

pub use self::unread::{UnreadPage, UnreadRow};
use crate::row::{Column, Row};
use crate::totals::{StoredTotals, Totals};
use crate::views::{PutOutcome, Views};

/// A row as stored.
#[derive(Debug, Clone)]
pub struct StoredRow {
    /// Its key within the tenant: an asset's id, or a key that another program wrote.
    pub id: String,
    /// The asset of the row, or why it is unreadable.
    pub asset: Result<Asset, StoreError>,
}

impl StoredRow {
    /// A tenant's row from the columns of its attributes.
    #[must_use]
    pub fn of_columns<'a>(
        tenant: &Tenant,
        id: String,
        columns: impl Iterator<Item = Column<'a>>,
    ) -> Self {
        let corrupt = |why: String| {
            let what = format!("the row of {tenant}#{id} cannot be read: {why}");
            StoreError::new(StoreErrorKind::Corrupt, what)
        };
        let asset = match (id.parse(), Row::of_columns(columns)) {
            (Ok(asset), Ok(row)) => row.asset(Key { tenant: tenant.clone(), asset }),
            (Err(error), _) => Err(corrupt(error.to_string())),
            (_, Err(error)) => Err(corrupt(error.to_string())),
        };
        Self { id, asset }
    }
}

/// Some rows of one part, and the position of the next ones.
#[derive(Debug, Clone, Default)]
pub struct RowPage {
    /// The rows, by increasing key.
    pub rows: Vec<StoredRow>,
    /// The key after which the next page starts; `None` on the part's last.
    pub next: Option<String>,
}

/// All rows of one generation.
///
/// # Contract
/// * The pages of all parts together return every row of the tenant once, tombstones included;
///   within a part by increasing key. A row that is added concurrently may be among them.
/// * A page sees every `put` that returned before the request.
/// * The parts never change during the life of the table; a position may be stored and used later.
/// * `tenants` names every tenant with a row of this generation or a parked asset. It reads the
///   keys of all rows if the store has no index of them.
/// * An unreadable row is returned as such and is not an error.
/// * The pages of `unread_page` have together the rows of those of `page`, each of which reads as
///   the same asset or error.
/// * `erase` deletes one row, whatever its content, and succeeds if there is none. It does not
///   exclude a late duplicate: project the asset right after it, from a fresh history.
/// * `totals` sees every `put_totals` that returned before. It returns the tenant's row, or all
///   tenants' rows, of this generation.
/// * `put_totals` writes the row whole, and only if its revision is greater than the stored one's
///   or nothing readable is stored.
#[async_trait]
pub trait Rows: Views {
    /// The number of parts of the rows, at least one.
    fn parts(&self) -> u8;

    /// The tenants that have rows or parked assets.
    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError>;

    /// A page of the tenant's rows in `part`, after a key; from the first without one.
    async fn page(
        &self,
        tenant: &Tenant,
        part: u8,
        after: Option<&str>,
    ) -> Result<RowPage, StoreError>;

    /// A page of the same sequence, of any length, with rows that are not read yet. The default is
    /// for a store that reads them together with the page.
    async fn unread_page(
        &self,
        tenant: &Tenant,
        part: u8,
        after: Option<&str>,
    ) -> Result<UnreadPage, StoreError> {
        let RowPage { rows, next } = self.page(tenant, part, after).await?;
        Ok(UnreadPage { rows: rows.into_iter().map(UnreadRow::from).collect(), next })
    }

    /// The part of the asset's row.
    fn part_of(&self, key: &Key) -> u8;

    /// Deletes the tenant's row of this key, to repair the table.
    async fn erase(&self, tenant: &Tenant, part: u8, id: &str) -> Result<(), StoreError>;

    /// The stored totals of a tenant, or of all tenants.
    async fn totals(&self, tenant: Option<&Tenant>) -> Result<StoredTotals, StoreError>;

    /// Writes a tenant's totals if they are newer.
    async fn put_totals(&self, tenant: &Tenant, row: &Totals) -> Result<PutOutcome, StoreError>;
}
