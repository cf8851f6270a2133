//! Answers that are errors, in S3's words and with S3's headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use ledger::error::{Kind, StoreError, chain};
use s3s::{S3Error, S3ErrorCode as Code, s3_error};

/// A store that failed us: the client hears that, the log hears why.
pub(super) fn failed(error: &StoreError) -> S3Error {
    tracing::error!(kind = ?error.kind, cause = %chain(error), "the local bucket failed");
    match error.kind {
        Kind::Unavailable | Kind::Throttled => s3_error!(ServiceUnavailable, "Try again later."),
        Kind::Corrupt | Kind::Newer | Kind::Misconfigured => {
            s3_error!(InternalError, "The log says why.")
        }
    }
}

/// A key whose current version is a delete marker: not there, and S3 says what hides it.
pub(super) fn hidden(version_id: &str) -> S3Error {
    marked(Code::NoSuchKey, version_id)
}

/// A delete marker asked for by name: it has no bytes to get.
pub(super) fn marker(version_id: &str) -> S3Error {
    let mut error = marked(Code::MethodNotAllowed, version_id);
    if let Some(headers) = error.headers() {
        let mut headers = headers.clone();
        headers.insert(http::header::ALLOW, HeaderValue::from_static("DELETE"));
        error.set_headers(headers);
    }
    error
}

fn marked(code: Code, version_id: &str) -> S3Error {
    let mut headers = HeaderMap::new();
    // s3s lets these replace its own.
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    headers
        .insert(HeaderName::from_static("x-amz-delete-marker"), HeaderValue::from_static("true"));
    if let Ok(id) = HeaderValue::from_str(version_id) {
        headers.insert(HeaderName::from_static("x-amz-version-id"), id);
    }
    let mut error = S3Error::new(code);
    error.set_headers(headers);
    error
}
