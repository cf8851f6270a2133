//! The read table in memory, for the simulation and for tests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::asset::Asset;
use ledger::error::StoreErrorKind;
use ledger::history::History;
use ledger::id::{AssetId, Key, Tenant};

use crate::generations::{Generation, GenerationList, Generations, ReplayProgress};
use crate::position::{Position, PositionCommit, Positions};
use crate::row;
use crate::rows::{RowPage, Rows, StoredRow};
use crate::totals::{StoredTotals, Totals};
use crate::views::{AssetPage, ListQuery, ListedRow, Parked, PutOutcome, Views};

/// Rows of one page.
const PAGE: usize = 100;

/// A read table that exists as long as the process. As [`Views`] it is one generation, by default
/// the first.
#[derive(Debug)]
pub struct MemoryViews {
    tables: Arc<Mutex<MemoryTables>>,
    generation: Generation,
}

impl Default for MemoryViews {
    fn default() -> Self {
        Self { tables: Arc::default(), generation: Generation::FIRST }
    }
}

#[derive(Debug)]
struct MemoryTables {
    assets: HashMap<(Generation, Tenant), BTreeMap<AssetId, Asset>>,
    /// Unreadable rows, and the causes; their readable content is among the other rows.
    unread: HashMap<(Generation, Key), String>,
    parked: BTreeMap<Key, Parked>,
    totals: BTreeMap<(Generation, Tenant), Totals>,
    position: Position,
    list: GenerationList,
    progress: Option<ReplayProgress>,
}

impl Default for MemoryTables {
    fn default() -> Self {
        let (assets, unread, parked) = (HashMap::new(), HashMap::new(), BTreeMap::new());
        let (position, list, progress) = (Position::BEGINNING, GenerationList::default(), None);
        Self { assets, unread, parked, totals: BTreeMap::new(), position, list, progress }
    }
}

impl MemoryTables {
    fn put(&mut self, of: Generation, asset: &Asset) -> PutOutcome {
        if self.reaches(of, &asset.key, asset.version) {
            return PutOutcome::Stale;
        }
        self.unread.remove(&(of, asset.key.clone()));
        let Key { tenant, asset: id } = asset.key.clone();
        self.assets.entry((of, tenant)).or_default().insert(id, asset.clone());
        PutOutcome::Written
    }

    fn contradiction(&self, of: Generation, history: &History) -> Option<u64> {
        let row = self.get(of, &history.asset().key)?;
        Some(row.version).filter(|version| !history.has(*version, row.head))
    }

    fn put_checked(&mut self, of: Generation, history: &History) -> PutOutcome {
        match self.contradiction(of, history) {
            Some(version) => PutOutcome::Contradicted(version),
            None => self.put(of, history.asset()),
        }
    }

    fn get(&self, of: Generation, key: &Key) -> Option<&Asset> {
        self.assets.get(&(of, key.tenant.clone()))?.get(&key.asset)
    }

    fn read(&self, of: Generation, row: &Asset) -> Result<Asset, StoreError> {
        match self.unread.get(&(of, row.key.clone())) {
            None => Ok(row.clone()),
            Some(why) => Err(StoreError::new(StoreErrorKind::Corrupt, why.clone())),
        }
    }

    fn reaches(&self, of: Generation, key: &Key, version: u64) -> bool {
        self.get(of, key).is_some_and(|row| row.version >= version)
    }

    /// Unparks assets whose rows have reached the parked version.
    fn void(&mut self, of: Generation) {
        let mut parked = std::mem::take(&mut self.parked);
        parked.retain(|key, it| it.contradicted || !self.reaches(of, key, it.version));
        self.parked = parked;
    }
}

impl MemoryViews {
    /// Makes the row of `key` unreadable, until a newer one is put.
    pub fn damage(&self, key: &Key, why: &str) {
        self.tables().unread.insert((self.generation, key.clone()), why.to_owned());
    }

