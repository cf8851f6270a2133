//! The feed of a store without an order of arrival: the lanes have references, in order for each
//! asset, and the journal has the events.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::try_join_all;
use ledger::StoreError;
use ledger::id::Key;
use ledger::journal::{EventPlace, Journal};
use ledger::record::StoredLine;

use super::lane_positions::{LanePosition, LanePositions};
use super::lanes::{self, FeedLane, LANES, LaneEntry, Lanes, Reference, ReferenceError};
use super::{EventHeader, Feed, FeedError, FeedEvent, FeedPage, FeedQuery};

/// Rounds of reading events for a page with a filter. A filter needs the events, and a round reads
/// as many as the page still takes.
const ROUNDS: usize = 10;
/// The maximum number of entries of a lane that one page reads: of four kilobytes each, a quarter
/// of what one query of DynamoDB may read.
const PLACES_MAX: usize = 64;

/// The feed that an [`Announcer`] writes.
///
/// [`Announcer`]: super::Announcer
pub struct LanedFeed {
    lanes: Arc<dyn Lanes>,
    journal: Arc<dyn Journal>,
}

impl LanedFeed {
    /// The feed of the events in `journal` that `lanes` refer to.
    pub fn new(lanes: Arc<dyn Lanes>, journal: Arc<dyn Journal>) -> Self {
        Self { lanes, journal }
    }

    /// The next entries of a lane.
    async fn ahead(
        &self,
        lane: FeedLane,
        stand: LanePosition,
        limit: usize,
    ) -> Result<LaneAhead, FeedError> {
        let (first, count) = (stand.number.max(1), places(limit));
        let mut found = self.lanes.places(&lane, first, count).await?;
        let more = found.len() == count;
        if let Some(last) = found.last().map(|last| last.number).filter(|_| !whole(&found, first)) {
            // An entry is written only after the previous one: a second read of the same range has
            // no gap, unless an entry was removed.
            found = self.lanes.places(&lane, first, count).await?;
            found.retain(|place| place.number <= last);
            if !whole(&found, first) {
                tracing::error!(%lane, from = first, to = last, "entries of the feed are missing");
            }
        }
        let stands = found.first().is_some_and(|place| stand.is_in(place));
        if stand.number > 0 && !stands {
            return Err(FeedError::Foreign);
        }
        Ok(LaneAhead { lane, stand, found: found.into(), more })
    }

    /// The referenced events, as stored in the journal, that the query selects; each with its time.
    async fn events(
        &self,
        wanted: Vec<(Key, Reference)>,
        query: &FeedQuery,
    ) -> Result<Vec<(String, FeedEvent)>, StoreError> {
        let mut found = self.read(&wanted, false).await?;
        // A replica may lag behind the reference. Only the consistent read can tell that an event
        // is missing, or is another one.
        let lacks = |(key, reference): &&(Key, Reference)| {
            let line = found.get(&(key.clone(), reference.version));
            line.is_none_or(|line| !reference.is_of(line.hash()))
        };
        let lacking: Vec<_> = wanted.iter().filter(lacks).cloned().collect();
        if !lacking.is_empty() {
            found.extend(self.read(&lacking, true).await?);
        }
        let event = |(key, reference): (Key, Reference)| {
            let place = (key, reference.version);
            let line = event(&place, &reference, found.get(&place))?;
            let header = EventHeader::read(&line.body)?;
            let at = query.wants(&header.kind, &header.actor).then(|| header.at.to_string())?;
            Some((at, FeedEvent { line: line.clone(), key: place.0 }))
        };
        Ok(wanted.into_iter().filter_map(event).collect())
    }

    /// The referenced events that the journal shows. An asset may be referenced twice.
    async fn read(
        &self,
        wanted: &[(Key, Reference)],
        consistent: bool,
    ) -> Result<HashMap<EventPlace, StoredLine>, StoreError> {
        let places = wanted.iter().map(|(key, reference)| (key.clone(), reference.version));
        let places: HashSet<EventPlace> = places.collect();
        let places: Vec<_> = places.into_iter().collect();
        let found = self.journal.events_at(&places, consistent).await?;
        Ok(found.into_iter().map(|(key, line)| ((key, line.version), line)).collect())
    }
}

