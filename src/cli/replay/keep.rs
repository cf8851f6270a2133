//! A duration on the command line.

use chrono::TimeDelta;

/// The longest period to keep old rows: until its end each change is written once more.
const LONGEST: TimeDelta = TimeDelta::days(30);

/// Reads `90s`, `15m`, `1h`, `7d`; at most 30 days.
pub(in crate::cli) fn parse(text: &str) -> Result<TimeDelta, String> {
    let keep = duration(text)?;
    if keep > LONGEST {
        return Err(format!("{text} is longer than {} days", LONGEST.num_days()));
    }
    Ok(keep)
}

/// The same of any length.
pub(in crate::cli) fn duration(text: &str) -> Result<TimeDelta, String> {
    let form = || format!("{text:?} is not a duration: write 90s, 15m, 1h or 7d");
    let unit = text.chars().last().ok_or_else(form)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(form()),
    };
    let count = text.strip_suffix(unit).and_then(|count| count.parse::<u32>().ok());
    let count = count.ok_or_else(form)?;
    Ok(TimeDelta::seconds(i64::from(count) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        for (text, seconds) in
            [("0s", 0), ("90s", 90), ("15m", 900), ("1h", 3_600), ("30d", 2_592_000)]
        {
            assert_eq!(parse(text), Ok(TimeDelta::seconds(seconds)), "{text}");
        }
        for text in ["", "h", "1", "1w", "-1h", "1.5h", "1 h", "31d", "99999999999s", "1hh"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
