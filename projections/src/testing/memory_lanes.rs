//! Lanes in memory, for the simulation and for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ledger::StoreError;

use crate::feed::{FeedLane, LaneEntry, LaneWrite, Lanes};

type Texts = BTreeMap<FeedLane, BTreeMap<u64, String>>;

/// Lanes that exist as long as the process.
#[derive(Debug, Default)]
pub struct MemoryLanes(Mutex<Texts>);

impl MemoryLanes {
    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Lanes for MemoryLanes {
    async fn end(&self, lane: &FeedLane) -> Result<u64, StoreError> {
        let texts = self.texts();
        let last = texts.get(lane).and_then(|places| places.last_key_value());
        Ok(last.map_or(0, |(number, _)| *number))
    }

    async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError> {
        let mut texts = self.texts();
        let places = texts.entry(lane.clone()).or_default();
        if let Some(held) = places.get(&place.number) {
            return Ok(LaneWrite::Taken(held.clone()));
        }
        places.insert(place.number, place.text.clone());
        Ok(LaneWrite::Written)
    }

    async fn places(
        &self,
        lane: &FeedLane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LaneEntry>, StoreError> {
        let texts = self.texts();
        let places = texts.get(lane).into_iter().flat_map(|places| places.range(from..));
        let place =
            |(number, text): (&u64, &String)| LaneEntry { number: *number, text: text.clone() };
        Ok(places.take(limit).map(place).collect())
    }
}
