//! Strict parsing of paths, queries and headers: anything invalid is refused before any other work.

use std::time::Duration;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use ledger::asset::{AssetStatus, Event, InvalidField, Reason};
use ledger::id::AssetId;
use ledger::url_log::UrlLogCursor;
use projections::feed::FeedCursor;
use utoipa::IntoParams;

use crate::http::errors::{Code, Problem};
use crate::percent::decode_form;

/// Items of a page by default.
pub(crate) const PAGE: usize = 100;
/// Items of a page at most.
pub(crate) const PAGE_MAX: usize = 1000;
/// Bytes of an actor: the limit in an event.
pub(crate) const ACTOR_MAX: usize = 128;
/// Bytes of a position in the feed: more than any has.
pub(crate) const AFTER_MAX: usize = 512;
/// A version that no asset has.
const NO_VERSION: u64 = 0;

/// The asset in a path.
#[derive(IntoParams)]
#[into_params(names("id"), parameter_in = Path)]
pub(crate) struct PathId(
    /// The asset's id
    #[param(value_type = String)]
    pub(crate) AssetId,
);

/// The version that a client names, as operations describe it. See [`if_match`].
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it only describes")]
pub(crate) struct IfMatchHeader {
    /// The version it must be at, in quotes
    #[param(rename = "If-Match")]
    version: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        // Bytes that are not text are not an id.
        let Ok(Path(text)) = text else { return Err(Problem::not_found("\u{FFFD}")) };
        // RFC 9562: hex digits in either case are the same id.
        text.to_ascii_lowercase().parse().map(Self).map_err(|_| Problem::not_found(&text))
    }
}

/// The parameters of a query that were not taken yet. A parameter that is not percent-coded UTF-8
/// has no value here, which matters only when it is taken.
#[derive(Debug)]
pub(crate) struct QueryParams(Vec<(String, Option<String>)>);

impl<S: Sync> FromRequestParts<S> for QueryParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

impl QueryParams {
    fn read(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_form(name).unwrap_or_else(|| name.to_owned()), decode_form(value))
        });
        Self(decoded.collect())
    }

    /// Takes the reason of a change. An empty one is none.
    pub(crate) fn take_reason(&mut self) -> Result<Option<Reason>, Problem> {
        let reason = self.take("reason")?.filter(|text| !text.is_empty()).map(Reason::new);
        let told = |invalid: InvalidField| Problem::new(Code::QueryInvalid, invalid.to_string());
        reason.transpose().map_err(told)
    }

    /// Takes a parameter, which may occur once.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut taken = self.0.extract_if(.., |(key, _)| key == name);
        let (first, second) = (taken.next(), taken.next());
        drop(taken);
        let wrong = |how: &str| Problem::new(Code::QueryInvalid, format!("{name}: {how}"));
        if second.is_some() {
            return Err(wrong("is given twice"));
        }
        let value =
            first.map(|(_, value)| value.ok_or_else(|| wrong("is not percent-coded UTF-8")));
        value.transpose()
    }

    /// Refuses all parameters: the raw form is always complete.
    pub(crate) fn done_raw(self) -> Result<(), Problem> {
        let Some((name, _)) = self.0.first() else { return Ok(()) };
        let name: String = name.chars().take(64).collect();
        let detail = format!(
            "{name:?}: cannot be given with Accept: application/jsonl, which is the whole chain, \
             since a part of it proves nothing"
        );
        Err(Problem::new(Code::QueryInvalid, detail))
    }

    /// Refuses parameters that were not taken: a misspelt filter must not match everything.
    pub(crate) fn done(self) -> Result<(), Problem> {
        let Some((name, _)) = self.0.first() else { return Ok(()) };
        let name: String = name.chars().take(64).collect();
        Err(Problem::new(Code::QueryInvalid, format!("{name:?}: is not a parameter of this path")))
    }
}

