//! Points in time as they are stored and shown: RFC 3339, UTC, `Z`, always six digits.

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};

/// Events happen at this time or later: ids count from here.
pub const FIRST: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Events happen before this time, in the last year that the stored form can express, so that a
/// time after any event exists.
pub const END: DateTime<Utc> = match DateTime::from_timestamp(253_370_764_800, 0) {
    Some(end) => end,
    None => DateTime::<Utc>::MAX_UTC,
};

/// Whether an event can have this time: [`FIRST`] or later, before [`END`].
#[must_use]
pub fn is_recordable(at: DateTime<Utc>) -> bool {
    (FIRST..END).contains(&at)
}

/// The stored form: `2026-11-23T08:00:00.000000Z`.
#[must_use]
pub fn format(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Reads the stored form and no other, so that a time has one spelling.
#[must_use]
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 27 && bytes[10] == b'T' && bytes[26] == b'Z' && bytes[19] == b'.';
    let at = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (shaped && at.timestamp_subsec_nanos() < 1_000_000_000).then_some(at)
}

/// The time of an event: now, but always later than the previous event.
#[must_use]
pub fn after(previous: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    let now = now.trunc_subsecs(6);
    previous.map_or(now, |previous| now.max(previous + TimeDelta::microseconds(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_spelling() {
        let text = "2026-11-23T08:00:00.000120Z";
        assert_eq!(parse(text).map(format).as_deref(), Some(text));
        for other in [
            "2026-11-23T08:00:00Z",
            "2026-11-23T08:00:00.00012Z",
            "2026-11-23T08:00:00.000120+00:00",
            "2026-11-23 08:00:00.000120Z",
            "2026-11-23T08:00:00.000120z",
            "2026-11-23T08:00:60.000120Z",
            "2026-13-23T08:00:00.000120Z",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_last_year_that_can_be_written_is_not_for_events() {
        assert_eq!(format(END), "9999-01-01T00:00:00.000000Z");
        assert!(is_recordable(FIRST) && is_recordable(END - TimeDelta::microseconds(1)));
        assert!(!is_recordable(END) && !is_recordable(FIRST - TimeDelta::microseconds(1)));
    }

    #[test]
    fn time_never_stands_still_for_an_asset() {
        let noon = parse("2026-11-23T12:00:00.000000Z").unwrap();
        let tick = TimeDelta::microseconds(1);
        assert_eq!(after(None, noon), noon);
        assert_eq!(after(Some(noon), noon), noon + tick);
        assert_eq!(after(Some(noon), noon - TimeDelta::days(1)), noon + tick);
        assert_eq!(after(Some(noon), noon + tick * 9), noon + tick * 9);
    }
}
