//! A reader's position in each lane: the content of a cursor of a laned feed.

use ledger::chain::Hash;

use super::lanes::{LANES, LaneEntry};
use super::{FeedCursor, FeedError};

/// Hexadecimal digits of the hash of an entry's text, so that rebuilt lanes are not mistaken for
/// those of the cursor.
const DIGITS: usize = 8;

/// A reader's position in one lane: after this many references of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LanePosition {
    /// The entry; 0 before the first.
    pub(super) number: u64,
    /// The number of its references that were read.
    pub(super) read: usize,
    check: String,
}

impl LanePosition {
    /// Moves the position after the first `read` references of an entry.
    pub(super) fn step(&mut self, place: &LaneEntry, read: usize) {
        if self.number != place.number {
            (self.number, self.check) = (place.number, check(place));
        }
        self.read = read;
    }

    /// Whether this is the entry of the position.
    pub(super) fn is_in(&self, place: &LaneEntry) -> bool {
        (self.number, &self.check) == (place.number, &check(place))
    }

    fn text(&self) -> String {
        if self.number == 0 {
            return "0".to_owned();
        }
        format!("{}.{}.{}", self.number, self.read, self.check)
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::default());
        }
        let mut parts = text.split('.');
        let (number, read) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let stand = Self { number, read, check: parts.next()?.to_owned() };
        // Only one spelling is valid: `+7` and `07` parse as numbers too.
        (number > 0 && stand.text() == text).then_some(stand)
    }
}

fn check(place: &LaneEntry) -> String {
    let mut check = Hash::of(place.text.as_bytes()).to_string();
    check.truncate(DIGITS);
    check
}

/// A reader's positions in all lanes, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LanePositions(pub(super) Vec<LanePosition>);

impl Default for LanePositions {
    /// Before the first entry of every lane.
    fn default() -> Self {
        Self(vec![LanePosition::default(); usize::from(LANES)])
    }
}

impl LanePositions {
    pub(super) fn cursor(&self) -> FeedCursor {
        let stands: Vec<_> = self.0.iter().map(LanePosition::text).collect();
        FeedCursor(format!("l{}", stands.join("-")))
    }

    pub(super) fn read(cursor: &FeedCursor) -> Result<Self, FeedError> {
        let text = cursor.0.strip_prefix('l').ok_or(FeedError::Foreign)?;
        let stands: Option<Vec<_>> = text.split('-').map(LanePosition::parse).collect();
        let stands = stands.filter(|stands| stands.len() == usize::from(LANES));
        stands.map(Self).ok_or(FeedError::Foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_where_a_reader_stands_and_has_one_spelling() {
        let place = LaneEntry { number: 12, text: "x".to_owned() };
        let mut stands = LanePositions::default();
        assert_eq!(stands.cursor().0, "l0-0-0-0");
        stands.0[1].step(&place, 3);
        assert_eq!(stands.cursor().0, "l0-12.3.2d711642-0-0");
        assert_eq!(LanePositions::read(&stands.cursor()).unwrap(), stands);
        assert!(stands.0[1].is_in(&place));
        assert!(!stands.0[1].is_in(&LaneEntry { text: "y".to_owned(), ..place }));
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
        ] {
            assert!(LanePositions::read(&FeedCursor(text.to_owned())).is_err(), "{text}");
        }
    }
}
