//! Error answers, with S3's messages and headers.

use http::{HeaderName, HeaderValue, header};
use ledger::error::{StoreError, StoreErrorKind, chain};
use s3s::{Body, HttpResponse, S3Error, S3ErrorCode as Code, s3_error};

use super::event::REGION;

/// A failed store: the client gets the error, the log gets the cause.
pub(super) fn failed(error: &StoreError) -> S3Error {
    tracing::error!(kind = ?error.kind, cause = %chain(error), "the local bucket failed");
    match error.kind {
        StoreErrorKind::Unavailable | StoreErrorKind::Throttled => {
            s3_error!(ServiceUnavailable, "Try again later.")
        }
        StoreErrorKind::Corrupt | StoreErrorKind::Newer | StoreErrorKind::Misconfigured => {
            s3_error!(InternalError, "The log says why.")
        }
    }
}

/// A key whose current version is a delete marker: not found, with S3's header for the marker.
pub(super) fn hidden(version_id: &str) -> S3Error {
    with_headers(Code::NoSuchKey, of_marker(version_id))
}

/// A delete marker requested by its id: it has no bytes.
pub(super) fn marker(version_id: &str) -> S3Error {
    let allowed = (header::ALLOW, HeaderValue::from_static("DELETE"));
    with_headers(Code::MethodNotAllowed, of_marker(version_id).chain([allowed]))
}

/// A range that starts after the last byte.
pub(super) fn beyond(size: u64) -> S3Error {
    let all = HeaderValue::from_str(&format!("bytes */{size}"));
    with_headers(Code::InvalidRange, all.ok().map(|all| (header::CONTENT_RANGE, all)))
}

/// A POST to a key.
pub(super) fn posted() -> S3Error {
    let allowed = HeaderValue::from_static("GET, HEAD, PUT, DELETE");
    with_headers(Code::MethodNotAllowed, [(header::ALLOW, allowed)])
}

/// An error with these headers. They replace those of s3s, which has only the media type.
fn with_headers(
    code: Code,
    headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
) -> S3Error {
    let xml = HeaderValue::from_static("application/xml");
    let mut error = S3Error::new(code);
    error.set_headers([(header::CONTENT_TYPE, xml)].into_iter().chain(headers).collect());
    error
}

fn of_marker(version_id: &str) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let marker = (HeaderName::from_static("x-amz-delete-marker"), HeaderValue::from_static("true"));
    let id = HeaderValue::from_str(version_id).ok();
    let id = id.map(|id| (HeaderName::from_static("x-amz-version-id"), id));
    [marker].into_iter().chain(id)
}

/// An error of s3s in S3's form: always with a message, the resource and the request, and for an
/// invalid signature with the expected inputs (`expected`).
pub(super) fn spell(
    response: &mut HttpResponse,
    resource: &str,
    request_id: &str,
    expected: impl FnOnce() -> Vec<(&'static str, String)>,
) {
    let found = response.body().bytes().unwrap_or_default();
    let found = String::from_utf8_lossy(&found);
    let Some(code) = element(&found, "Code") else { return };
    let message = element(&found, "Message").or_else(|| message(code));
    let message = message.or_else(|| response.status().canonical_reason()).unwrap_or_default();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>{message}</Message>"
    );
    let mut add = |name: &str, value: &str| {
        let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.extend(["<", name, ">", &value, "</", name, ">"]);
    };
    if code == "SignatureDoesNotMatch" {
        for (name, value) in &expected() {
            add(name, value);
        }
    }
    if message.contains("the region &apos;") || message.contains("the region '") {
        add("Region", REGION);
    }
    add("Resource", resource);
    add("RequestId", request_id);
    text.push_str("</Error>");
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(text);
}

/// The content of an element of s3s' errors, still escaped.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(value, _)| value)
}

/// S3's message for an error without a message of s3s.
fn message(code: &str) -> Option<&'static str> {
    Some(match code {
        "AccessDenied" => "Access Denied",
        "BadDigest" => "The Content-MD5 you specified did not match what we received.",
        "EntityTooLarge" => "Your proposed upload exceeds the maximum allowed object size.",
        "IncompleteBody" => {
            "You did not provide the number of bytes specified by the Content-Length HTTP header."
        }
        "InternalError" => "We encountered an internal error. Please try again.",
        "InvalidAccessKeyId" => "The AWS Access Key Id you provided does not exist in our records.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidDigest" => "The Content-MD5 you specified is not valid.",
        "InvalidRange" => "The requested range is not satisfiable",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "KeyTooLongError" => "Your key is too long",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "NoSuchBucket" => "The specified bucket does not exist",
        "NoSuchKey" => "The specified key does not exist.",
        "NoSuchVersion" => "The specified version does not exist.",
        "NotImplemented" => {
            "A header or parameter you provided implies functionality that is not implemented"
        }
        "PreconditionFailed" => "At least one of the pre-conditions you specified did not hold",
        "RequestTimeout" => {
            "Your socket connection to the server was not read from or written to within the \
             timeout period. Idle connections will be closed."
        }
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. \
             Check your key and signing method."
        }
        "XAmzContentSHA256Mismatch" => {
            "The provided 'x-amz-content-sha256' header does not match what was computed."
        }
        _ => return None,
    })
}
