//! A journal in memory, for the simulation and for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::error::StoreError;
use crate::id::{Key, PartitionKey, StreamId};
use crate::journal::scan::{Scan, ScanPosition, Scanned, Segment, StoredItem};
use crate::journal::{Appended, Arrival, Arrivals, Journal};
use crate::record::StoredLine;

/// A journal for the lifetime of the process.
#[derive(Debug)]
pub struct MemoryJournal {
    events: Mutex<Events>,
    latest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Events {
    by_partition: BTreeMap<PartitionKey, Vec<StoredLine>>,
    arrived: Vec<(Key, StoredLine)>,
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
    async fn history_of(&self, partition: &PartitionKey) -> Result<Vec<StoredLine>, StoreError> {
        Ok(self.events().by_partition.get(partition).cloned().unwrap_or_default())
    }

    async fn last_of(&self, partition: &PartitionKey) -> Result<Option<StoredLine>, StoreError> {
        Ok(self.events().by_partition.get(partition).and_then(|lines| lines.last()).cloned())
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        let mut events = self.events();
        let lines = events.by_partition.entry(partition.clone()).or_default();
        if let Some(holder) = lines.iter().find(|held| held.version == line.version) {
            return Ok(Appended::Taken(holder.clone()));
        }
        lines.push(line.clone());
        lines.sort_by_key(|line| line.version);
        let Some(key) = partition.asset() else { return Ok(Appended::Written) };
        events.arrived.push((key, line));
        self.latest.send_replace(events.arrived.len() as u64);
        Ok(Appended::Written)
    }
}

/// Items in one page: few, so that a page ends within a history.
const PAGE: usize = 7;

#[async_trait]
impl Scan for MemoryJournal {
    fn ordered(&self) -> bool {
        true
    }

    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError> {
        let of = count.max(1);
        Ok((0..of).map(|number| Segment { number, of, from: None, until: None }).collect())
    }

    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        let after = after.map(|it| (it.partition.clone(), it.version.parse().unwrap_or(u64::MAX)));
        let events = self.events();
        let of_segment = |key: &PartitionKey| match &key.stream {
            StreamId::Asset(asset) => u32::from(asset.last_byte()) % segment.of == segment.number,
            StreamId::Named(_) => segment.number == 0,
        };
        let partitions = events.by_partition.iter().filter(|(key, _)| of_segment(key));
        let items = partitions.flat_map(|(key, lines)| {
            let partition = key.partition();
            lines.iter().map(move |line| (partition.clone(), line.clone()))
        });
        let mut rest = items.skip_while(|(partition, line)| {
            after.as_ref().is_some_and(|(at, version)| (partition, line.version) <= (at, *version))
        });
        let items: Vec<_> = rest
            .by_ref()
            .take(PAGE)
            .map(|(partition, line)| StoredItem { partition, line: Ok(line) })
            .collect();
        let place = |stored: &StoredItem| {
            let version = stored.line.as_ref().map(|line| line.version).unwrap_or_default();
            ScanPosition { partition: stored.partition.clone(), version: version.to_string() }
        };
        let next = items.last().filter(|_| rest.next().is_some()).map(place);
        Ok(Scanned { items, next })
    }
}

#[async_trait]
impl Arrivals for MemoryJournal {
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
        let events = self.events();
        let numbered = (1..).zip(&events.arrived).skip_while(|(number, _)| *number <= after);
        let arrival = |(number, (key, line)): (u64, &(Key, StoredLine))| Arrival {
            number,
            key: key.clone(),
            line: Ok(line.clone()),
        };
        Ok(numbered.take(limit).map(arrival).collect())
    }

    fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}
