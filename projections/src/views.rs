//! The port to the read table.

mod memory;

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

pub use memory::MemoryViews;

/// Rows that are written at once where a store takes them one by one.
const PUTS: usize = 64;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is the asset's row now.
    Written,
    /// A row as new or newer is there already, which is as good.
    Stale,
    /// The row that is there, of this version, speaks of an event that the history does not have.
    /// It is evidence, and was left as it is.
    Contradicted(u64),
}

/// Which rows a list is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Whose assets.
    pub tenant: Tenant,
    /// Only assets that are shown in this state: those being purged are shown as deleted, and
    /// purged ones never are.
    pub state: Option<AssetStatus>,
    /// Only assets older than this one: where the page before ended.
    pub after: Option<AssetId>,
    /// Rows at most; at least 1, or no page would ever end the list.
    pub limit: usize,
}

impl ListQuery {
    /// The first page of all assets.
    #[must_use]
    pub fn all(tenant: Tenant, limit: usize) -> Self {
        Self { tenant, state: None, after: None, limit }
    }

    /// Whether an asset belongs to the list.
    #[must_use]
    pub fn takes(&self, asset: &Asset) -> bool {
        let status = asset.status();
        status != AssetStatus::Purged
            && self.state.is_none_or(|state| state.shown() == status.shown())
    }
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssetPage {
    /// The rows. A filtered page may be short, or empty, and still not be the last.
    pub assets: Vec<Asset>,
    /// Rows of the page that could not be read, newest first: altered, or of a newer program.
    pub unreadable: Vec<UnreadableRow>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<AssetId>,
    /// Whether the rows are still being made: there may be assets that no page has.
    pub incomplete: bool,
}

/// A row of a list that this program cannot read: the asset is there, and its history tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Which asset.
    pub asset: AssetId,
    /// Why it cannot be read, for a person.
    pub error: String,
}

/// A row of a list, read or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedRow {
    /// It was read.
    Read(Box<Asset>),
    /// It could not be read.
    Unreadable(UnreadableRow),
}

impl From<Asset> for ListedRow {
    fn from(asset: Asset) -> Self {
        Self::Read(Box::new(asset))
    }
}

impl ListedRow {
    /// What was read of the row of an asset.
    #[must_use]
    pub fn of(id: AssetId, row: Result<Asset, StoreError>) -> Self {
        row.map_or_else(
            |error| Self::Unreadable(UnreadableRow { asset: id, error: chain(&error) }),
            Self::from,
        )
    }

    /// A row that was found for a list.
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

/// What a list makes of a row that is not of an asset: there is nothing to show, and no history
/// to look at. `verify` names it.
#[must_use]
pub fn no_asset(key: &str) -> Option<ListedRow> {
    measure::unreadable();
    tracing::warn!(key, "a row of a list has no asset key");
    None
}

impl AssetPage {
    /// The page that the first rows make, where at least one more than `limit` was looked for.
    #[must_use]
    pub fn cut(mut rows: Vec<ListedRow>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let mut page =
            Self { next: rows.last().filter(|_| more).map(ListedRow::id), ..Self::default() };
        for row in rows {
            match row {
                ListedRow::Read(asset) => page.assets.push(*asset),
                ListedRow::Unreadable(row) => page.unreadable.push(row),
            }
        }
        page
    }
}

/// An asset that could not be projected and waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Which asset.
    pub key: Key,
    /// The version that it was said to have reached.
    pub version: u64,
    /// Why it could not be projected, for a person.
    pub error: String,
    /// When that was found.
    pub at: DateTime<Utc>,
    /// Whether its row speaks of another event than its history has at that version. Then no row
    /// that comes later lets go of it, and commands on it are refused.
    pub contradicted: bool,
}

/// The rows of all assets, and those set aside.
///
/// # Contract
/// * `put` writes the whole row, and only if none is there of the same or a later version. Puts of
///   the same assets in any order, any number of times, leave the same rows.
/// * `put_checked` does the same for the row that a whole history makes, and overwrites no row
///   whose head is not the hash of that version in the history. Comparing and writing are one step.
/// * A row comes back as the asset that was put.
/// * `get` sees every `put` that was answered before; `glance` and `list` may lag by moments.
/// * A row that cannot be read fails no list: it is named among the unreadable ones of its page.
/// * A walk by the cursor, page by page, gives every listed asset that was there when it began
///   exactly once, newest first, also while newer ones are added.
/// * A purged asset's row is a tombstone: `get` gives it, so that a late duplicate cannot bring the
///   asset back; `list` does not. It goes when it expires, not before.
/// * A row at or beyond the version of a parked asset voids the parking, whichever came first;
///   but not of one that is contradicted. That is replaced only by another contradiction, and let
///   go of only by who says that it is one.
/// * A row that cannot be read fails no list: its key is on the page in its place, also where the
///   list is of a state that the row may have in truth.
/// * Tenants do not see each other's rows, nor what was set aside.
/// * A call that fails may have taken effect; repeating it is safe. `Corrupt` means that this
///   asset is the trouble and others may still be written.
#[async_trait]
pub trait Views: Send + Sync {
    /// The row of `key`.
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError>;

    /// The row of `key` as it was a moment ago, for who checks it against the journal anyway. As
    /// it stands here it is for a store in which that costs no less.
    async fn get_eventually(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        self.get(key).await
    }

    /// Writes the row of `asset` if it is newer.
    async fn put(&self, asset: &Asset) -> Result<PutOutcome, StoreError>;

    /// Writes the row that a whole history makes if it is newer, unless the row that is there
    /// contradicts the history.
    async fn put_checked(&self, history: &History) -> Result<PutOutcome, StoreError>;

    /// Writes rows of different assets, each as [`Views::put`] does, and answers for each in turn.
    /// As it stands here it is for a store in which many at once cost no less than each alone.
    async fn put_all(&self, assets: &[Asset]) -> Vec<Result<PutOutcome, StoreError>> {
        let puts: Vec<_> = assets.iter().map(|asset| self.put(asset)).collect();
        stream::iter(puts).buffered(PUTS).collect().await
    }

    /// A page of rows, newest first.
    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError>;

    /// Sets an asset aside. A version replaces itself and earlier ones.
    async fn park(&self, parked: &Parked) -> Result<(), StoreError>;

    /// The tenant's assets that are set aside, oldest first, at most `limit`.
    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError>;

    /// The tenant's assets that are contradicted, at most `limit`. As it stands here it is for a
    /// store in which listing what is set aside costs little.
    async fn contradicted(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let mut parked = self.parked(tenant, usize::MAX).await?;
        parked.retain(|parked| parked.contradicted);
        parked.truncate(limit);
        Ok(parked)
    }

    /// Takes an asset off what is set aside, unless it was set aside again, at a later version.
    async fn let_go(&self, parked: &Parked) -> Result<(), StoreError>;

    /// Drops the tombstones that have expired, and says how many those were. As it stands here it
    /// is for a store that drops them by itself, as DynamoDB's TTL does.
    async fn sweep(&self, _now: DateTime<Utc>) -> Result<u64, StoreError> {
        Ok(0)
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
        assert_eq!(AssetPage::cut(rows(), 2).next, last_of(2));
        assert_eq!(AssetPage::cut(rows(), 2).assets, found[..2]);
        for limit in [3, 4] {
            assert_eq!(
                AssetPage::cut(rows(), limit),
                AssetPage { assets: found.clone(), ..AssetPage::default() }
            );
        }
    }
}
