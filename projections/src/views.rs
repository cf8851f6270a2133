//! The port to the read table.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use ledger::StoreError;
use ledger::asset::{Asset, AssetStatus};
use ledger::error::chain;
use ledger::history::History;
use ledger::id::{AssetId, Key, Tenant};

use crate::measure;
use crate::rows::StoredRow;

/// Rows that are written concurrently if a store writes them one by one.
const PUTS: usize = 64;

/// The result of writing a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is now the asset's row.
    Written,
    /// The stored row is as new or newer, which is as good.
    Stale,
    /// The stored row, of this version, has an event that the history does not have. It is
    /// evidence, and was left unchanged.
    Contradicted(u64),
}

/// The rows of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// The tenant of the assets.
    pub tenant: Tenant,
    /// Only assets that are shown in this state: those being purged are shown as deleted, and
    /// purged ones are never shown.
    pub state: Option<AssetStatus>,
    /// Only assets that this subject created.
    pub owner: Option<String>,
    /// Only assets older than this one: the end of the previous page.
    pub after: Option<AssetId>,
    /// The maximum number of rows; at least 1, because pages of 0 rows would never end the list.
    pub limit: usize,
}

impl ListQuery {
    /// The first page of all assets.
    #[must_use]
    pub fn all(tenant: Tenant, limit: usize) -> Self {
        Self { tenant, state: None, owner: None, after: None, limit }
    }

    /// Whether an asset belongs to the list.
    #[must_use]
    pub fn takes(&self, asset: &Asset) -> bool {
        let status = asset.status();
        status != AssetStatus::Purged
            && self.state.is_none_or(|state| state.shown() == status.shown())
            && self.owner.as_ref().is_none_or(|owner| asset.owner.as_ref() == Some(owner))
    }

    /// The row as a list has it. A row of an older version of this program does not say whose the
    /// asset is, so a list of an owner cannot read it.
    fn read(&self, row: ListedRow) -> ListedRow {
        match row {
            ListedRow::Read(asset) if self.owner.is_some() && asset.owner.is_none() => {
                let error = "the row does not say who created the asset; a replay adds it";
                let asset = asset.key.asset;
                ListedRow::Unreadable(UnreadableRow { asset, error: error.to_owned() })
            }
            row => row,
        }
    }
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssetPage {
    /// The rows. A filtered page may be short or empty without being the last.
    pub assets: Vec<Asset>,
    /// The unreadable rows of the page, newest first: altered, or of a newer program.
    pub unreadable: Vec<UnreadableRow>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<AssetId>,
    /// Whether the rows are still being projected: the pages may lack some assets.
    pub incomplete: bool,
}

/// An unreadable row of a list. The asset exists, and can be folded from its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// The asset.
    pub asset: AssetId,
    /// The cause, as a message.
    pub error: String,
}

/// A row of a list, read or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedRow {
    /// It is readable.
    Read(Box<Asset>),
    /// It is unreadable.
    Unreadable(UnreadableRow),
}

impl From<Asset> for ListedRow {
    fn from(asset: Asset) -> Self {
        Self::Read(Box::new(asset))
    }
}

impl ListedRow {
    /// A row from the result of reading it.
    #[must_use]
    pub fn of(id: AssetId, row: Result<Asset, StoreError>) -> Self {
        row.map_or_else(
            |error| Self::Unreadable(UnreadableRow { asset: id, error: chain(&error) }),
            Self::from,
        )
    }

    /// A row that was read for a list.
    #[must_use]
    pub fn found(row: StoredRow) -> Option<Self> {
        let Ok(id) = row.id.parse() else { return no_asset(&row.id) };
        Some(Self::of(id, row.asset))
    }

    /// The row's asset.
    #[must_use]
    pub fn id(&self) -> AssetId {
        match self {
            Self::Read(asset) => asset.key.asset,
            Self::Unreadable(row) => row.asset,
        }
    }
}

/// The result for a row that belongs to no asset: there is no state to show, and no history to
/// read. `verify` names it.
#[must_use]
pub fn no_asset(key: &str) -> Option<ListedRow> {
    measure::unreadable();
    tracing::warn!(key, "a row of a list has no asset key");
    None
}

impl AssetPage {
    /// The page of the first rows, if at least one more than its limit was requested.
    #[must_use]
    pub fn cut(mut rows: Vec<ListedRow>, query: &ListQuery) -> Self {
        let more = rows.len() > query.limit;
        rows.truncate(query.limit);
        let mut page =
            Self { next: rows.last().filter(|_| more).map(ListedRow::id), ..Self::default() };
        for row in rows {
            match query.read(row) {
                ListedRow::Read(asset) => page.assets.push(*asset),
                ListedRow::Unreadable(row) => page.unreadable.push(row),
            }
        }
        page
    }
}

/// An asset that could not be projected and waits for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The asset.
    pub key: Key,
    /// The version that was reported.
    pub version: u64,
    /// Why it could not be projected, as a message.
    pub error: String,
    /// The time of the failure.
    pub at: DateTime<Utc>,
    /// Whether its row has another event than its history at that version. Then no later row
    /// unparks the asset, and commands on it are refused.
    pub contradicted: bool,
}

