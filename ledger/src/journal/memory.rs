//! A journal in memory, for the simulation and for tests.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Appended, Arrival, Arrivals, Journal};
use crate::error::StoreError;
use crate::id::Key;
use crate::record::Line;

/// A journal that lasts as long as the process.
#[derive(Debug)]
pub struct MemoryJournal {
    events: Mutex<Events>,
    latest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Events {
    by_key: HashMap<Key, Vec<Line>>,
    arrived: Vec<(Key, Line)>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self { events: Mutex::default(), latest: watch::Sender::new(0) }
    }
}

impl MemoryJournal {
    fn events(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn history(&self, key: &Key) -> Result<Vec<Line>, StoreError> {
        Ok(self.events().by_key.get(key).cloned().unwrap_or_default())
    }

    async fn last(&self, key: &Key) -> Result<Option<Line>, StoreError> {
        Ok(self.events().by_key.get(key).and_then(|lines| lines.last()).cloned())
    }

    async fn append(&self, key: &Key, line: Line) -> Result<Appended, StoreError> {
        let mut events = self.events();
        let lines = events.by_key.entry(key.clone()).or_default();
        if let Some(holder) = lines.iter().find(|held| held.version == line.version) {
            return Ok(Appended::Taken(holder.clone()));
        }
        lines.push(line.clone());
        lines.sort_by_key(|line| line.version);
        events.arrived.push((key.clone(), line));
        self.latest.send_replace(events.arrived.len() as u64);
        Ok(Appended::Written)
    }
}

#[async_trait]
impl Arrivals for MemoryJournal {
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
        let events = self.events();
        let numbered = (1..).zip(&events.arrived).skip_while(|(number, _)| *number <= after);
        let arrival = |(number, (key, line)): (u64, &(Key, Line))| Arrival {
            number,
            key: key.clone(),
            line: line.clone(),
        };
        Ok(numbered.take(limit).map(arrival).collect())
    }

    fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}