/// A whole number in ASCII digits, from 1; one that overflows is the maximum.
fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let value = digits.then(|| text.parse().unwrap_or(u64::MAX));
    value.filter(|value| *value >= 1)
}

/// The lifetime of a download URL: as requested, but no longer than `max`.
pub(crate) fn timeout(
    text: Option<&str>,
    default: Duration,
    max: Duration,
) -> Result<Duration, Problem> {
    let asked = text.map(|text| {
        let detail = "timeout: must be a whole number of seconds, 1 or more, in digits";
        whole(text).map(Duration::from_secs).ok_or(Problem::new(Code::TimeoutInvalid, detail))
    });
    Ok(asked.transpose()?.unwrap_or(default).min(max))
}

/// The number of items of a page.
pub(crate) fn limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(PAGE) };
    let value = whole(text).and_then(|value| usize::try_from(value).ok());
    value.filter(|value| *value <= PAGE_MAX).ok_or_else(|| {
        Problem::new(Code::LimitInvalid, format!("limit: must be a number from 1 to {PAGE_MAX}"))
    })
}

fn bad_cursor() -> Problem {
    Problem::new(Code::CursorInvalid, "cursor: must be the next_cursor of the page before")
}

/// The last asset of the previous page of a list; an empty cursor is the first page.
pub(crate) fn asset_cursor(text: Option<&str>) -> Result<Option<AssetId>, Problem> {
    let text = text.filter(|text| !text.is_empty()).map(str::to_ascii_lowercase);
    text.map(|text| text.parse().map_err(|_| bad_cursor())).transpose()
}

/// The last version of the previous page of a history; an empty cursor is the first page.
pub(crate) fn version_cursor(text: Option<&str>) -> Result<u64, Problem> {
    text.filter(|text| !text.is_empty()).map_or(Ok(0), |text| {
        whole(text).filter(|version| *version < u64::MAX).ok_or_else(bad_cursor)
    })
}

/// The place after the previous page of an access log; an empty cursor is the first page.
pub(crate) fn urls_cursor(text: Option<&str>) -> Result<Option<UrlLogCursor>, Problem> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| bad_cursor())).transpose()
}

/// The state that a list selects.
pub(crate) fn state(text: Option<&str>) -> Result<Option<AssetStatus>, Problem> {
    let listed =
        [AssetStatus::Created, AssetStatus::Received, AssetStatus::Uploaded, AssetStatus::Deleted];
    let Some(text) = text else { return Ok(None) };
    let found = listed.into_iter().find(|status| status.shown() == text);
    let names = "state: must be one of CREATED, RECEIVED, UPLOADED, DELETED";
    found.map(Some).ok_or_else(|| Problem::new(Code::StateInvalid, names))
}

/// The version to show an asset at.
pub(crate) fn version(text: &str) -> Result<u64, Problem> {
    let detail = "version: must be a whole number, 1 or more, in digits";
    whole(text).ok_or_else(|| Problem::new(Code::VersionInvalid, detail))
}

/// The time to show an asset at.
pub(crate) fn as_of(text: &str) -> Result<DateTime<Utc>, Problem> {
    let detail = "as_of: must be an RFC 3339 time such as 2026-11-23T08:00:00Z";
    rfc_3339(text).ok_or_else(|| Problem::new(Code::AsOfInvalid, detail))
}

/// Refuses a future time, at which the state is unknown. The time of an existing event is never in
/// the future, at any clock of this machine.
pub(crate) fn past(
    at: DateTime<Utc>,
    now: DateTime<Utc>,
    last_event: DateTime<Utc>,
) -> Result<(), Problem> {
    let to_come = at > now.max(last_event);
    if to_come { Err(Problem::new(Code::AsOfInvalid, "as_of: is a time to come")) } else { Ok(()) }
}

