//! Security and cache headers of every answer.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The content policy of an answer: nothing is allowed. The documentation page has its own.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// Sets safe headers for browsers and caches on an answer.
pub(crate) fn secure(headers: &mut HeaderMap) {
    let mut unless_said = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    unless_said(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    unless_said(header::CONTENT_SECURITY_POLICY, NOTHING);
    unless_said(header::REFERRER_POLICY, "no-referrer");
    unless_said(header::CACHE_CONTROL, "no-cache");
}