/// The rows of all assets, and the parked assets.
///
/// # Contract
/// * `put` writes the whole row, and only if the stored one is of an earlier version or missing.
///   Puts of the same assets in any order, any number of times, result in the same rows.
/// * `put_checked` does the same for the row of a whole history, and replaces no row whose head is
///   not the hash of that version in the history. Comparing and writing are atomic.
/// * A row is read as the asset that was put.
/// * `get` sees every `put` that returned before; `get_eventually` and `list` may lag.
/// * An unreadable row fails no list: the page names its key, in its place, also in a list of a
///   state that the row may actually have. To a list of an owner, a row without one is unreadable.
/// * Reading page by page with the cursor returns every listed asset that existed at the beginning
///   exactly once, newest first, also while newer ones are added.
/// * A purged asset's row is a tombstone: `get` returns it, so that a late duplicate cannot restore
///   the asset; `list` does not. It is dropped after it expires, not before.
/// * A row at or beyond the version of a parked asset unparks it, in either order. It does not
///   unpark a contradicted asset: only another contradiction replaces that parking, and only a
///   caller that knows of the contradiction removes it.
/// * Tenants see neither rows nor parked assets of each other.
/// * A call that fails may have taken effect; repeating it is safe. `Corrupt` means that only this
///   asset is affected and others may still be written.
#[async_trait]
pub trait Views: Send + Sync {
    /// The row of `key`.
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError>;

    /// The row of `key`, possibly stale by a moment, for callers that compare it with the journal
    /// anyway. The default is for a store in which this is not cheaper.
    async fn get_eventually(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        self.get(key).await
    }

    /// Writes the row of `asset` if it is newer.
    async fn put(&self, asset: &Asset) -> Result<PutOutcome, StoreError>;

    /// Writes the row of a whole history if it is newer, unless the stored row contradicts the
    /// history.
    async fn put_checked(&self, history: &History) -> Result<PutOutcome, StoreError>;

    /// Writes rows of different assets, each as [`Views::put`] does, and returns the result of each
    /// in order. The default is for a store in which a batch is not cheaper than single puts.
    async fn put_all(&self, assets: &[Asset]) -> Vec<Result<PutOutcome, StoreError>> {
        let puts: Vec<_> = assets.iter().map(|asset| self.put(asset)).collect();
        stream::iter(puts).buffered(PUTS).collect().await
    }

    /// A page of rows, newest first.
    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError>;

    /// Parks an asset. A parking replaces one of the same or an earlier version.
    async fn park(&self, parked: &Parked) -> Result<(), StoreError>;

    /// The tenant's parked assets, oldest first, at most `limit`.
    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError>;

    /// The tenant's contradicted assets, at most `limit`. The default is for a store in which
    /// listing the parked assets is cheap.
    async fn contradicted(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let mut parked = self.parked(tenant, usize::MAX).await?;
        parked.retain(|parked| parked.contradicted);
        parked.truncate(limit);
        Ok(parked)
    }

    /// Unparks an asset, unless it was parked again at a later version.
    async fn let_go(&self, parked: &Parked) -> Result<(), StoreError>;

    /// Drops expired tombstones, and returns their number. The default is for a store that drops
    /// them by itself, as DynamoDB's TTL does.
    async fn sweep(&self, _now: DateTime<Utc>) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// Views that pass each call on to other views, which they look up for the call. A method that is
/// overridden decides by itself what it answers.
pub trait ViewsDecorator: Send + Sync {
    /// The views that are called.
    type Inner: Views + ?Sized;

    /// The views for one call.
    fn inner(&self) -> impl Future<Output = Result<Arc<Self::Inner>, StoreError>> + Send;

    /// Runs around each call that is passed on, by the name of the method.
    fn around<T: Send>(
        &self,
        _method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        call
    }

    /// [`Views::list`].
    fn list(
        &self,
        query: &ListQuery,
    ) -> impl Future<Output = Result<AssetPage, StoreError>> + Send {
        async { self.around("list", self.inner().await?.list(query)).await }
    }
}

#[async_trait]
impl<D: ViewsDecorator> Views for D {
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        self.around("get", self.inner().await?.get(key)).await
    }

    async fn get_eventually(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        self.around("get", self.inner().await?.get_eventually(key)).await
    }

    async fn put(&self, asset: &Asset) -> Result<PutOutcome, StoreError> {
        self.around("put", self.inner().await?.put(asset)).await
    }

    async fn put_checked(&self, history: &History) -> Result<PutOutcome, StoreError> {
        self.around("put", self.inner().await?.put_checked(history)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError> {
        ViewsDecorator::list(self, query).await
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        self.around("park", self.inner().await?.park(parked)).await
    }

    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.around("parked", self.inner().await?.parked(tenant, limit)).await
    }

    async fn contradicted(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        self.around("parked", self.inner().await?.contradicted(tenant, limit)).await
    }

    async fn let_go(&self, parked: &Parked) -> Result<(), StoreError> {
        self.around("let_go", self.inner().await?.let_go(parked)).await
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.around("sweep", self.inner().await?.sweep(now)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Story;

    #[test]
    fn only_a_page_with_more_behind_it_names_a_next_one() {
        let found: Vec<_> = (1..=3).rev().map(|nth| Story::begin("main", nth).asset()).collect();
        let rows = || found.iter().cloned().map(ListedRow::from).collect::<Vec<_>>();
        let last_of = |limit: usize| found.get(limit - 1).map(|last| last.key.asset);
        let page = |limit| AssetPage::cut(rows(), &ListQuery::all(Tenant::default(), limit));
        assert_eq!(page(2).next, last_of(2));
        assert_eq!(page(2).assets, found[..2]);
        for limit in [3, 4] {
            assert_eq!(page(limit), AssetPage { assets: found.clone(), ..AssetPage::default() });
        }
    }
}
