//! Writes the feed: references to events that an asset's row does not have yet.
//!
//! **Announced first, then projected.** A row is written only after all events up to its version
//! are in the feed. So the stored row shows how far its asset was announced, without a mark or a
//! counter: the events that the row lacks are announced, and then the row is written. A crash
//! between the two, a lost reply or a second projector announces an event twice. No event is ever
//! omitted, and first occurrences are in the order of versions.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use ledger::StoreError;
use ledger::error::StoreErrorKind;
use ledger::history::History;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::lanes::{FeedLane, LaneEntry, LaneWrite, Lanes, Reference, write};

/// Bytes of an entry's text. With its key it takes four write units, and one read unit when the end
/// of a lane is looked up, for any amount of events.
const TEXT_MAX: usize = 3_900;
/// How long a remembered end of a lane is used. Other processes write the lane too: a place that
/// is already taken costs a write unit, and looking up the end costs a read unit, a fifth of that.
const END_FRESH: Duration = Duration::from_millis(20);
/// Entries found taken before the batch must be retried: other writers are faster than any real
/// projector.
const MISSES_MAX: u32 = 64;

/// Events of one asset that are not in the feed yet.
#[derive(Debug)]
pub struct Announcement {
    lane: FeedLane,
    references: Vec<Reference>,
}

impl Announcement {
    /// The events of a history after the first `announced` of them.
    #[must_use]
    pub fn of(history: &History, announced: u64) -> Self {
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        let references = history.entries().iter().skip(announced).map(Reference::to).collect();
        Self { lane: FeedLane::of(&history.asset().key), references }
    }
}

/// Writes the feed. A clone shares its state.
#[derive(Clone)]
pub struct Announcer {
    lanes: Arc<dyn Lanes>,
    ends: Arc<std::sync::Mutex<HashMap<FeedLane, LaneEnd>>>,
}

/// The end of a lane at the last write of this process, and the time of that write. It is locked
/// during a write, so that a process does not race itself.
type LaneEnd = Arc<Mutex<Option<(u64, Instant)>>>;

impl Announcer {
    /// An announcer that writes to these lanes.
    pub fn new(lanes: Arc<dyn Lanes>) -> Self {
        Self { lanes, ends: Arc::default() }
    }

    /// Announces a batch's events in as few entries as possible; returns the lanes that failed.
    pub async fn announce(&self, news: Vec<Announcement>) -> BTreeMap<FeedLane, StoreError> {
        let mut by_lane = BTreeMap::<FeedLane, Vec<Reference>>::new();
        for Announcement { lane, references } in news {
            if !references.is_empty() {
                by_lane.entry(lane).or_default().extend(references);
            }
        }
        let appends = by_lane.iter().map(|(lane, references)| async move {
            let outcome = self.append(lane, references).await;
            outcome.err().map(|error| (lane.clone(), error))
        });
        join_all(appends).await.into_iter().flatten().collect()
    }

    async fn append(&self, lane: &FeedLane, references: &[Reference]) -> Result<(), StoreError> {
        let end = self.end(lane);
        let mut end = end.lock().await;
        for text in write(references, TEXT_MAX) {
            // Cleared until the call succeeds: after a failure the end is unknown.
            let last = end.take().filter(|(_, at)| at.elapsed() < END_FRESH);
            let number = self.put(lane, last.map(|(number, _)| number), text).await?;
            *end = Some((number, Instant::now()));
        }
        Ok(())
    }

    fn end(&self, lane: &FeedLane) -> LaneEnd {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.entry(lane.clone()).or_default().clone()
    }

    /// Appends a text to a lane, after its end if that is known, and returns its number.
    async fn put(
        &self,
        lane: &FeedLane,
        mut last: Option<u64>,
        text: String,
    ) -> Result<u64, StoreError> {
        let mut place = LaneEntry { number: 0, text };
        for _ in 0..MISSES_MAX {
            let end = match last.take() {
                Some(end) => end,
                None => self.lanes.end(lane).await?,
            };
            place.number = end + 1;
            match self.lanes.put(lane, &place).await? {
                LaneWrite::Written => return Ok(place.number),
                // Our own, with a lost reply; or another's with the same text.
                LaneWrite::Taken(held) if held == place.text => return Ok(place.number),
                LaneWrite::Taken(_) => {}
            }
        }
        let context = format!("{lane}: others were always faster to write it");
        Err(StoreError::new(StoreErrorKind::Unavailable, context))
    }
}
