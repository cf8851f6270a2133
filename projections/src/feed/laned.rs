//! The feed of a store without an order of arrival: the lanes have references, in order for each
//! asset, and the journal has the events.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use ledger::id::Key;
use ledger::journal::{EventPlace, Journal};
use ledger::record::StoredLine;
use ledger::{Effects, StoreError};

use super::lane_positions::{LanePosition, LanePositions};
use super::lanes::{self, FeedLane, LANES, LaneEntry, Lanes, Reference, ReferenceError, closes};
use super::retention::{FeedRetention, FeedWeek, LATE};
use super::{EventHeader, Feed, FeedError, FeedEvent, FeedPage, FeedQuery};

/// Rounds of reading events for a page with a filter. A filter needs the events, and a round reads
/// as many as the page still takes.
const ROUNDS: usize = 10;
/// The maximum number of entries of a lane that one page reads: of four kilobytes each, a quarter
/// of what one query of DynamoDB may read.
const PLACES_MAX: usize = 64;
/// The weeks of a lane that one page passes: those of a reader who was off for a season.
const WEEKS: usize = 16;

/// The feed that an [`Announcer`] writes.
///
/// [`Announcer`]: super::Announcer
pub struct LanedFeed {
    lanes: Arc<dyn Lanes>,
    journal: Arc<dyn Journal>,
    effects: Arc<dyn Effects>,
}

impl LanedFeed {
    /// The feed of the events in `journal` that `lanes` refer to.
    pub fn new(
        lanes: Arc<dyn Lanes>,
        journal: Arc<dyn Journal>,
        effects: Arc<dyn Effects>,
    ) -> Self {
        Self { lanes, journal, effects }
    }

    /// The retention by which weeks are judged. A lane may have weeks that this process does not
    /// know of, because it was given no retention; and a cursor keeps its own if that is shorter.
    fn judged(&self, of_cursor: Option<FeedRetention>) -> FeedRetention {
        let own = self.lanes.retention().unwrap_or(FeedRetention::SHORTEST);
        of_cursor.map_or(own, |of_cursor| own.min(of_cursor))
    }

    /// The positions of a query.
    async fn stands(&self, query: &FeedQuery) -> Result<LanePositions, FeedError> {
        if let Some(cursor) = &query.after {
            let stands = LanePositions::read(cursor)?;
            // A clock may be behind that of a writer.
            let last = FeedWeek::of(self.effects.now()).next();
            let known = stands.lanes.iter().all(|stand| stand.week <= Some(last));
            return if known { Ok(stands) } else { Err(FeedError::Foreign) };
        }
        let retention = self.lanes.retention();
        let begins = FeedLane::all(&query.tenant).map(|lane| self.beginning(lane, retention));
        Ok(LanePositions { retention, lanes: try_join_all(begins).await? })
    }

    /// Before the first entry that is kept.
    async fn beginning(
        &self,
        lane: FeedLane,
        retention: Option<FeedRetention>,
    ) -> Result<LanePosition, StoreError> {
        let Some(retention) = retention else { return Ok(LanePosition::default()) };
        let (now, last) = (self.effects.now(), self.lanes.last(&lane).await?);
        // What is older than the first week of a lane is kept until that week expires.
        let expired = last
            .and_then(|last| closes(&lane, &last))
            .is_some_and(|closing| closing.next < retention.min(closing.retention).first_week(now));
        let first = || LanePosition::before(retention.first_week(now));
        Ok(if expired { first() } else { LanePosition::default() })
    }

    /// The next entries of a lane.
    async fn ahead(
        &self,
        lane: FeedLane,
        stand: LanePosition,
        limit: usize,
        mut retention: FeedRetention,
    ) -> Result<LaneAhead, FeedError> {
        let (mut week, mut first, count) = (stand.week, stand.number.max(1), places(limit));
        let found = VecDeque::new();
        let mut ahead = LaneAhead { lane, stand, found, last: week, more: true, shown: None };
        for _ in 0..WEEKS {
            // Before the read: what it does not find then was not there at this time.
            let now = self.effects.now();
            if week.is_some_and(|week| !retention.keeps(week, now)) {
                return Err(FeedError::Expired);
            }
            let here = ahead.lane.in_week(week);
            let (entries, full) = self.entries(&here, first, count - ahead.found.len()).await?;
            let closing = entries.iter().find_map(|entry| closes(&here, entry));
            if week.is_none() {
                // These entries are from before any cursor named a retention.
                retention = closing.map_or(retention, |it| retention.min(it.retention));
            }
            let next = closing.map(|it| it.next).or_else(|| next_week(&here, now));
            let stands = entries.first().is_some_and(|place| ahead.stand.is_in(place));
            if week == ahead.stand.week && ahead.stand.number > 0 && !stands {
                return Err(FeedError::Foreign);
            }
            let entry = |place: LaneEntry| {
                let expired = place.expires_at.is_some_and(|at| at <= now);
                WeekEntry { week, place, expired }
            };
            ahead.found.extend(entries.into_iter().map(entry));
            let Some(next) = next.filter(|_| !full) else {
                ahead.more = full;
                break;
            };
            (week, first) = (Some(next), 1);
            ahead.last = week;
        }
        ahead.shown = ahead.found.iter().filter_map(WeekEntry::retention).min();
        Ok(ahead)
    }

