//! The headers of requests that may be sent again.

use axum::http::{HeaderMap, HeaderName};
use ledger::idempotency::{IdempotencyKey, KEY_MAX};
use utoipa::IntoParams;

use crate::http::errors::{Code, Problem};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The client's name for a request, as operations describe it. See [`key`].
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it only describes")]
pub(crate) struct IdempotencyHeader {
    /// The client's name for this request, which may then be sent again
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

/// The key of a subject's request, if it has one.
pub(crate) fn key(headers: &HeaderMap, subject: &str) -> Result<Option<IdempotencyKey>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let name = value.to_str().ok().filter(|_| values.next().is_none());
    let key = name.and_then(|name| IdempotencyKey::new(subject, name));
    let detail =
        || format!("Idempotency-Key: must be one value of 1 to {KEY_MAX} visible ASCII characters");
    key.map(Some).ok_or_else(|| Problem::new(Code::IdempotencyKeyInvalid, detail()))
}

/// Refuses a key that is not a number from 1 to `most`: so many creations have a key of their own.
pub(crate) fn numbered(headers: &HeaderMap, most: u32) -> Result<(), Problem> {
    let value = headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok());
    let number = value.and_then(|text| Some((text, text.parse::<u32>().ok()?)));
    let fits =
        |(text, number): (&str, u32)| (1..=most).contains(&number) && number.to_string() == text;
    let detail = || format!("Idempotency-Key: must be a number from 1 to {most} with this token");
    let refused = || Problem::new(Code::IdempotencyKeyInvalid, detail());
    number.is_some_and(fits).then_some(()).ok_or_else(refused)
}

/// The header of an answer to a command that was executed before.
pub(crate) type Replayed = Option<[(HeaderName, &'static str); 1]>;

/// The header, if the command was executed before.
pub(crate) fn replayed(before: bool) -> Replayed {
    before.then_some([(IDEMPOTENCY_REPLAYED, "true")])
}
