//! Reads the access log of one asset.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, Utc};

use super::append::{LaneKey, UrlLog, read};
use super::stream::{LANES, UrlLogStream};
use crate::error::StoreError;
use crate::id::{AssetId, Tenant};
use crate::record::StoredLine;

/// Reads of one page of results: of a month at least, if its days have few events.
const READS_MAX: usize = 128;
/// Events of one read.
const READ: usize = 100;

/// A selection of the URLs of one asset.
#[derive(Debug, Clone)]
pub struct UrlLogQuery {
    /// The tenant.
    pub tenant: Tenant,
    /// The asset.
    pub asset: AssetId,
    /// URLs given at this time or later.
    pub since: DateTime<Utc>,
    /// URLs given before this time.
    pub until: DateTime<Utc>,
    /// Where the previous page ended.
    pub after: Option<UrlLogCursor>,
    /// Entries of a page.
    pub limit: usize,
}

/// Some URLs of one asset, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlLogPage {
    /// The entries. There can be none even if more follow.
    pub entries: Vec<UrlLogEntry>,
    /// The place after them, if more can follow.
    pub next: Option<UrlLogCursor>,
}

/// A URL that was given out, as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlLogEntry {
    /// The stream that has it.
    pub stream: UrlLogStream,
    /// The stored event.
    pub line: StoredLine,
}

/// A place in the access log: a day, and the last event that was read of each of its lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlLogCursor {
    day: NaiveDate,
    read: [u64; LANES],
}

/// The text is no place in an access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in an access log")]
pub struct UrlLogCursorError;

impl fmt::Display for UrlLogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.day.format("%Y%m%d"))?;
        self.read.iter().try_for_each(|version| write!(f, "-{version}"))
    }
}

impl FromStr for UrlLogCursor {
    type Err = UrlLogCursorError;

    fn from_str(text: &str) -> Result<Self, UrlLogCursorError> {
        let mut parts = text.split('-');
        let day = parts.next().and_then(|day| NaiveDate::parse_from_str(day, "%Y%m%d").ok());
        // No store has a greater version.
        let version = |text: &str| Some(u64::from(text.parse::<u32>().ok()?));
        let read: Vec<u64> = parts.map(version).collect::<Option<_>>().ok_or(UrlLogCursorError)?;
        let cursor = day.zip(read.try_into().ok()).map(|(day, read)| Self { day, read });
        cursor.filter(|cursor| cursor.to_string() == text).ok_or(UrlLogCursorError)
    }
}

/// A lane of one day while it is merged with the others.
#[derive(Debug, Default)]
struct Lane {
    /// The place of the last event that was read.
    read: u64,
    /// Events up to it that are not merged yet.
    ahead: VecDeque<LaneEvent>,
    /// Whether there are no others.
    ended: bool,
}

/// An event of a lane.
#[derive(Debug)]
struct LaneEvent {
    at: DateTime<Utc>,
    /// Whether the query selects it.
    wanted: bool,
    entry: UrlLogEntry,
}

impl Lane {
    fn is_dry(&self) -> bool {
        self.ahead.is_empty() && !self.ended
    }
}

impl UrlLog {
    /// A page of the URLs that were given out for an asset. Its work is bounded: a long time with
    /// few of them takes more pages.
    pub async fn page(&self, query: &UrlLogQuery) -> Result<UrlLogPage, StoreError> {
        let start = UrlLogCursor { day: query.since.date_naive(), read: [0; LANES] };
        let start = query.after.filter(|after| after.day >= start.day).unwrap_or(start);
        let last = query.until.min(self.effects.now()).date_naive();
        let (mut entries, mut reads) = (Vec::new(), 0);
        let mut at = Some(start);
        while let Some(place) = at.filter(|place| place.day <= last) {
            let (place, whole) = self.day(query, place, &mut entries, &mut reads).await?;
            if !whole {
                return Ok(UrlLogPage { entries, next: Some(place) });
            }
            let day = place.day.checked_add_days(Days::new(1));
            at = day.map(|day| UrlLogCursor { day, read: [0; LANES] });
        }
        Ok(UrlLogPage { entries, next: None })
    }

    /// Reads a day from a place on, in the order of time. Returns the place after what was read,
    /// and whether that is the end of the day.
    async fn day(
        &self,
        query: &UrlLogQuery,
        mut place: UrlLogCursor,
        entries: &mut Vec<UrlLogEntry>,
        reads: &mut usize,
    ) -> Result<(UrlLogCursor, bool), StoreError> {
        let key = |lane| LaneKey { tenant: query.tenant.clone(), day: place.day, lane };
        let mut lanes = place.read.map(|read| Lane { read, ..Lane::default() });
        loop {
            for (number, lane) in lanes.iter_mut().enumerate().filter(|(_, lane)| lane.is_dry()) {
                if *reads == READS_MAX {
                    return Ok((place, false));
                }
                *reads += 1;
                self.fill(query, &key(number), lane).await?;
            }
            let next = |lane: &Lane| lane.ahead.front().map(|event| event.at);
            let rising = (0..LANES).filter_map(|lane| Some((next(&lanes[lane])?, lane)));
            let Some((_, first)) = rising.min() else { return Ok((place, true)) };
            let Some(event) = lanes[first].ahead.pop_front() else { continue };
            if event.wanted {
                if entries.len() == query.limit {
                    return Ok((place, false));
                }
                entries.push(event.entry);
            }
            place.read[first] += 1;
        }
    }

    /// Reads the next events of a lane.
    async fn fill(
        &self,
        query: &UrlLogQuery,
        key: &LaneKey,
        lane: &mut Lane,
    ) -> Result<(), StoreError> {
        let (stream, version) = self.stream(key, lane.read);
        let lines = self.journal.events_after(&stream.clone().into(), version, READ).await?;
        let read_now = lines.len() as u64;
        lane.read += read_now;
        lane.ended = lines.len() < READ && version + read_now < self.stream_max;
        for line in lines {
            let record = read(&stream, &line)?;
            let within = query.since <= record.at && record.at < query.until;
            let wanted = within && record.event.asset == query.asset;
            let entry = UrlLogEntry { stream: stream.clone(), line };
            lane.ahead.push_back(LaneEvent { at: record.at, wanted, entry });
        }
        Ok(())
    }
}
