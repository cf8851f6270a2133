//! Writes the feed: references to events that an asset's row does not have yet.
//!
//! **Announced first, then projected.** A row is written only after all events up to its version
//! are in the feed. So the stored row shows how far its asset was announced, without a mark or a
//! counter: the events that the row lacks are announced, and then the row is written. A crash
//! between the two, a lost reply or a second projector announces an event twice. No event is ever
//! omitted, and first occurrences are in the order of versions.
//!
//! With a retention, a lane goes on in a new week when the week before has ended. Until no writer
//! can be late, the first one that goes on closes the week: it takes the place that a late writer
//! would take, and so readers do not wait.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use ledger::error::StoreErrorKind;
use ledger::history::History;
use ledger::{Effects, StoreError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::lanes::{Closing, FeedLane, LaneEntry, LaneWrite, Lanes, Reference, closes, write};
use super::retention::{FeedRetention, FeedWeek, LATE};

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
    effects: Arc<dyn Effects>,
    ends: Arc<std::sync::Mutex<HashMap<FeedLane, Arc<Mutex<LaneEnd>>>>>,
}

/// The end of a lane. It is locked during a write, so that a process does not race itself.
struct LaneEnd {
    /// The lane, in the week of the last write.
    lane: FeedLane,
    /// The number of the entry that this process wrote last, and the time of that write.
    last: Option<(u64, Instant)>,
}

/// What a writer does at the end of a sequence.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It writes here.
    Stay,
    /// It goes on in this week, after it has closed the sequence: others may still write here.
    Close(FeedWeek),
    /// It goes on in this week. Nobody writes here any more.
    Leave(FeedWeek),
}

impl Announcer {
    /// An announcer that writes to these lanes.
    pub fn new(lanes: Arc<dyn Lanes>, effects: Arc<dyn Effects>) -> Self {
        Self { lanes, effects, ends: Arc::default() }
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
            self.put(&mut end, text).await?;
        }
        Ok(())
    }

    fn end(&self, lane: &FeedLane) -> Arc<Mutex<LaneEnd>> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ends.entry(lane.clone());
        end.or_insert_with(|| Arc::new(Mutex::new(LaneEnd { lane: lane.clone(), last: None })))
            .clone()
    }

    /// Appends a text to a lane, after its end if that is known.
    async fn put(&self, end: &mut LaneEnd, text: String) -> Result<(), StoreError> {
        for _ in 0..MISSES_MAX {
            // Cleared until the call succeeds: after a failure the end is unknown.
            let known = end.last.take().filter(|(_, at)| at.elapsed() < END_FRESH);
            let last = if let Some((number, _)) = known {
                number
            } else {
                let last = self.lanes.last(&end.lane).await?;
                if let Some(it) = last.as_ref().and_then(|last| closes(&end.lane, last)) {
                    end.lane.week = Some(it.next.entered(self.effects.now()));
                    continue;
                }
                last.map_or(0, |last| last.number)
            };
            match self.step(&end.lane) {
                Step::Leave(next) => end.lane.week = Some(next),
                Step::Close(next) => {
                    let retention = self.lanes.retention().unwrap_or(FeedRetention::SHORTEST);
                    let closing = Closing { next, retention }.to_string();
                    if self.put_at(&end.lane, last + 1, &closing).await? {
                        end.lane.week = Some(next);
                    }
                }
                Step::Stay => {
                    if self.put_at(&end.lane, last + 1, &text).await? && !self.too_late(&end.lane) {
                        end.last = Some((last + 1, Instant::now()));
                        return Ok(());
                    }
                }
            }
        }
        let context = format!("{}: others were always faster to write it", end.lane);
        Err(StoreError::new(StoreErrorKind::Unavailable, context))
    }

    /// Writes an entry; returns whether it has the text.
    async fn put_at(&self, lane: &FeedLane, number: u64, text: &str) -> Result<bool, StoreError> {
        let kept = self.lanes.retention().zip(lane.week);
        let expires_at = kept.map(|(retention, week)| retention.expiry(week));
        let place = LaneEntry { number, text: text.to_owned(), expires_at };
        Ok(match self.lanes.put(lane, &place).await? {
            LaneWrite::Written => true,
            // Our own, with a lost reply; or another's with the same text.
            LaneWrite::Taken(held) => held == text,
        })
    }

    fn step(&self, lane: &FeedLane) -> Step {
        let now = self.effects.now();
        match lane.week {
            None if self.lanes.retention().is_some() => Step::Close(FeedWeek::of(now)),
            Some(week) if week.end() + LATE <= now => Step::Leave(week.entered(now)),
            Some(week) if week.end() <= now => Step::Close(week.next()),
            None | Some(_) => Step::Stay,
        }
    }

    /// Whether readers may have left this week before the entry was written. Then it is written
    /// again, in the next one.
    fn too_late(&self, lane: &FeedLane) -> bool {
        lane.week.is_some_and(|week| week.end() + LATE / 2 <= self.effects.now())
    }
}
