//! The names of all errors, and the one table of their statuses.

use axum::http::StatusCode;
use ledger::asset::Rejection;

/// Defines the codes: one line for each, with its name and its status.
macro_rules! codes {
    ($( $code:ident $name:literal $status:ident, )*) => {
        /// An error, for programs: each has one permanent name and one status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $( $code, )* }

        impl Code {
            /// All codes.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$( Self::$code ),*];

            /// The code's name and its status.
            pub(crate) fn facts(self) -> (&'static str, StatusCode) {
                match self { $( Self::$code => ($name, StatusCode::$status), )* }
            }
        }
    };
}

codes! {
    RequestInvalid "request.invalid" BAD_REQUEST,
    PathUnknown "path.unknown" NOT_FOUND,
    MethodNotAllowed "method.not_allowed" METHOD_NOT_ALLOWED,
    QueryInvalid "query.invalid" BAD_REQUEST,
    TimeoutInvalid "timeout.invalid" BAD_REQUEST,
    LimitInvalid "limit.invalid" BAD_REQUEST,
    CursorInvalid "cursor.invalid" BAD_REQUEST,
    StateInvalid "state.invalid" BAD_REQUEST,
    VersionInvalid "version.invalid" BAD_REQUEST,
    AsOfInvalid "as_of.invalid" BAD_REQUEST,
    TypeInvalid "type.invalid" BAD_REQUEST,
    ActorInvalid "actor.invalid" BAD_REQUEST,
    SinceInvalid "since.invalid" BAD_REQUEST,
    UntilInvalid "until.invalid" BAD_REQUEST,
    AfterInvalid "after.invalid" BAD_REQUEST,
    AfterExpired "after.expired" GONE,
    IfMatchInvalid "if_match.invalid" BAD_REQUEST,
    IdempotencyKeyInvalid "idempotency_key.invalid" BAD_REQUEST,
    IdempotencyReused "idempotency.reused" UNPROCESSABLE_ENTITY,
    BodyInvalid "body.invalid" BAD_REQUEST,
    BodyTimeout "body.timeout" REQUEST_TIMEOUT,
    BodyTooLarge "body.too_large" PAYLOAD_TOO_LARGE,
    BodyUnsupported "body.unsupported" UNSUPPORTED_MEDIA_TYPE,
    AssetNotFound "asset.not_found" NOT_FOUND,
    AssetNotDownloadable "asset.not_downloadable" FORBIDDEN,
    AssetStateIncorrect "asset.state_incorrect" PRECONDITION_FAILED,
    AssetNotDeleted "asset.not_deleted" CONFLICT,
    AssetNotAwaitingUpload "asset.not_awaiting_upload" CONFLICT,
    AssetBeingPurged "asset.being_purged" CONFLICT,
    AssetBytesGone "asset.bytes_gone" CONFLICT,
    AssetPurged "asset.purged" GONE,
    AssetFull "asset.full" CONFLICT,
    AssetOutOfTime "asset.out_of_time" CONFLICT,
    AssetContended "asset.contended" SERVICE_UNAVAILABLE,
    VersionNotFound "version.not_found" NOT_FOUND,
    VersionConflict "version.conflict" PRECONDITION_FAILED,
    UploadMismatch "upload.mismatch" PRECONDITION_FAILED,
    UploadTooLarge "upload.too_large" PAYLOAD_TOO_LARGE,
    OriginForbidden "origin.forbidden" FORBIDDEN,
    HostForbidden "host.forbidden" FORBIDDEN,
    CallerNameless "caller.nameless" UNAUTHORIZED,
    CallerUnlisted "caller.unlisted" FORBIDDEN,
    CredentialMissing "credential.missing" UNAUTHORIZED,
    CredentialInvalid "credential.invalid" UNAUTHORIZED,
    TokenInvalid "token.invalid" UNAUTHORIZED,
    IssuerUnavailable "issuer.unavailable" SERVICE_UNAVAILABLE,
    OnBehalfOfInvalid "on_behalf_of.invalid" BAD_REQUEST,
    ScopeMissing "scope.missing" FORBIDDEN,
    OwnOnlyForbidden "own_only.forbidden" FORBIDDEN,
    TenantSuspended "tenant.suspended" FORBIDDEN,
    TenantNotFound "tenant.not_found" NOT_FOUND,
    UploadUndeclared "upload.undeclared" FORBIDDEN,
    UploadOutside "upload.outside" FORBIDDEN,
    QuotaExceeded "quota.exceeded" FORBIDDEN,
    RateLimited "rate.limited" TOO_MANY_REQUESTS,
    KeyNotFound "key.not_found" NOT_FOUND,
    KeyEnded "key.ended" CONFLICT,
    KeyOutdated "key.outdated" CONFLICT,
    KeyLimit "key.limit" CONFLICT,
    KeyWidened "key.widened" CONFLICT,
    KeyShownOnce "key.shown_once" CONFLICT,
    AccessFull "access.full" CONFLICT,
    AccessOutOfTime "access.out_of_time" CONFLICT,
    AccessContended "access.contended" SERVICE_UNAVAILABLE,
    UrlsContended "urls.contended" SERVICE_UNAVAILABLE,
    ListIncomplete "list.incomplete" SERVICE_UNAVAILABLE,
    HistoryContradicted "history.contradicted" INTERNAL_SERVER_ERROR,
    StoreUnavailable "store.unavailable" SERVICE_UNAVAILABLE,
    StoreMisconfigured "store.misconfigured" INTERNAL_SERVER_ERROR,
    HistoryBroken "history.broken" INTERNAL_SERVER_ERROR,
    EventUnknown "event.unknown" INTERNAL_SERVER_ERROR,
    RequestTimeout "request.timeout" SERVICE_UNAVAILABLE,
    NotReady "not.ready" SERVICE_UNAVAILABLE,
    Internal "internal" INTERNAL_SERVER_ERROR,
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
