//! The names of all errors, and the one table of their statuses.

use axum::http::StatusCode;
use ledger::asset::Rejection;

/// An error, for programs: each has one permanent name and one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    RequestInvalid,
    PathUnknown,
    MethodNotAllowed,
    QueryInvalid,
    TimeoutInvalid,
    LimitInvalid,
    CursorInvalid,
    StateInvalid,
    VersionInvalid,
    AsOfInvalid,
    TypeInvalid,
    ActorInvalid,
    SinceInvalid,
    UntilInvalid,
    AfterInvalid,
    IfMatchInvalid,
    BodyInvalid,
    BodyTimeout,
    BodyTooLarge,
    BodyUnsupported,
    AssetNotFound,
    AssetNotDownloadable,
    AssetStateIncorrect,
    AssetNotDeleted,
    AssetNotAwaitingUpload,
    AssetBeingPurged,
    AssetBytesGone,
    AssetPurged,
    AssetContended,
    AssetOutOfTime,
    AssetFull,
    VersionNotFound,
    VersionConflict,
    UploadMismatch,
    UploadTooLarge,
    OriginForbidden,
    HostForbidden,
    CallerNameless,
    ListIncomplete,
    HistoryContradicted,
    StoreUnavailable,
    StoreMisconfigured,
    HistoryBroken,
    EventUnknown,
    RequestTimeout,
    NotReady,
    Internal,
}

impl Code {
    /// The code's name and its status: the one table of both.
    pub(crate) fn facts(self) -> (&'static str, StatusCode) {
        use StatusCode as S;
        match self {
            Self::RequestInvalid => ("request.invalid", S::BAD_REQUEST),
            Self::PathUnknown => ("path.unknown", S::NOT_FOUND),
            Self::MethodNotAllowed => ("method.not_allowed", S::METHOD_NOT_ALLOWED),
            Self::QueryInvalid => ("query.invalid", S::BAD_REQUEST),
            Self::TimeoutInvalid => ("timeout.invalid", S::BAD_REQUEST),
            Self::LimitInvalid => ("limit.invalid", S::BAD_REQUEST),
            Self::CursorInvalid => ("cursor.invalid", S::BAD_REQUEST),
            Self::StateInvalid => ("state.invalid", S::BAD_REQUEST),
            Self::VersionInvalid => ("version.invalid", S::BAD_REQUEST),
            Self::AsOfInvalid => ("as_of.invalid", S::BAD_REQUEST),
            Self::TypeInvalid => ("type.invalid", S::BAD_REQUEST),
            Self::ActorInvalid => ("actor.invalid", S::BAD_REQUEST),
            Self::SinceInvalid => ("since.invalid", S::BAD_REQUEST),
            Self::UntilInvalid => ("until.invalid", S::BAD_REQUEST),
            Self::AfterInvalid => ("after.invalid", S::BAD_REQUEST),
            Self::IfMatchInvalid => ("if_match.invalid", S::BAD_REQUEST),
            Self::BodyInvalid => ("body.invalid", S::BAD_REQUEST),
            Self::BodyTimeout => ("body.timeout", S::REQUEST_TIMEOUT),
            Self::BodyTooLarge => ("body.too_large", S::PAYLOAD_TOO_LARGE),
            Self::BodyUnsupported => ("body.unsupported", S::UNSUPPORTED_MEDIA_TYPE),
            Self::AssetNotFound => ("asset.not_found", S::NOT_FOUND),
            Self::AssetNotDownloadable => ("asset.not_downloadable", S::FORBIDDEN),
            Self::AssetStateIncorrect => ("asset.state_incorrect", S::PRECONDITION_FAILED),
            Self::AssetNotDeleted => ("asset.not_deleted", S::CONFLICT),
            Self::AssetNotAwaitingUpload => ("asset.not_awaiting_upload", S::CONFLICT),
            Self::AssetBeingPurged => ("asset.being_purged", S::CONFLICT),
            Self::AssetBytesGone => ("asset.bytes_gone", S::CONFLICT),
            Self::AssetPurged => ("asset.purged", S::GONE),
            Self::AssetFull => ("asset.full", S::CONFLICT),
            Self::AssetOutOfTime => ("asset.out_of_time", S::CONFLICT),
            Self::AssetContended => ("asset.contended", S::SERVICE_UNAVAILABLE),
            Self::VersionNotFound => ("version.not_found", S::NOT_FOUND),
            Self::VersionConflict => ("version.conflict", S::PRECONDITION_FAILED),
            Self::UploadMismatch => ("upload.mismatch", S::PRECONDITION_FAILED),
            Self::UploadTooLarge => ("upload.too_large", S::PAYLOAD_TOO_LARGE),
            Self::OriginForbidden => ("origin.forbidden", S::FORBIDDEN),
            Self::HostForbidden => ("host.forbidden", S::FORBIDDEN),
            Self::CallerNameless => ("caller.nameless", S::UNAUTHORIZED),
            Self::ListIncomplete => ("list.incomplete", S::SERVICE_UNAVAILABLE),
            Self::HistoryContradicted => ("history.contradicted", S::INTERNAL_SERVER_ERROR),
            Self::StoreUnavailable => ("store.unavailable", S::SERVICE_UNAVAILABLE),
            Self::StoreMisconfigured => ("store.misconfigured", S::INTERNAL_SERVER_ERROR),
            Self::HistoryBroken => ("history.broken", S::INTERNAL_SERVER_ERROR),
            Self::EventUnknown => ("event.unknown", S::INTERNAL_SERVER_ERROR),
            Self::RequestTimeout => ("request.timeout", S::SERVICE_UNAVAILABLE),
            Self::NotReady => ("not.ready", S::SERVICE_UNAVAILABLE),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Each rule has its own code.
impl From<&Rejection> for Code {
    fn from(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::NotFound => Self::AssetNotFound,
            Rejection::Purged => Self::AssetPurged,
            Rejection::NotReceived(_) => Self::AssetStateIncorrect,
            Rejection::Mismatch { .. } => Self::UploadMismatch,
            Rejection::NotDeleted(_) => Self::AssetNotDeleted,
            Rejection::BeingPurged => Self::AssetBeingPurged,
            Rejection::Full => Self::AssetFull,
            Rejection::OutOfTime => Self::AssetOutOfTime,
            Rejection::PinGone => Self::AssetBytesGone,
            Rejection::NotAwaitingUpload(_) => Self::AssetNotAwaitingUpload,
            Rejection::NotDownloadable(_) => Self::AssetNotDownloadable,
            Rejection::VersionConflict { .. } => Self::VersionConflict,
        }
    }
}
