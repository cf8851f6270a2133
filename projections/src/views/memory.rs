//! The read table in memory, for the simulation and for tests.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::asset::{Asset, Status};
use ledger::chain::Hash;
use ledger::id::{AssetId, Key, Tenant};

use super::{Page, Parked, Put, Query, Views};
use crate::position::{Position, Positions};
use crate::row;

/// A read table that lasts as long as the process.
#[derive(Debug, Default)]
pub struct MemoryViews {
    tables: Mutex<Tables>,
}

#[derive(Debug)]
struct Tables {
    assets: HashMap<Tenant, BTreeMap<AssetId, Asset>>,
    parked: BTreeMap<Key, Parked>,
    position: Position,
}

impl Default for Tables {
    fn default() -> Self {
        Self::empty(1)
    }
}

impl Tables {
    fn empty(generation: u64) -> Self {
        let position = Position { generation, number: 0, hash: Hash::ZERO };
        Self { assets: HashMap::new(), parked: BTreeMap::new(), position }
    }

    fn get(&self, key: &Key) -> Option<&Asset> {
        self.assets.get(&key.tenant)?.get(&key.asset)
    }

    fn reaches(&self, key: &Key, version: u64) -> bool {
        self.get(key).is_some_and(|row| row.version >= version)
    }
}

impl MemoryViews {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Views for MemoryViews {
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        Ok(self.tables().get(key).cloned())
    }

    async fn put(&self, asset: &Asset) -> Result<Put, StoreError> {
        let mut tables = self.tables();
        if tables.reaches(&asset.key, asset.version) {
            return Ok(Put::Stale);
        }
        let Key { tenant, asset: id } = asset.key.clone();
        tables.assets.entry(tenant).or_default().insert(id, asset.clone());
        if tables.parked.get(&asset.key).is_some_and(|parked| parked.version <= asset.version) {
            tables.parked.remove(&asset.key);
        }
        Ok(Put::Written)
    }

    async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let tables = self.tables();
        let Some(rows) = tables.assets.get(&query.tenant) else { return Ok(Page::default()) };
        let older = (Bound::Unbounded, query.after.map_or(Bound::Unbounded, Bound::Excluded));
        let shown = |row: &&Asset| {
            let status = row.status();
            let asked = query.state.is_none_or(|state| state.shown() == status.shown());
            asked && status != Status::Purged
        };
        let newest_first = rows.range(older).rev().map(|(_, row)| row).filter(shown);
        let more = newest_first.take(query.limit.saturating_add(1)).cloned().collect();
        Ok(Page::cut(more, query.limit))
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let later = tables.parked.get(&parked.key).is_some_and(|p| p.version > parked.version);
        if !later && !tables.reaches(&parked.key, parked.version) {
            tables.parked.insert(parked.key.clone(), parked.clone());
        }
        Ok(())
    }

    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let tables = self.tables();
        let theirs = tables.parked.values().filter(|parked| parked.key.tenant == *tenant);
        let mut parked: Vec<_> = theirs.cloned().collect();
        parked.sort_by_key(|parked| parked.at);
        parked.truncate(limit);
        Ok(parked)
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let expired = |row: &Asset| row::expires_at(row).is_some_and(|at| at <= now);
        let mut swept = 0;
        for rows in self.tables().assets.values_mut() {
            let before = rows.len();
            rows.retain(|_, row| !expired(row));
            swept += (before - rows.len()) as u64;
        }
        Ok(swept)
    }
}

#[async_trait]
impl Positions for MemoryViews {
    async fn load(&self) -> Result<Position, StoreError> {
        Ok(self.tables().position)
    }

    async fn advance(&self, from: &Position, to: &Position) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let still = tables.position == *from;
        if still {
            tables.position = *to;
        }
        Ok(still)
    }

    async fn reset(&self) -> Result<(), StoreError> {
        let mut tables = self.tables();
        *tables = Tables::empty(tables.position.generation + 1);
        Ok(())
    }
}
