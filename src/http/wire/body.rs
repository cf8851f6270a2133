//! Reads a request's body: within its limits, as JSON, with an error for each invalid field.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, Error};
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::http::errors::{Code, Problem};

/// Bytes of a body: many times the size of a full declaration.
const BODY_MAX: usize = 64 << 10;
/// The time limit for a body: 64 KiB over a bad telephone line.
const BODY_WAIT: Duration = Duration::from_secs(20);
/// Characters of a field's name in an error.
const SHOWN_MAX: usize = 64;
/// The start of serde's errors about an unknown field, and about a duplicate one.
const UNKNOWN: &str = "unknown field `";
const DUPLICATE: &str = "duplicate field `";

/// The body, a JSON object; `None` if there is none.
pub(crate) async fn json<T: DeserializeOwned>(request: Request) -> Result<Option<T>, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read(body).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    check_is_json(&parts.headers)?;
    object(&bytes).map(Some)
}

/// The body, or a field of it, cannot be taken.
pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::BodyInvalid, detail)
}

/// No body at all, for paths without one.
pub(crate) struct NoBody;

impl<S: Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read(request.into_body()).await?;
        if bytes.is_empty() { Ok(Self) } else { Err(invalid("this path takes no body")) }
    }
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(Code::BodyTooLarge, format!("the body is over {BODY_MAX} bytes"));
    if body.size_hint().lower() > BODY_MAX as u64 {
        return Err(too_large());
    }
    match timeout(BODY_WAIT, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(invalid("the body ended before its end")),
        Err(_) => Err(Problem::new(Code::BodyTimeout, "the body did not come; send it again")),
    }
}

fn check_is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(Code::BodyUnsupported, "a body must be of Content-Type application/json"))
}

/// Reads a JSON object.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let none = "the body is not a JSON object";
    let text: &RawValue =
        serde_json::from_slice(bytes).map_err(|error| invalid(format!("{none}: {error}")))?;
    if !text.get().starts_with('{') {
        return Err(invalid(none));
    }
    let mut reader = serde_json::Deserializer::from_str(text.get());
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        invalid(fault(&path, &error.into_inner().to_string()))
    })
}

/// The error of a field, without its value.
fn fault(path: &str, error: &str) -> String {
    let error = error.rsplit_once(" at line ").map_or(error, |(error, _)| error);
    let expected = error.rsplit_once(", expected ").map(|(_, expected)| expected);
    if error.starts_with(UNKNOWN) {
        let known = expected.unwrap_or_default().trim_start_matches("one of ").replace('`', "");
        let known = match known.rsplit_once(", ") {
            Some((most, last)) => format!("{most} and {last}"),
            None => known,
        };
        return format!("{}: is not a known field; known are {known}", shown(path));
    }
    let place = match path {
        "." => "the body".to_owned(),
        path => path.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect(),
    };
    if let Some(name) = error.strip_prefix(DUPLICATE) {
        return format!("{}: is in {place} twice", shown(name.strip_suffix('`').unwrap_or(name)));
    }
    match expected {
        Some(expected) => format!("{place}: must be {expected}"),
        None => format!("{place}: {error}"),
    }
}

fn shown(name: &str) -> String {
    format!("{:?}", name.chars().take(SHOWN_MAX).collect::<String>())
}

/// Refuses a duplicate name in an object, as serde does for the fields of a struct.
pub(super) fn duplicate<E: Error>(name: &str) -> E {
    E::custom(format!("{DUPLICATE}{name}`"))
}
