//! Classifies the SDK's errors for callers.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use ledger::error::{StoreError, StoreErrorKind};

/// The port's error for an SDK error.
pub(super) fn describe<E>(context: String, error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let kind = match &error {
        SdkError::ServiceError(_) => kind(error.code(), status.unwrap_or(0)),
        SdkError::ConstructionFailure(_) => StoreErrorKind::Misconfigured,
        _ => StoreErrorKind::Unavailable,
    };
    let context = match error.code().and_then(remedy) {
        Some(ask) => format!("{context} ({ask})"),
        None => context,
    };
    StoreError::caused(kind, context, error)
}

/// The most likely cause, if the refusal does not state it.
fn remedy(code: &str) -> Option<&'static str> {
    match code {
        "RequestTimeTooSkewed" => Some("is this machine's clock right?"),
        "ExpiredToken" => Some("who renews these credentials?"),
        _ => None,
    }
}

/// Status and answer, if there was one. An answer to HEAD has only headers.
pub(super) fn raw<E>(error: &SdkError<E>) -> Option<(u16, &HttpResponse)> {
    let response = error.raw_response()?;
    Some((response.status().as_u16(), response))
}

/// Whether the version to delete does not exist.
pub(super) fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(error.code(), Some("NoSuchVersion" | "NoSuchKey"))
}

fn kind(code: Option<&str>, status: u16) -> StoreErrorKind {
    match (code.unwrap_or_default(), status) {
        ("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded", _)
        | (_, 429) => StoreErrorKind::Throttled,
        ("ServiceUnavailable" | "InternalError" | "RequestTimeout" | "OperationAborted", _) => {
            StoreErrorKind::Unavailable
        }
        (_, 503) => StoreErrorKind::Throttled, // to HEAD, S3 sends SlowDown without a body
        (_, 500..) => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Misconfigured, // a key, a policy, a name or a clock is wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_by_what_can_be_done_about_them() {
        for (code, status, meant) in [
            (Some("SlowDown"), 503, StoreErrorKind::Throttled),
            (None, 503, StoreErrorKind::Throttled),
            (None, 429, StoreErrorKind::Throttled),
            (Some("ServiceUnavailable"), 503, StoreErrorKind::Unavailable),
            (Some("InternalError"), 500, StoreErrorKind::Unavailable),
            (None, 502, StoreErrorKind::Unavailable),
            (Some("RequestTimeout"), 400, StoreErrorKind::Unavailable),
            (Some("AccessDenied"), 403, StoreErrorKind::Misconfigured),
            (None, 403, StoreErrorKind::Misconfigured),
            (Some("NoSuchBucket"), 404, StoreErrorKind::Misconfigured),
            (Some("RequestTimeTooSkewed"), 403, StoreErrorKind::Misconfigured),
            (Some("ExpiredToken"), 400, StoreErrorKind::Misconfigured),
            (Some("SignatureDoesNotMatch"), 403, StoreErrorKind::Misconfigured),
        ] {
            assert_eq!(kind(code, status), meant, "{code:?} {status}");
        }
    }

    #[test]
    fn a_wrong_clock_and_old_credentials_are_asked_after() {
        assert_eq!(remedy("RequestTimeTooSkewed"), Some("is this machine's clock right?"));
        assert_eq!(remedy("ExpiredToken"), Some("who renews these credentials?"));
        assert_eq!(remedy("SignatureDoesNotMatch"), None);
    }
}
