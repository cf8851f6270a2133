//! Writing the feed: references to events that happened since an asset's row was last written.
//!
//! **Announced first, then projected.** Whoever writes a row has seen before that everything up to
//! its version stands in the feed. So the row that is there says how far its asset was announced,
//! without a mark or a counter of its own: what the row lacks is announced, and then the row is
//! written. A crash between the two, a lost reply or a second projector announces something twice;
//! nothing is ever left out, and what comes first of each event is in the order of versions.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use futures::future::join_all;
use ledger::StoreError;
use ledger::error::StoreErrorKind;
use ledger::history::History;
use tokio::sync::Mutex;

use super::lanes::{FeedLane, LaneEntry, LaneWrite, Lanes, Reference, write};

/// Bytes of a place's text. With its key it is four write units, and one read unit to whoever
/// looks where a lane ends, however much is written at once.
const TEXT_MAX: usize = 3_900;
/// Places found taken before the end of a lane is looked up instead of walked to.
const WALK: u32 = 4;
/// Places found taken before it is left to the next try of the batch: others are writing faster
/// than any real projector does.
const MISSES_MAX: u32 = 64;

/// What happened to one asset and is not in the feed yet.
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

/// Writes the feed. A clone is the same one.
#[derive(Clone)]
pub struct Announcer {
    lanes: Arc<dyn Lanes>,
    ends: Arc<std::sync::Mutex<HashMap<FeedLane, LaneEnd>>>,
}

/// Where a lane ended when it was last written here. Held while it is written, so that a process
/// does not race itself.
type LaneEnd = Arc<Mutex<Option<u64>>>;

impl Announcer {
    /// Announces in these lanes.
    pub fn new(lanes: Arc<dyn Lanes>) -> Self {
        Self { lanes, ends: Arc::default() }
    }

    /// Announces a batch's news, in as few places as hold them, and answers which lanes could not
    /// take theirs.
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
            // Forgotten until it is known again: a call that fails leaves it doubtful.
            let last = end.take();
            *end = Some(self.put(lane, last, text).await?);
        }
        Ok(())
    }

    fn end(&self, lane: &FeedLane) -> LaneEnd {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.entry(lane.clone()).or_default().clone()
    }

    /// Puts a text at the end of a lane, and answers where that was.
    async fn put(
        &self,
        lane: &FeedLane,
        last: Option<u64>,
        text: String,
    ) -> Result<u64, StoreError> {
        let mut place = match last {
            Some(last) => LaneEntry { number: last, text },
            None => LaneEntry { number: self.lanes.end(lane).await?, text },
        };
        for missed in 1..=MISSES_MAX {
            place.number += 1;
            match self.lanes.put(lane, &place).await? {
                LaneWrite::Written => return Ok(place.number),
                // Our own, whose answer was lost; or another's that says the same.
                LaneWrite::Taken(held) if held == place.text => return Ok(place.number),
                LaneWrite::Taken(_) if missed % WALK == 0 => {
                    place.number = self.lanes.end(lane).await?;
                }
                LaneWrite::Taken(_) => {}
            }
        }
        let context = format!("{lane}: others were always faster to write it");
        Err(StoreError::new(StoreErrorKind::Unavailable, context))
    }
}
