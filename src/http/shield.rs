//! What stands between a handler and the world: no request lasts for ever, no bug ends the process,
//! and every answer says how it may be used.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio::time::{Instant, timeout};

use super::Api;
use super::code::Code;
use super::problem::Problem;

/// What browsers may do with an answer: nothing. The page of the documentation says more.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// Ends a request that lasts too long. What it appended by then stays appended.
pub(super) async fn deadline(State(api): State<Api>, request: Request, next: Next) -> Response {
    let told = timeout(api.limits.deadline, next.run(request)).await;
    told.unwrap_or_else(|_| {
        tracing::warn!("a request reached its deadline");
        Problem::new(Code::RequestTimeout, "the request took too long; try again").into_response()
    })
}

/// Answers for a handler that panicked.
pub(super) async fn catch(request: Request, next: Next) -> Response {
    let caught = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    caught.unwrap_or_else(|panic| {
        tracing::error!(panic = message(panic.as_ref()), "a handler panicked");
        let detail = "something went wrong here; the log knows more";
        Problem::new(Code::Internal, detail).into_response()
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of an unknown kind")
}

/// Writes the access log: the route, never the query or an id, which may be anything.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let (status, ms) = (response.status().as_u16(), started.elapsed().as_secs_f64() * 1_000.0);
    tracing::info!(%method, route, status, ms, "answered");
    response
}

/// Tells browsers and caches to be careful with every answer.
pub(super) async fn careful(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut unless_said = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    unless_said(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    unless_said(header::CONTENT_SECURITY_POLICY, NOTHING);
    unless_said(header::REFERRER_POLICY, "no-referrer");
    unless_said(header::CACHE_CONTROL, "no-cache");
    response
}
