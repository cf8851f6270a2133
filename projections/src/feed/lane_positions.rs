//! A reader's position in each lane: the content of a cursor of a laned feed.

use ledger::chain::Hash;

use super::lanes::{LANES, LaneEntry};
use super::retention::{FeedRetention, FeedWeek};
use super::{FeedCursor, FeedError};

/// Hexadecimal digits of the hash of an entry's text, so that rebuilt lanes are not mistaken for
/// those of the cursor.
const DIGITS: usize = 8;

/// A reader's position in one lane: after this many references of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LanePosition {
    /// The week; `None` in the entries from before there was a retention.
    pub(super) week: Option<FeedWeek>,
    /// The entry; 0 before the first.
    pub(super) number: u64,
    /// The number of its references that were read.
    pub(super) read: usize,
    check: String,
}

impl LanePosition {
    /// Before the first entry of a week.
    pub(super) fn before(week: FeedWeek) -> Self {
        Self { week: Some(week), ..Self::default() }
    }

    /// Moves the position after the first `read` references of an entry.
    pub(super) fn step(&mut self, week: Option<FeedWeek>, place: &LaneEntry, read: usize) {
        if (self.week, self.number) != (week, place.number) {
            (self.week, self.number, self.check) = (week, place.number, check(place));
        }
        self.read = read;
    }

    /// Whether this is the entry of the position, in the same week.
    pub(super) fn is_in(&self, place: &LaneEntry) -> bool {
        (self.number, &self.check) == (place.number, &check(place))
    }

    fn text(&self) -> String {
        let week = self.week.map_or(String::new(), |week| format!("{}:", week.0));
        if self.number == 0 {
            return format!("{week}0");
        }
        format!("{week}{}.{}.{}", self.number, self.read, self.check)
    }

    fn parse(text: &str) -> Option<Self> {
        let (week, place) = match text.split_once(':') {
            Some((week, place)) => (Some(FeedWeek(week.parse().ok()?)), place),
            None => (None, text),
        };
        let mut stand = Self { week, ..Self::default() };
        if place != "0" {
            let mut parts = place.split('.');
            stand.number = parts.next()?.parse().ok().filter(|number| *number > 0)?;
            stand.read = parts.next()?.parse().ok()?;
            parts.next()?.clone_into(&mut stand.check);
        }
        // Only one spelling is valid: `+7` and `07` parse as numbers too.
        (stand.text() == text).then_some(stand)
    }
}

fn check(place: &LaneEntry) -> String {
    let mut check = Hash::of(place.text.as_bytes()).to_string();
    check.truncate(DIGITS);
    check
}

/// A reader's positions in all lanes, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LanePositions {
    /// The retention at the time of the reader; `None` if the feed had none.
    pub(super) retention: Option<FeedRetention>,
    /// One position for each lane.
    pub(super) lanes: Vec<LanePosition>,
}

impl LanePositions {
    pub(super) fn cursor(&self) -> FeedCursor {
        let stands: Vec<_> = self.lanes.iter().map(LanePosition::text).collect();
        let stands = stands.join("-");
        FeedCursor(match self.retention {
            None => format!("l{stands}"),
            Some(retention) => format!("m{}-{stands}", retention.days()),
        })
    }

    pub(super) fn read(cursor: &FeedCursor) -> Result<Self, FeedError> {
        let read = Self::parse(&cursor.0).filter(|read| read.cursor() == *cursor);
        read.ok_or(FeedError::Foreign)
    }

    fn parse(text: &str) -> Option<Self> {
        let (retention, stands) = match text.strip_prefix('m') {
            None => (None, text.strip_prefix('l')?),
            Some(text) => {
                let (days, stands) = text.split_once('-')?;
                (Some(FeedRetention::of_days(days.parse().ok()?)?), stands)
            }
        };
        let lanes: Vec<_> = stands.split('-').map(LanePosition::parse).collect::<Option<_>>()?;
        let weeks = lanes.iter().any(|stand| stand.week.is_some());
        let fits = lanes.len() == usize::from(LANES) && (retention.is_some() || !weeks);
        fits.then_some(Self { retention, lanes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> LaneEntry {
        LaneEntry { number: 12, text: text.to_owned(), expires_at: None }
    }

    fn positions(retention: Option<u16>) -> LanePositions {
        let retention = retention.and_then(FeedRetention::of_days);
        LanePositions { retention, lanes: vec![LanePosition::default(); usize::from(LANES)] }
    }

    #[test]
    fn a_cursor_says_where_a_reader_stands_and_has_one_spelling() {
        let mut stands = positions(None);
        assert_eq!(stands.cursor().0, "l0-0-0-0");
        stands.lanes[1].step(None, &place("x"), 3);
        assert_eq!(stands.cursor().0, "l0-12.3.2d711642-0-0");
        assert_eq!(LanePositions::read(&stands.cursor()).unwrap(), stands);
        assert!(stands.lanes[1].is_in(&place("x")));
        assert!(!stands.lanes[1].is_in(&place("y")));
    }

    #[test]
    fn a_cursor_of_a_feed_with_retention_names_it_and_the_weeks() {
        let mut stands = positions(Some(30));
        assert_eq!(stands.cursor().0, "m30-0-0-0-0");
        stands.lanes[1].step(Some(FeedWeek(2970)), &place("x"), 3);
        stands.lanes[3] = LanePosition::before(FeedWeek(2971));
        assert_eq!(stands.cursor().0, "m30-0-2970:12.3.2d711642-0-2971:0");
        assert_eq!(LanePositions::read(&stands.cursor()).unwrap(), stands);
        stands.lanes[1].step(Some(FeedWeek(2971)), &place("y"), 1);
        assert_eq!(stands.cursor().0, "m30-0-2971:12.1.a1fce436-0-2971:0");
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in [
            "",
            "l",
            "l0",
            "l0-0-0",
            "l0-0-0-0-0",
            "a0",
            "l0-0-0-1",
            "l0-0-0-1.1",
            "l0-0-0-01.1.x",
            "l0-0-0-1.+1.x",
            "l0-0-0-0.0.x",
            "l0-0-0-1.1.x.y",
            "l0-0-0--1.1.x",
            "l0-0-0-99999999999999999999.1.x",
            "l0-0-0-2970:0",
            "m0-0-0-0",
            "m6-0-0-0-0",
            "m030-0-0-0-0",
            "m+30-0-0-0-0",
            "m30-0-0-0",
            "m30-0-0-0-:0",
            "m30-0-0-0-02970:0",
            "m30-0-0-0-2970:",
            "m30-0-0-0-2970:00",
            "m30-0-0-0-2970:0.0.x",
            "m30-0-0-0-2970:1:0",
            "m30-0-0-0-4294967296:0",
        ] {
            assert!(LanePositions::read(&FeedCursor(text.to_owned())).is_err(), "{text}");
        }
    }
}
