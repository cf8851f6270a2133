//! How long the feed keeps events. Its lanes are then divided in weeks, and a week expires as a
//! whole.
//!
//! All entries of a week expire at the same time, some days after the reading of that week has
//! ended. So whether a week is whole follows from the clock, whatever the store has removed yet.

use chrono::{DateTime, TimeDelta, Utc};

/// The shortest retention: a reader may be off for some days, and the weeks must be worth it.
const DAYS_MIN: u16 = 7;
/// The longest retention: a reader passes a hundred weeks.
const DAYS_MAX: u16 = 731;
/// How long a week can be read after its retention: a reader that begins in its last moment still
/// reaches the next one.
const GRACE: TimeDelta = TimeDelta::days(1);
/// How long its entries are stored after that: for clocks that differ, and slow readers.
const STORED: TimeDelta = TimeDelta::days(1);
/// The time after the end of a week at which no writer writes in it any more. Clocks may differ by
/// half of it.
pub(super) const LATE: TimeDelta = TimeDelta::hours(1);

/// The days for which the feed keeps events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedRetention(u16);

impl FeedRetention {
    /// The shortest one. It is assumed where a retention is not known.
    pub(super) const SHORTEST: Self = Self(DAYS_MIN);

    /// A retention of some days; `None` if they are too few or too many.
    #[must_use]
    pub fn of_days(days: u16) -> Option<Self> {
        (DAYS_MIN..=DAYS_MAX).contains(&days).then_some(Self(days))
    }

    /// Its days.
    #[must_use]
    pub fn days(self) -> u16 {
        self.0
    }

    fn delta(self) -> TimeDelta {
        TimeDelta::days(self.0.into())
    }

    /// The retention by which an entry of a week got its expiry.
    pub(super) fn of_expiry(week: FeedWeek, expires_at: DateTime<Utc>) -> Self {
        let days = (expires_at - week.end() - GRACE - STORED).num_days();
        Self(u16::try_from(days).unwrap_or(DAYS_MIN).clamp(DAYS_MIN, DAYS_MAX))
    }

    /// The first week that is kept at this time.
    pub(super) fn first_week(self, now: DateTime<Utc>) -> FeedWeek {
        FeedWeek::of(now - self.delta())
    }

    /// Whether a week may be read at this time, and has all its entries.
    pub(super) fn keeps(self, week: FeedWeek, now: DateTime<Utc>) -> bool {
        now < week.end() + self.delta() + GRACE
    }

    /// The time at which the store may remove the entries of a week.
    pub(super) fn expiry(self, week: FeedWeek) -> DateTime<Utc> {
        week.end() + self.delta() + GRACE + STORED
    }
}

/// A week, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedWeek(pub(super) u32);

impl FeedWeek {
    const SECONDS: i64 = 7 * 24 * 60 * 60;
    /// In the year 21135: a later week was forged, and has no time.
    pub(super) const LAST: Self = Self(1_000_000);

    /// The week of a time.
    #[must_use]
    pub fn of(at: DateTime<Utc>) -> Self {
        Self(u32::try_from(at.timestamp().div_euclid(Self::SECONDS)).unwrap_or(0))
    }

    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The time at which it begins.
    fn begin(self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::from(self.0) * Self::SECONDS)
    }

    /// The time at which it ends, and the next one begins.
    pub(super) fn end(self) -> DateTime<Utc> {
        self.next().begin()
    }

    /// The week in which a writer goes on that may write in this one or a later one: the present
    /// week, or the one before as long as that may have to be closed.
    pub(super) fn entered(self, now: DateTime<Utc>) -> Self {
        let present = Self::of(now);
        let may_be_open = now < present.begin() + LATE;
        self.max(if may_be_open { present.previous() } else { present })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        ledger::time::parse(text).unwrap()
    }

    #[test]
    fn a_retention_has_a_least_and_a_most() {
        for (days, fits) in [(0, false), (6, false), (7, true), (731, true), (732, false)] {
            assert_eq!(FeedRetention::of_days(days).is_some(), fits, "{days}");
        }
    }

    #[test]
    fn a_week_begins_where_the_one_before_ends() {
        let week = FeedWeek::of(at("2026-11-28T08:00:00.000000Z"));
        assert_eq!(week, FeedWeek(2969));
        assert_eq!(week.begin(), at("2026-11-26T00:00:00.000000Z"));
        assert_eq!(FeedWeek::of(week.end()), week.next());
        assert_eq!(FeedWeek::of(week.end() - TimeDelta::microseconds(1)), week);
    }

    #[test]
    fn a_week_is_stored_longer_than_it_is_kept_and_kept_longer_than_it_is_begun_with() {
        let (days, week) = (FeedRetention::of_days(30).unwrap(), FeedWeek(2970));
        let end = week.end() + TimeDelta::days(30);
        let moment = TimeDelta::microseconds(1);
        assert_eq!(days.first_week(end - moment), week);
        assert_eq!(days.first_week(end), week.next());
        assert!(days.keeps(week, end + TimeDelta::days(1) - moment));
        assert!(!days.keeps(week, end + TimeDelta::days(1)));
        assert_eq!(days.expiry(week), end + TimeDelta::days(2));
        assert_eq!(FeedRetention::of_expiry(week, days.expiry(week)), days);
        for strange in [DateTime::UNIX_EPOCH, week.end(), days.expiry(week.next())] {
            let read = FeedRetention::of_expiry(week, strange);
            assert!(FeedRetention::SHORTEST <= read && read.days() <= 37, "{strange}");
        }
    }

    #[test]
    fn a_writer_enters_the_present_week_and_at_its_begin_the_one_before() {
        let week = FeedWeek(2970);
        let (early, late) = (week.begin() + LATE - TimeDelta::seconds(1), week.begin() + LATE);
        for (from, now, to) in [
            (2900, late, 2970),
            (2900, early, 2969),
            (2969, early, 2969),
            (2970, early, 2970),
            (2970, late, 2970),
            // Of a writer whose clock is ahead.
            (2971, late, 2971),
        ] {
            assert_eq!(FeedWeek(from).entered(now), FeedWeek(to), "{from} {now}");
        }
    }
}
