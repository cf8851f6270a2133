//! What every answer says of how it may be used.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// What browsers may do with an answer: nothing. The page of the documentation says more.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// Tells browsers and caches to be careful with every answer.
pub(crate) async fn secure(request: Request, next: Next) -> Response {
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