#[async_trait]
impl Feed for LanedFeed {
    async fn page(&self, query: &FeedQuery) -> Result<FeedPage, FeedError> {
        let stands =
            query.after.as_ref().map_or(Ok(LanePositions::default()), LanePositions::read)?;
        let lanes = FeedLane::all(&query.tenant).zip(stands.0);
        let reads = lanes.map(|(lane, stand)| self.ahead(lane, stand, query.limit));
        let mut lanes = try_join_all(reads).await?;
        let mut found = Vec::new();
        for _ in 0..if query.filters() { ROUNDS } else { 1 } {
            let wanted = take(&mut lanes, query.limit - found.len());
            found.extend(self.events(wanted, query).await?);
        }
        // Within one asset this is also the order of the lane. Between assets it is more readable.
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        let events = found.into_iter().map(|(_, event)| event).collect();
        let more = lanes.iter().any(LaneAhead::has_more);
        let next = LanePositions(lanes.into_iter().map(|lane| lane.stand).collect()).cursor();
        Ok(FeedPage { events, next, more })
    }
}

/// Entries to read of each lane for a page: the lane's share, as if each had one reference, and the
/// entry of the reader's position.
fn places(limit: usize) -> usize {
    limit.div_ceil(usize::from(LANES)).min(PLACES_MAX) + 1
}

/// Whether there is no gap from `first` on.
fn whole(found: &[LaneEntry], first: u64) -> bool {
    found.iter().zip(first..).all(|(place, number)| place.number == number)
}

/// So many references: one of each lane in turn, so that a busy lane does not delay another.
fn take(lanes: &mut [LaneAhead], count: usize) -> Vec<(Key, Reference)> {
    let mut wanted = Vec::new();
    let mut moved = true;
    while moved {
        moved = false;
        for lane in &mut *lanes {
            if wanted.len() == count {
                return wanted;
            }
            let Some(line) = lane.next() else { continue };
            moved = true;
            wanted.extend(line);
        }
    }
    wanted
}

/// The entries that a page has read of a lane, and how much of them was used.
struct LaneAhead {
    lane: FeedLane,
    stand: LanePosition,
    found: VecDeque<LaneEntry>,
    /// Whether the lane has entries after those that were read.
    more: bool,
}

impl LaneAhead {
    /// Takes the next line of the lane, if there is one.
    fn next(&mut self) -> Option<Result<(Key, Reference), ReferenceError>> {
        loop {
            let place = self.found.front()?;
            let read = if place.number == self.stand.number { self.stand.read } else { 0 };
            if let Some(line) = lanes::read(&place.text, read) {
                self.stand.step(place, read + 1);
                return Some(line.map(|reference| (self.key(&reference), reference)));
            }
            self.found.pop_front();
        }
    }

    fn key(&self, reference: &Reference) -> Key {
        Key { tenant: self.lane.tenant.clone(), asset: reference.asset }
    }

    fn has_more(&self) -> bool {
        let unread = |place: &LaneEntry| {
            place.number > self.stand.number || lanes::lines(&place.text) > self.stand.read
        };
        self.more || self.found.iter().any(unread)
    }
}

/// The event of a reference, if the journal has it.
fn event<'a>(
    (key, version): &EventPlace,
    reference: &Reference,
    line: Option<&'a StoredLine>,
) -> Option<&'a StoredLine> {
    let asset = key.partition();
    let Some(line) = line else {
        tracing::error!(
            asset,
            version,
            "the feed refers to an event that the journal does not have"
        );
        return None;
    };
    if !reference.is_of(line.hash()) {
        tracing::error!(asset, version, "the hash of an event differs from the feed's reference");
    }
    Some(line)
}