/// The first time of a selection, and the first one after it.
type TimeBounds = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// The parameters `since` and `until` of a selection of events.
pub(crate) fn between(given: &mut QueryParams) -> Result<TimeBounds, Problem> {
    let since = time("since", Code::SinceInvalid, given.take("since")?.as_deref())?;
    let until = time("until", Code::UntilInvalid, given.take("until")?.as_deref())?;
    if since.is_some_and(|since| until.is_some_and(|until| until <= since)) {
        let detail = "until: must be later than since, or nothing can be between them";
        return Err(Problem::new(Code::UntilInvalid, detail));
    }
    Ok((since, until))
}

/// A time bound of a selection of events; it may be in the future.
fn time(name: &str, code: Code, text: Option<&str>) -> Result<Option<DateTime<Utc>>, Problem> {
    let detail = || format!("{name}: must be an RFC 3339 time such as 2026-11-23T08:00:00Z");
    let at = text.map(|text| rfc_3339(text).ok_or_else(|| Problem::new(code, detail())));
    at.transpose()
}

/// An unencoded `+` of an offset is decoded from a query as a space, which no RFC 3339 time
/// contains.
fn rfc_3339(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok()?.to_utc())
}

/// The type of selected events.
pub(crate) fn kind(text: Option<String>) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let known = Event::KINDS.contains(&text.as_str());
    let detail = || format!("type: must be one of {}", Event::KINDS.join(", "));
    if known { Ok(Some(text)) } else { Err(Problem::new(Code::TypeInvalid, detail())) }
}

/// The actor of selected events.
pub(crate) fn actor(text: Option<String>) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let detail = || format!("actor: must be 1 to {ACTOR_MAX} bytes, as a history shows it");
    let fits = (1..=ACTOR_MAX).contains(&text.len());
    if fits { Ok(Some(text)) } else { Err(Problem::new(Code::ActorInvalid, detail())) }
}

/// The position of a reader of the feed; an empty one is the beginning.
pub(crate) fn after(text: Option<String>) -> Result<Option<FeedCursor>, Problem> {
    let text = text.filter(|text| !text.is_empty());
    let fits = text.as_ref().is_none_or(|text| text.len() <= AFTER_MAX);
    if fits { Ok(text.map(FeedCursor)) } else { Err(bad_after()) }
}

/// The cursor is of another feed.
pub(crate) fn bad_after() -> Problem {
    let detail = "after: must be the next of a page of this ledger as it is now; leave it out to \
                  begin with the first event";
    Problem::new(Code::AfterInvalid, detail)
}

/// Events after the cursor may have expired.
pub(crate) fn expired_after() -> Problem {
    let detail = "after: is older than this feed keeps events, so some were missed; begin again \
                  without it, and read the histories of the assets, which keep all events";
    Problem::new(Code::AfterExpired, detail)
}

/// The version that an asset must have, if the client names one. `*` means any. A tag that was
/// never issued (weak, or of another form) matches no asset.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let tag = value.to_str().ok().filter(|_| values.next().is_none()).map(str::trim);
    if tag == Some("*") {
        return Ok(None);
    }
    let detail = "If-Match: must be one entity tag such as \"3\", or *";
    let expected = tag.and_then(tagged_version);
    expected.map(Some).ok_or_else(|| Problem::new(Code::IfMatchInvalid, detail))
}

