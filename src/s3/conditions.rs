//! The conditions of a read, as in RFC 9110: unreadable conditions are ignored, tags can be a list,
//! and a time counts only without a tag. s3s refuses all of these.

use std::time::{Duration, SystemTime};

use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, HeaderValue};

/// The values of an object that conditions compare.
pub(super) struct Validators<'a> {
    /// The tag, without its quotes.
    pub(super) etag: &'a str,
    /// The time of its last change, in whole seconds.
    pub(super) modified: SystemTime,
}

/// The result of the conditions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConditionOutcome {
    /// They hold, or there are none.
    Read,
    /// 304: the caller has the current object.
    Unchanged,
    /// 412.
    Failed,
}

/// Evaluates the conditions in the order of RFC 9110, section 13.2.2.
pub(super) fn weigh(headers: &HeaderMap, object: &Validators<'_>) -> ConditionOutcome {
    let failed = match tags(headers, &IF_MATCH) {
        Some(wanted) => !names(&wanted, object.etag, false),
        None => date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|time| object.modified > time),
    };
    if failed {
        return ConditionOutcome::Failed;
    }
    let known = match tags(headers, &IF_NONE_MATCH) {
        Some(known) => names(&known, object.etag, true),
        None => date(headers, &IF_MODIFIED_SINCE).is_some_and(|time| object.modified <= time),
    };
    if known { ConditionOutcome::Unchanged } else { ConditionOutcome::Read }
}

/// Whether a range may be answered with a part: not if the caller has a part of another object.
pub(super) fn same(headers: &HeaderMap, object: &Validators<'_>) -> bool {
    let Some(validator) = headers.get(IF_RANGE).map(HeaderValue::to_str) else { return true };
    let Ok(validator) = validator else { return false };
    match httpdate::parse_http_date(validator) {
        Ok(time) => object.modified == time,
        Err(_) => names(validator, object.etag, false),
    }
}

/// HTTP's times have no fractions.
pub(super) fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// All lines of a header as one list.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    let lines: Vec<_> = lines.collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// Whether a list of tags contains this one. Like S3, it accepts a tag without its quotes too.
fn names(list: &str, etag: &str, weakly: bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let mut rest = list.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (weak, tag) = rest.strip_prefix("W/").map_or((false, rest), |tag| (true, tag));
        let quoted = tag.strip_prefix('"').and_then(|tag| tag.split_once('"'));
        let (value, after) = quoted.unwrap_or_else(|| tag.split_once(',').unwrap_or((tag, "")));
        if value.trim() == etag && (weakly || !weak) {
            return true;
        }
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_any_list() {
        for (list, strongly, weakly) in [
            ("\"a\"", true, true),
            ("a", true, true),
            ("*", true, true),
            ("W/\"a\"", false, true),
            ("\"b\", \"a\"", true, true),
            ("\"b\",W/\"a\" , \"c\"", false, true),
            (" , \"a\"", true, true),
            ("b , a", true, true),
            ("\"b,a\"", false, false),
            ("\"a", false, false),
            ("\"", false, false),
            ("", false, false),
            ("\"b\"", false, false),
        ] {
            assert_eq!(
                (names(list, "a", false), names(list, "a", true)),
                (strongly, weakly),
                "{list}"
            );
        }
    }
}
