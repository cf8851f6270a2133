//! `Range`: the requested bytes of an object. As in S3, one range is answered with a part; a
//! malformed range, another unit, and several ranges are answered with the whole.

use std::ops::Range;

use http::{HeaderMap, header};

/// The result of a range.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ByteRange {
    /// No range, or an ignored one.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// 416: there are no such bytes.
    Beyond,
}

/// The requested part of `size` bytes.
pub(super) fn asked(headers: &HeaderMap, size: u64) -> ByteRange {
    let mut lines = headers.get_all(header::RANGE).iter();
    let (line, more) = (lines.next().and_then(|line| line.to_str().ok()), lines.next());
    line.filter(|_| more.is_none()).and_then(|line| span(line, size)).unwrap_or(ByteRange::Whole)
}

/// `None` if it is not a range.
fn span(line: &str, size: u64) -> Option<ByteRange> {
    let (unit, set) = line.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let part = if first.is_empty() {
        size.saturating_sub(number(last)?)..size
    } else if last.is_empty() {
        number(first)?..size
    } else {
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        first..size.min(last.saturating_add(1))
    };
    Some(if part.is_empty() { ByteRange::Beyond } else { ByteRange::Part(part) })
}

/// A number that overflows is beyond every end.
fn number(digits: &str) -> Option<u64> {
    let fits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_part_or_beyond_or_none() {
        for (line, size, expected) in [
            ("bytes=0-0", 10, Some(ByteRange::Part(0..1))),
            ("bytes=3-", 10, Some(ByteRange::Part(3..10))),
            ("bytes=3-99", 10, Some(ByteRange::Part(3..10))),
            ("bytes=-3", 10, Some(ByteRange::Part(7..10))),
            ("bytes=-99", 10, Some(ByteRange::Part(0..10))),
            ("bytes=0-99999999999999999999", 10, Some(ByteRange::Part(0..10))),
            ("bytes=10-", 10, Some(ByteRange::Beyond)),
            ("bytes=99999999999999999999-", 10, Some(ByteRange::Beyond)),
            ("bytes=-0", 10, Some(ByteRange::Beyond)),
            ("bytes=0-", 0, Some(ByteRange::Beyond)),
            ("bytes=-1", 0, Some(ByteRange::Beyond)),
            ("bytes=2-1", 10, None),
            ("bytes=0-1,3-4", 10, None),
            ("bytes=0-1,", 10, None),
            ("bytes=-", 10, None),
            ("bytes=+1-2", 10, None),
            ("bytes=a-b", 10, None),
            ("bytes", 10, None),
            ("lines=0-1", 10, None),
        ] {
            assert_eq!(span(line, size), expected, "{line} of {size}");
        }
    }
}
