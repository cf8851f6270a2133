//! The original service's form of every answer, for clients that request it.
//!
//! Every answer has HTTP status 200, with the real status in the body:
//! `{"statusCode":404,"body":{"error_message":"…"}}`.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::errors::PROBLEM_JSON;

/// Requests the original form with `1`.
const X_LEGACY_ENVELOPE: HeaderName = HeaderName::from_static("x-legacy-envelope");

#[derive(Serialize)]
struct ErrorEnvelope {
    #[serde(rename = "statusCode")]
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
}

/// Whether a request is about assets, and requests the original form.
pub(crate) fn is_wanted(request: &Request) -> bool {
    let path = request.uri().path();
    let original = path == "/asset" || path.starts_with("/asset/");
    original && request.headers().get(X_LEGACY_ENVELOPE).is_some_and(|value| value == "1")
}

/// Wraps an answer, unless it is not JSON.
pub(crate) async fn wrap(response: Response) -> Response {
    let form = response.headers().get(header::CONTENT_TYPE);
    let json = form.is_none_or(|form| form == "application/json" || form == PROBLEM_JSON);
    if json { wrapped_in_200(response).await } else { response }
}

async fn wrapped_in_200(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let failed = parts.headers.get(header::CONTENT_TYPE).is_some_and(|form| form == PROBLEM_JSON);
    let body =
        read(body).await.map(|body| if failed { message(body) } else { with_old_times(body) });
    let envelope = ErrorEnvelope { status_code: parts.status.as_u16(), body };
    parts.status = StatusCode::OK;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (parts, Json(envelope)).into_response()
}

/// The answer's JSON, which a handler has just built in memory; `None` for an empty one.
async fn read(body: Body) -> Option<Value> {
    let bytes = to_bytes(body, usize::MAX).await.ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn message(problem: Value) -> Value {
    let Value::Object(mut problem) = problem else { return problem };
    let message = problem.remove("error_message").unwrap_or_default();
    Value::Object(Map::from_iter([("error_message".to_owned(), message)]))
}

/// Writes times like the original: `+0000` for `Z`. Values that clients declared stay.
fn with_old_times(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.into_iter().map(with_old_time).collect()),
        Value::Array(items) => Value::Array(items.into_iter().map(with_old_times).collect()),
        other => other,
    }
}

fn with_old_time((name, value): (String, Value)) -> (String, Value) {
    let value = match (name.as_str(), value) {
        ("createdAt" | "updatedAt" | "expires_at" | "at", Value::String(time)) => {
            Value::String(time.replace('Z', "+0000"))
        }
        ("tags" | "data" | "headers", said) => said,
        (_, value) => with_old_times(value),
    };
    (name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_times_of_ours_are_rewritten() {
        let time = "2026-11-23T07:14:10.854685Z";
        let old = "2026-11-23T07:14:10.854685+0000";
        let value = json!({"filename": time, "tags": {"at": time}, "items": [{"at": time}]});
        let rewritten = json!({"filename": time, "tags": {"at": time}, "items": [{"at": old}]});
        assert_eq!(with_old_times(value), rewritten);
    }
}