    fn tables(&self) -> MutexGuard<'_, MemoryTables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Views for MemoryViews {
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        let tables = self.tables();
        tables.get(self.generation, key).map(|row| tables.read(self.generation, row)).transpose()
    }

    async fn put(&self, asset: &Asset) -> Result<PutOutcome, StoreError> {
        Ok(self.tables().put(self.generation, asset))
    }

    async fn put_checked(&self, history: &History) -> Result<PutOutcome, StoreError> {
        Ok(self.tables().put_checked(self.generation, history))
    }

    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError> {
        let tables = self.tables();
        let rows = tables.assets.get(&(self.generation, query.tenant.clone()));
        let Some(rows) = rows else { return Ok(AssetPage::default()) };
        let older = (Bound::Unbounded, query.after.map_or(Bound::Unbounded, Bound::Excluded));
        let of_any = ListQuery { owner: None, ..query.clone() };
        let shown = |row: &ListedRow| match row {
            ListedRow::Read(row) if row.owner.is_none() => of_any.takes(row),
            ListedRow::Read(row) => query.takes(row),
            ListedRow::Unreadable(_) => true,
        };
        let found =
            |(id, row): (&AssetId, &Asset)| ListedRow::of(*id, tables.read(self.generation, row));
        let newest_first = rows.range(older).rev().map(found).filter(shown);
        let more = newest_first.take(query.limit.saturating_add(1)).collect();
        Ok(AssetPage::cut(more, query))
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let rank = |it: &Parked| (it.contradicted, it.version);
        let later = tables.parked.get(&parked.key).is_some_and(|it| rank(it) > rank(parked));
        let reached = tables.reaches(self.generation, &parked.key, parked.version);
        if !later && (parked.contradicted || !reached) {
            tables.parked.insert(parked.key.clone(), parked.clone());
        }
        Ok(())
    }

    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let tables = self.tables();
        let waits = |parked: &&Parked| {
            let reached = tables.reaches(self.generation, &parked.key, parked.version);
            parked.key.tenant == *tenant && (parked.contradicted || !reached)
        };
        let mut parked: Vec<_> = tables.parked.values().filter(waits).cloned().collect();
        parked.sort_by_key(|parked| parked.at);
        parked.truncate(limit);
        Ok(parked)
    }

    async fn let_go(&self, parked: &Parked) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let same =
            |it: &Parked| it.version <= parked.version && it.contradicted <= parked.contradicted;
        if tables.parked.get(&parked.key).is_some_and(same) {
            tables.parked.remove(&parked.key);
        }
        Ok(())
    }

    async fn sweep(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let expired = |row: &Asset| row::expires_at(row).is_some_and(|at| at <= now);
        let tables = &mut *self.tables();
        tables.void(self.generation);
        let mut swept = 0;
        let theirs = tables.assets.iter_mut().filter(|((of, _), _)| *of == self.generation);
        for (_, rows) in theirs {
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

    async fn commit(
        &self,
        generations: &[Generation],
        histories: &[History],
        from: &Position,
        to: &Position,
    ) -> Result<PositionCommit, StoreError> {
        let mut tables = self.tables();
        if tables.position != *from {
            return Ok(PositionCommit::Elsewhere);
        }
        let contradicts = |history: &&History| {
            generations.iter().any(|of| tables.contradiction(*of, history).is_some())
        };
        let apart = histories.iter().filter(contradicts).map(|it| it.asset().key.clone());
        let apart: Vec<_> = apart.collect();
        if !apart.is_empty() {
            return Ok(PositionCommit::Apart(apart));
        }
        let mut puts = Vec::new();
        for (nth, generation) in generations.iter().enumerate() {
            let put = |history: &History| tables.put(*generation, history.asset());
            let some: Vec<_> = histories.iter().map(put).collect();
            if nth == 0 {
                puts = some;
            }
        }
        tables.position = *to;
        Ok(PositionCommit::Moved(puts))
    }
}

#[async_trait]
impl Rows for MemoryViews {
    fn parts(&self) -> u8 {
        1
    }

    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError> {
        let tables = self.tables();
        let of_rows = tables
            .assets
            .iter()
            .filter(|((of, _), rows)| *of == self.generation && !rows.is_empty());
        let of_rows = of_rows.map(|((_, tenant), _)| tenant.clone());
        let aside = tables.parked.keys().map(|key| key.tenant.clone());
        Ok(of_rows.chain(aside).collect())
    }

    async fn page(&self, of: &Tenant, _: u8, after: Option<&str>) -> Result<RowPage, StoreError> {
        let tables = self.tables();
        let rows = tables.assets.get(&(self.generation, of.clone()));
        let rows = rows.into_iter().flatten().map(|(id, row)| (id.to_string(), row));
        let beyond = rows.filter(|(id, _)| after.is_none_or(|after| id.as_str() > after));
        let stored = beyond
            .take(PAGE)
            .map(|(id, row)| StoredRow { id, asset: tables.read(self.generation, row) });
        let rows: Vec<_> = stored.collect();
        let next = rows.last().filter(|_| rows.len() == PAGE).map(|last| last.id.clone());
        Ok(RowPage { rows, next })
    }

    fn part_of(&self, _: &Key) -> u8 {
        0
    }

    async fn erase(&self, of: &Tenant, _: u8, id: &str) -> Result<(), StoreError> {
        let Ok(asset) = id.parse() else { return Ok(()) };
        let mut tables = self.tables();
        tables.unread.remove(&(self.generation, Key { tenant: of.clone(), asset }));
        if let Some(rows) = tables.assets.get_mut(&(self.generation, of.clone())) {
            rows.remove(&asset);
        }
        Ok(())
    }

    async fn totals(&self, tenant: Option<&Tenant>) -> Result<StoredTotals, StoreError> {
        let tables = self.tables();
        let ours = tables.totals.iter().filter(|((of, _), _)| *of == self.generation);
        let ours = ours.filter(|((_, of), _)| tenant.is_none_or(|tenant| tenant == of));
        Ok(ours.map(|((_, tenant), row)| (tenant.clone(), Ok(row.clone()))).collect())
    }

    async fn put_totals(&self, tenant: &Tenant, row: &Totals) -> Result<PutOutcome, StoreError> {
        let (mut tables, at) = (self.tables(), (self.generation, tenant.clone()));
        if tables.totals.get(&at).is_some_and(|stored| stored.revision >= row.revision) {
            return Ok(PutOutcome::Stale);
        }
        tables.totals.insert(at, row.clone());
        Ok(PutOutcome::Written)
    }
}

#[async_trait]
impl Generations for MemoryViews {
    async fn generations(&self) -> Result<GenerationList, StoreError> {
        Ok(self.tables().list.clone())
    }

    async fn replace(
        &self,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let same = tables.list == *seen;
        if same {
            tables.list = list.clone();
        }
        Ok(same)
    }

    async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError> {
        Ok(self.tables().progress.clone())
    }

    async fn save(
        &self,
        seen: Option<&ReplayProgress>,
        to: &ReplayProgress,
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let same = tables.progress.as_ref() == seen;
        if same {
            tables.progress = Some(to.clone());
        }
        Ok(same)
    }

    fn rows(&self, of: Generation) -> Arc<dyn Rows> {
        Arc::new(Self { tables: self.tables.clone(), generation: of })
    }

    async fn remove(&self, generation: Generation) -> Result<u64, StoreError> {
        let (mut removed, mut tables) = (0, self.tables());
        tables.totals.retain(|(of, _), _| *of != generation);
        tables.assets.retain(|(of, _), rows| {
            removed += if *of == generation { rows.len() as u64 } else { 0 };
            *of != generation
        });
        Ok(removed)
    }
}