/// The version in an entity tag; `None` for any other text.
fn tagged_version(tag: &str) -> Option<u64> {
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    let text = quoted.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('"'))?;
    let version = text.parse::<u64>().ok().filter(|version| tag == format!("\"{version}\""));
    Some(version.unwrap_or(NO_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);

    fn tagged(values: &[&str]) -> Result<Option<u64>, ()> {
        let value = |value: &&str| (header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in values.iter().map(value) {
            headers.append(name, value);
        }
        if_match(&headers).map_err(|_| ())
    }

    #[test]
    fn a_parameter_is_taken_once() {
        let mut params = QueryParams::read("a=1&b=2&&c&a=3&d=x=y&e=%ff");
        assert!(params.take("a").is_err());
        assert_eq!(params.take("b").unwrap().as_deref(), Some("2"));
        assert_eq!(params.take("b").unwrap(), None);
        assert_eq!(params.take("c").unwrap().as_deref(), Some(""));
        assert!(QueryParams::read("d=x=y").done().is_err());
        assert_eq!(params.take("d").unwrap().as_deref(), Some("x=y"));
        assert!(params.take("e").is_err());
        assert!(params.done().is_ok());
    }

    #[test]
    fn whole_numbers_are_ascii_digits_from_one() {
        for (text, value) in [("1", 1), ("007", 7), ("18446744073709551616", u64::MAX)] {
            assert_eq!(whole(text), Some(value));
        }
        for text in ["", "0", "000", "-1", "+1", " 1", "1 ", "1.0", "1e3", "\u{663}", "１", "0x1"]
        {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn a_timeout_is_never_longer_than_the_maximum() {
        let read = |text| timeout(text, MINUTE, HOUR).unwrap().as_secs();
        assert_eq!([read(None), read(Some("1")), read(Some("3600"))], [60, 1, 3600]);
        assert_eq!([read(Some("3601")), read(Some(&"9".repeat(400)))], [3600, 3600]);
        assert_eq!(timeout(None, HOUR, MINUTE).unwrap(), MINUTE);
    }

    #[test]
    fn pages_have_limits_and_places() {
        assert_eq!([limit(None).unwrap(), limit(Some("1000")).unwrap()], [100, 1000]);
        assert!(limit(Some("1001")).is_err() && limit(Some("0")).is_err());
        assert_eq!([version_cursor(None).unwrap(), version_cursor(Some("7")).unwrap()], [0, 7]);
        assert!(version_cursor(Some("0")).is_err());
        assert!(version_cursor(Some("18446744073709551615")).is_err());
        assert!(asset_cursor(Some("none")).is_err() && asset_cursor(None).unwrap().is_none());
        assert!(asset_cursor(Some("")).unwrap().is_none());
        assert_eq!(version_cursor(Some("")).unwrap(), 0);
        assert!(after(Some(String::new())).unwrap().is_none());
    }

    #[test]
    fn a_time_has_any_offset_and_is_not_to_come() {
        let now = ledger::time::parse("2026-11-23T08:00:00.000000Z").unwrap();
        for text in
            ["2026-11-23T08:00:00Z", "2026-11-23T09:00:00+01:00", "2026-11-23T09:00:00 01:00"]
        {
            assert_eq!(as_of(text).unwrap(), now, "{text}");
        }
        for text in [
            "",
            "2026-11-23T08:00:00",
            "2026-11-23 08:00:00Z",
            "2026-11-23T08:00:00+1",
            "1763884800",
            "+292277026596-12-04T15:30:08Z",
        ] {
            assert!(as_of(text).is_err(), "{text}");
        }
        let (micro, hour) = (chrono::TimeDelta::microseconds(1), chrono::TimeDelta::hours(1));
        assert!(past(now, now, now - hour).is_ok());
        assert!(past(now + micro, now, now - hour).is_err());
        assert!(past(now + hour, now, now + hour).is_ok(), "the clock is behind the last event");
        assert!(past(now + hour + micro, now, now + hour).is_err());
    }

    #[test]
    fn a_version_is_named_by_a_strong_tag_in_quotes() {
        assert_eq!(tagged(&[]), Ok(None));
        assert_eq!(tagged(&["*"]), Ok(None));
        assert_eq!(tagged(&[" \"3\" "]), Ok(Some(3)));
        for never in ["W/\"3\"", "\"03\"", "\"x\"", "\"\"", "\"18446744073709551616\""] {
            assert_eq!(tagged(&[never]), Ok(Some(NO_VERSION)), "{never}");
        }
        for malformed in ["", "3", "\"", "\"3", "\"3\", \"4\"", "**", "w/\"3\""] {
            assert_eq!(tagged(&[malformed]), Err(()), "{malformed}");
        }
        assert_eq!(tagged(&["\"3\"", "\"3\""]), Err(()));
    }
}
