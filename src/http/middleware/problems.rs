//! Writes every error as problem details, from any part of the service.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::request_id::RequestId;
use crate::http::errors::{PROBLEM_JSON, Problem};

/// Writes every answer that is an error as problem details. The router's own errors, for an unknown
/// path or method, have a status only.
pub(crate) fn render(mut response: Response, id: &RequestId) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let told = response.extensions_mut().remove::<Problem>();
    let problem = told.unwrap_or_else(|| Problem::of_status(status));
    write(&problem, status, id, &response)
}

fn write(problem: &Problem, status: StatusCode, id: &RequestId, told: &Response) -> Response {
    let mut response = (status, Json(problem.body(status, id.as_str()))).into_response();
    if let Some(allow) = told.headers().get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    if let Some(challenge) = problem.challenge().and_then(|it| HeaderValue::try_from(it).ok()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = problem.retry() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    let form = HeaderValue::from_static(PROBLEM_JSON);
    response.headers_mut().insert(header::CONTENT_TYPE, form);
    response
}
