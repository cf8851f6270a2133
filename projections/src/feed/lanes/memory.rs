//! Lanes in memory, for the simulation and for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ledger::StoreError;

use super::{Lane, Lanes, Place, Placed};

type Texts = BTreeMap<Lane, BTreeMap<u64, String>>;

/// Lanes that last as long as the process.
#[derive(Debug, Default)]
pub struct MemoryLanes(Mutex<Texts>);

impl MemoryLanes {
    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Lanes for MemoryLanes {
    async fn end(&self, lane: &Lane) -> Result<u64, StoreError> {
        let texts = self.texts();
        let last = texts.get(lane).and_then(|places| places.last_key_value());
        Ok(last.map_or(0, |(number, _)| *number))
    }

    async fn put(&self, lane: &Lane, place: &Place) -> Result<Placed, StoreError> {
        let mut texts = self.texts();
        let places = texts.entry(lane.clone()).or_default();
        if let Some(held) = places.get(&place.number) {
            return Ok(Placed::Taken(held.clone()));
        }
        places.insert(place.number, place.text.clone());
        Ok(Placed::Written)
    }

    async fn places(&self, lane: &Lane, from: u64, limit: usize) -> Result<Vec<Place>, StoreError> {
        let texts = self.texts();
        let places = texts.get(lane).into_iter().flat_map(|places| places.range(from..));
        let place = |(number, text): (&u64, &String)| Place { number: *number, text: text.clone() };
        Ok(places.take(limit).map(place).collect())
    }
}