    /// The positions after a page.
    fn positions(&self, lanes: Vec<LaneAhead>) -> LanePositions {
        // Other writers may have been given another retention: an entry shows that of its own.
        let shown = lanes.iter().filter_map(|lane| lane.shown).min();
        let lanes: Vec<_> = lanes.into_iter().map(LaneAhead::position).collect();
        let weeks = lanes.iter().any(|stand| stand.week.is_some());
        let own = self.lanes.retention().or(weeks.then_some(FeedRetention::SHORTEST));
        LanePositions { retention: own.map(|own| shown.map_or(own, |shown| shown.min(own))), lanes }
    }

    /// Some entries from a number on, and whether there may be more.
    async fn entries(
        &self,
        lane: &FeedLane,
        first: u64,
        count: usize,
    ) -> Result<(Vec<LaneEntry>, bool), StoreError> {
        let mut found = self.lanes.places(lane, first, count).await?;
        let full = found.len() == count;
        if let Some(last) = found.last().map(|last| last.number).filter(|_| !whole(&found, first)) {
            // An entry is written only after the previous one: a second read of the same range has
            // no gap, unless an entry was removed.
            found = self.lanes.places(lane, first, count).await?;
            found.retain(|place| place.number <= last);
            if !whole(&found, first) {
                if self.may_be_expired(lane) {
                    tracing::warn!(%lane, from = first, to = last, "the feed lacks old entries");
                } else {
                    tracing::error!(%lane, from = first, to = last, "the feed lacks entries");
                }
            }
        }
        Ok((found, full))
    }

    /// Whether entries of the lane's week may be removed: after the retention was made longer, they
    /// are in one week with entries that are kept.
    fn may_be_expired(&self, lane: &FeedLane) -> bool {
        let now = self.effects.now();
        lane.week.is_some_and(|week| FeedRetention::SHORTEST.expiry(week) <= now)
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
        let stands = self.stands(query).await?;
        let retention = self.judged(stands.retention);
        let lanes = FeedLane::all(&query.tenant).zip(stands.lanes);
        let reads = lanes.map(|(lane, stand)| self.ahead(lane, stand, query.limit, retention));
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
        let next = self.positions(lanes).cursor();
        Ok(FeedPage { events, next, more })
    }
}

/// Entries to read of each lane for a page: the lane's share, as if each had one reference, and the
/// entry of the reader's position.
fn places(limit: usize) -> usize {
    limit.div_ceil(usize::from(LANES)).min(PLACES_MAX) + 1
}

/// The next week of a lane, if nothing more is written in this one.
fn next_week(lane: &FeedLane, now: DateTime<Utc>) -> Option<FeedWeek> {
    lane.week.filter(|week| week.end() + LATE <= now).map(FeedWeek::next)
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
    found: VecDeque<WeekEntry>,
    /// The week up to which the lane was read.
    last: Option<FeedWeek>,
    /// Whether the lane has entries after those that were read.
    more: bool,
    /// The shortest retention of those entries, if one of them expires.
    shown: Option<FeedRetention>,
}

/// An entry of a lane.
struct WeekEntry {
    week: Option<FeedWeek>,
    place: LaneEntry,
    /// Whether it may be removed. It counts as removed, and its lines are passed over.
    expired: bool,
}

impl WeekEntry {
    fn retention(&self) -> Option<FeedRetention> {
        let expires_at = self.place.expires_at.filter(|_| !self.expired)?;
        Some(FeedRetention::of_expiry(self.week?, expires_at))
    }
}

impl LaneAhead {
    /// Takes the next line of the lane, if there is one.
    fn next(&mut self) -> Option<Result<(Key, Reference), ReferenceError>> {
        loop {
            let entry = self.found.front()?;
            let (read, WeekEntry { week, place, expired }) = (self.read_of(entry), entry);
            let line = if *expired { None } else { lanes::read(&place.text, read) };
            let read = if *expired { lanes::lines(&place.text) } else { read + 1 };
            if line.is_some() || *expired {
                self.stand.step(*week, place, read);
            }
            if let Some(line) = line {
                return Some(line.map(|reference| (self.key(&reference), reference)));
            }
            self.found.pop_front();
        }
    }

    /// The number of an entry's lines that were read.
    fn read_of(&self, WeekEntry { week, place, .. }: &WeekEntry) -> usize {
        let here = (*week, place.number) == (self.stand.week, self.stand.number);
        if here { self.stand.read } else { 0 }
    }

    fn key(&self, reference: &Reference) -> Key {
        Key { tenant: self.lane.tenant.clone(), asset: reference.asset }
    }

    /// Whether an entry that was read has lines that were not used.
    fn has_unread(&self) -> bool {
        self.found.iter().any(|entry| lanes::lines(&entry.place.text) > self.read_of(entry))
    }

    fn has_more(&self) -> bool {
        self.more || self.has_unread()
    }

    /// The position after what was used.
    fn position(self) -> LanePosition {
        let ended = self.last.filter(|last| self.stand.week < Some(*last) && !self.has_unread());
        ended.map_or(self.stand, LanePosition::before)
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
