//! Every event of the journal, in segments that several may read at once, for making rows anew.

use crate::dynamodb::{Item, failed, number, text};
use crate::error::{Kind, StoreError};
use crate::id::Key;
use crate::record::Line;

use super::{DynamoJournal, event, request};

/// A page of a segment.
#[derive(Debug)]
pub struct Scanned {
    /// Events, those of an asset together and in order; the page may end amid them.
    pub events: Vec<(Key, Line)>,
    /// Assets with an item that is no event: whoever projects them finds out more.
    pub broken: Vec<Key>,
    /// Where the next page starts; `None` on the segment's last.
    pub next: Option<Place>,
}

/// A place in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The partition that was read last.
    pub partition: String,
    /// The version that was read last.
    pub version: u64,
}

impl DynamoJournal {
    /// The page after `after` of one segment of so many, from 0; it sees every event whose append
    /// was answered before. Items that are no asset's are passed over.
    pub async fn scan(
        &self,
        segment: i32,
        segments: i32,
        after: Option<&Place>,
    ) -> Result<Scanned, StoreError> {
        let scan = request::scan(self.client.scan(), &self.table, (segment, segments), after);
        let answer = scan.send().await.map_err(|e| failed("journal: it was not scanned", e))?;
        self.meter.count("Scan", answer.consumed_capacity());
        let next = answer.last_evaluated_key().map(place).transpose()?;
        let (mut events, mut broken) = (Vec::new(), Vec::new());
        for (key, item) in answer.items().iter().filter_map(of_an_asset) {
            match event(&key, item) {
                Ok(line) => events.push((key, line)),
                Err(_) => broken.push(key),
            }
        }
        Ok(Scanned { events, broken, next })
    }
}

fn of_an_asset(item: &Item) -> Option<(Key, &Item)> {
    let pk = text(item, request::PK).unwrap_or_default();
    let key = Key::from_partition(pk);
    if key.is_none() {
        tracing::warn!(pk, "an item of the journal is no asset's: passed over");
    }
    Some((key?, item))
}

fn place(key: &Item) -> Result<Place, StoreError> {
    let partition = text(key, request::PK).map(str::to_owned);
    let place =
        partition.and_then(|partition| Ok(Place { partition, version: number(key, request::SK)? }));
    place.map_err(|e| StoreError::caused(Kind::Corrupt, "journal: a place cannot be read", e))
}
