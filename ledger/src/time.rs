//! Points in time as they are stored and shown: RFC 3339, UTC, `Z`, always six digits.

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, SubsecRound, TimeDelta, Timelike, Utc};

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
    format_digits(at).unwrap_or_else(|| at.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// The same, for every time of an event; `None` for a year that does not have four digits, and
/// within a leap second.
fn format_digits(at: DateTime<Utc>) -> Option<String> {
    let year = u32::try_from(at.year()).ok().filter(|year| *year <= 9999)?;
    let micros = Some(at.timestamp_subsec_micros()).filter(|micros| *micros < 1_000_000)?;
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let numbers = [
        (year, 0..4),
        (at.month(), 5..7),
        (at.day(), 8..10),
        (at.hour(), 11..13),
        (at.minute(), 14..16),
        (at.second(), 17..19),
        (micros, 20..26),
    ];
    for (mut number, place) in numbers {
        for digit in text[place].iter_mut().rev() {
            *digit = b"0123456789"[(number % 10) as usize];
            number /= 10;
        }
    }
    std::str::from_utf8(&text).ok().map(str::to_owned)
}

/// Reads the stored form and no other, so that a time has one spelling.
#[must_use]
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let bytes: &[u8; 27] = text.as_bytes().try_into().ok()?;
    let fits =
        |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    if !bytes.iter().zip(b"0000-00-00T00:00:00.000000Z").all(fits) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
    let year = i32::try_from(number(&bytes[..4])).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&bytes[5..7]), number(&bytes[8..10]))?;
    let [hour, minute, second] = [11, 14, 17].map(|at| number(&bytes[at..at + 2]));
    let at = date.and_hms_micro_opt(hour, minute, second, number(&bytes[20..26]))?;
    Some(at.and_utc())
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

    /// Reads more than [`parse`]: a time is read if it is written in the same way again.
    fn spelled(text: &str) -> Option<DateTime<Utc>> {
        let at = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
        Some(at).filter(|at| format(*at) == text && at.timestamp_subsec_nanos() < 1_000_000_000)
    }

    #[test]
    fn a_time_is_read_if_it_is_written_so() {
        for text in ["2026-11-23T08:00:00.000120Z", "1999-02-28T23:59:59.999999Z"] {
            for (at, byte) in (0..27).flat_map(|at| (0..128).map(move |byte| (at, byte))) {
                let mut other = text.to_owned();
                other.replace_range(at..=at, &char::from(byte).to_string());
                assert_eq!(parse(&other), spelled(&other), "{other}");
            }
        }
        for other in [
            "2024-02-29T24:00:00.000000Z",
            "2023-02-29T08:00:00.000000Z",
            "0000-01-01T00:00:00.000000Z",
            "2024-02-29T00:00:00.000000Z",
            "2024-00-10T00:00:00.000000Z",
            "2024-04-31T00:00:00.000000Z",
            "2024-04-30T00:60:00.000000Z",
        ] {
            assert_eq!(parse(other), spelled(other), "{other}");
        }
    }

    #[test]
    fn a_time_is_written_as_rfc_3339_says() {
        let written = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let leap = FIRST.date_naive().and_hms_micro_opt(23, 59, 59, 1_999_999).unwrap().and_utc();
        let edges = [FIRST, END, leap, DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC];
        let steps =
            (0..20_000).map(|step| FIRST + TimeDelta::nanoseconds(1_234_567_890_123_457) * step);
        let years = (-2..10_002).filter_map(|year| NaiveDate::from_ymd_opt(year, 12, 31));
        let years =
            years.filter_map(|day| Some(day.and_hms_micro_opt(23, 59, 59, 999_999)?.and_utc()));
        for at in edges.into_iter().chain(steps).chain(years) {
            assert_eq!(format(at), written(at));
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
