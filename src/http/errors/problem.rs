//! Errors for clients: RFC 9457 problem details with stable codes.
//!
//! A handler returns a [`Problem`]; the middleware `problems` writes it. A problem has no text of
//! an internal error: such texts are logged.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ledger::StoreError;
use ledger::access::{AccessRefusal, AccessRejection, Scope};
use ledger::asset::{InvalidField, Rejection};
use ledger::error::{StoreErrorKind, chain};
use ledger::id::AssetId;
use ledger::service::Refusal;
use ledger::url_log::UrlLogError;
use serde::Serialize;
use utoipa::ToSchema;

use super::code::Code;
use crate::jwt::TokenRefusal;

/// Characters of an invalid id that are returned: more than any id has.
const SHOWN_MAX: usize = 128;
/// Seconds before a retry of a store that was unavailable.
const UNAVAILABLE: u64 = 1;
/// The media type of problem details.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// An error of one request.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    failures: Vec<ReadinessFailure>,
    /// The scope that the caller lacks.
    scope: Option<Scope>,
    /// The quota that would be exceeded.
    quota: Option<Box<QuotaExceeded>>,
    /// Seconds until the same request may succeed.
    retry_after: Option<u64>,
}

/// A quota, and what of it is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Quota)]
pub(crate) struct QuotaExceeded {
    /// The name of the limit.
    pub(crate) name: &'static str,
    /// The limit.
    pub(crate) limit: u64,
    /// The amount in use; for `object_bytes`, that of this object.
    pub(crate) used: u64,
    /// The time at which the usage was counted.
    #[serde(rename = "asOf", skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub(crate) as_of: Option<String>,
}

/// A part of the service that is not ready.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Failure)]
pub(crate) struct ReadinessFailure {
    /// The part.
    pub(crate) check: &'static str,
    /// What is wrong with it.
    pub(crate) problem: String,
}

/// Problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "about:blank", "title": "Not Found", "status": 404,
    "detail": "ASSET 019aaf6b-5a00-7123-8456-0123456789ab not found",
    "code": "asset.not_found", "request_id": "0c5b3a52-6f6d-4f0e-9f52-8f7f7f0f9d00",
    "error_message": "ASSET 019aaf6b-5a00-7123-8456-0123456789ab not found"
}))]
pub(crate) struct ProblemBody<'a> {
    /// Always `about:blank`: `code` tells problems apart.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request.
    detail: &'a str,
    /// What went wrong, for code; it never changes its name.
    code: &'static str,
    /// The request's id, for finding it in the service's log.
    request_id: &'a str,
    /// The same as `detail`, under the original service's name for it.
    error_message: &'a str,
    /// The parts that are not ready; only from `/readyz`.
    #[serde(skip_serializing_if = "<[ReadinessFailure]>::is_empty")]
    failures: &'a [ReadinessFailure],
    /// The quota that would be exceeded; only with `quota.exceeded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<&'a QuotaExceeded>,
}

impl Problem {
    /// A problem with a message.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            failures: Vec::new(),
            scope: None,
            quota: None,
            retry_after: None,
        }
    }

    /// The problem of a bare status, as the router returns it for an unknown route.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(Code::PathUnknown, "there is nothing at this path"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(Code::MethodNotAllowed, "this path does not know the method")
            }
            status if status.is_client_error() => {
                Self::new(Code::RequestInvalid, "the request cannot be understood")
            }
            _ => Self::new(Code::Internal, "something went wrong here; the log knows more"),
        }
    }

    /// The asset does not exist, or the path is not an asset's id.
    pub(crate) fn not_found(id: &str) -> Self {
        let shown: String = id.chars().take(SHOWN_MAX).collect();
        Self::new(Code::AssetNotFound, format!("ASSET {shown} not found"))
    }

    /// The caller does not have this scope.
    pub(crate) fn scope_missing(scope: Scope, accepted: &str) -> Self {
        let detail = format!("this needs {accepted} with the scope {scope}");
        Self { scope: Some(scope), ..Self::new(Code::ScopeMissing, detail) }
    }

    /// The caller reaches only its own assets, and this tells of all.
    pub(crate) fn own_only() -> Self {
        let detail = "this tells of the whole tenant, and this credential reaches only the assets \
            that it created";
        Self::new(Code::OwnOnlyForbidden, detail)
    }

    /// A quota of the tenant would be exceeded.
    pub(crate) fn quota(quota: QuotaExceeded) -> Self {
        let QuotaExceeded { name, limit, used, .. } = &quota;
        let detail = format!(
            "this tenant's limit {name} is {limit}, and {used} are used; purge assets, or ask its \
             operator for more"
        );
        Self { quota: Some(Box::new(quota)), ..Self::new(Code::QuotaExceeded, detail) }
    }

    /// The tenant was never created.
    pub(crate) fn tenant_not_found() -> Self {
        let detail = "the tenant was not created; its operator runs `asset-ledger tenant create`";
        Self::new(Code::TenantNotFound, detail)
    }

    /// The tenant has no such key.
    pub(crate) fn key_not_found() -> Self {
        Self::new(Code::KeyNotFound, "there is no such key")
    }

    /// The tenant's access cannot be read.
    pub(crate) fn of_access(error: &StoreError) -> Self {
        Self::of_store(error, "this tenant's access")
    }

    /// A URL was not recorded, so it is not given out.
    pub(crate) fn of_url_log(error: &UrlLogError) -> Self {
        match error {
            UrlLogError::Contended => {
                let detail = "this tenant's log of URLs is changing too fast; try again";
                Self::new(Code::UrlsContended, detail)
            }
            UrlLogError::Store(error) => Self::of_store(error, "this tenant's log of URLs"),
        }
    }

    /// A token is not accepted, or cannot be checked now.
    pub(crate) fn of_token(refusal: TokenRefusal) -> Self {
        match refusal {
            TokenRefusal::Flawed(flaw) => {
                Self::new(Code::TokenInvalid, format!("the token is not accepted: {flaw}"))
            }
            TokenRefusal::IssuerAway => {
                let detail = "the issuer of the token does not give its keys; try again later";
                Self::new(Code::IssuerUnavailable, detail)
            }
        }
    }

    /// A command on the tenant's access was refused.
    pub(crate) fn of_refusal(refusal: AccessRefusal) -> Self {
        use AccessRejection as R;
        let rejection = match refusal {
            AccessRefusal::Rejected(rejection) => rejection,
            AccessRefusal::Contended => {
                let detail = "the tenant's access is changing too fast; try again";
                return Self::new(Code::AccessContended, detail);
            }
            AccessRefusal::Reused => return Self::reused(),
            AccessRefusal::ShownOnce(id) => {
                let detail = format!(
                    "this request created key {id} before, and its secret was shown then only; \
                     revoke that key, and create another with a new Idempotency-Key"
                );
                return Self::new(Code::KeyShownOnce, detail);
            }
            AccessRefusal::Store(error) => return Self::of_access(&error),
        };
        let code = match rejection {
            R::NoTenant => return Self::tenant_not_found(),
            R::NoKey(_) => return Self::key_not_found(),
            R::Invalid(invalid) => return invalid.into(),
            R::KeyEnded(_) => Code::KeyEnded,
            R::TooManyKeys => Code::KeyLimit,
            R::Widened => Code::KeyWidened,
            R::Newer(_) => Code::EventUnknown,
            R::Full => Code::AccessFull,
            R::OutOfTime => Code::AccessOutOfTime,
        };
        Self::new(code, rejection.to_string())
    }

    /// The challenge of this answer (RFC 6750). Without a credential it has no error.
    pub(crate) fn challenge(&self) -> Option<String> {
        match self.code {
            Code::CredentialMissing => Some("Bearer realm=\"asset-ledger\"".to_owned()),
            Code::CredentialInvalid | Code::TokenInvalid | Code::CallerNameless => {
                Some("Bearer error=\"invalid_token\"".to_owned())
            }
            Code::ScopeMissing => {
                let scope = self.scope.map_or("", Scope::as_str);
                Some(format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""))
            }
            _ => None,
        }
    }

    /// The same, with the seconds until the same request may succeed.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The seconds until the same request may succeed, if it may.
    pub(crate) fn retry(&self) -> Option<u64> {
        let unavailable = self.code.facts().1 == StatusCode::SERVICE_UNAVAILABLE;
        self.retry_after.or(unavailable.then_some(UNAVAILABLE))
    }

    /// Parts of the service are not ready.
    pub(crate) fn not_ready(failures: Vec<ReadinessFailure>) -> Self {
        let detail = "a part of the service is not ready";
        Self { failures, ..Self::new(Code::NotReady, detail) }
    }

    /// A command on `id` was refused.
    pub(crate) fn refused(id: AssetId, refusal: Refusal) -> Self {
        match refusal {
            Refusal::Rejected(rejection) => Self::rejected(id, &rejection),
            Refusal::Contended => {
                Self::new(Code::AssetContended, "the asset is changing too fast; try again")
            }
            Refusal::Contradicted => Self::new(
                Code::HistoryContradicted,
                format!(
                    "ASSET {id}: its history and its row contradict each other; nothing is changed \
                     until the operator has decided"
                ),
            ),
            Refusal::Reused => Self::reused(),
            Refusal::Store(error) => error.into(),
        }
    }

    /// The idempotency key was used for another request.
    fn reused() -> Self {
        let detail = "Idempotency-Key: was used for another request; a new request needs a new key";
        Self::new(Code::IdempotencyReused, detail)
    }

    /// A rule forbids a command on `id`. The first texts are exactly the original service's.
    pub(crate) fn rejected(id: AssetId, rejection: &Rejection) -> Self {
        use Rejection as R;
        match rejection {
            R::NotFound => Self::not_found(&id.to_string()),
            R::NotDownloadable(status) => Self::new(
                Code::AssetNotDownloadable,
                format!(
                    "Unable to download: Asset {id} is marked as {}, must be marked UPLOADED to \
                     retrieve.",
                    status.shown()
                ),
            ),
            R::NotReceived(status) => Self::new(
                Code::AssetStateIncorrect,
                format!(
                    "ASSET {id} state incorrect: State: \"{}\" must be one of ['RECEIVED', \
                     'UPLOADED']",
                    status.shown()
                ),
            ),
            R::VersionConflict { actual } => Self::new(
                Code::VersionConflict,
                format!("ASSET {id} is at version {actual}, not at the one that If-Match names"),
            ),
            other => Self::new(other.into(), format!("ASSET {id}: {other}")),
        }
    }

    /// The JSON body.
    pub(crate) fn body<'a>(&'a self, status: StatusCode, request_id: &'a str) -> ProblemBody<'a> {
        ProblemBody {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &self.detail,
            code: self.code.facts().0,
            request_id,
            error_message: &self.detail,
            failures: &self.failures,
            quota: self.quota.as_deref(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::of_store(&error, "this asset")
    }
}

impl Problem {
    /// The client learns who must act: the client, by a retry, or an operator. The store and the
    /// cause are logged.
    fn of_store(error: &StoreError, what: &str) -> Self {
        let (kind, told) = (error.kind, chain(error));
        match kind {
            StoreErrorKind::Unavailable | StoreErrorKind::Throttled => {
                tracing::warn!(?kind, error = told, "a store did not answer");
            }
            StoreErrorKind::Corrupt | StoreErrorKind::Newer | StoreErrorKind::Misconfigured => {
                tracing::error!(?kind, error = told, "a store needs a person");
            }
        }
        let (code, detail) = match kind {
            StoreErrorKind::Unavailable | StoreErrorKind::Throttled => {
                (Code::StoreUnavailable, "a store is away; try again later".to_owned())
            }
            StoreErrorKind::Corrupt => (
                Code::HistoryBroken,
                format!(
                    "what is stored of {what} cannot be read as it was written; trying again does \
                     not help: `asset-ledger verify` tells its operator more"
                ),
            ),
            StoreErrorKind::Newer => (
                Code::EventUnknown,
                format!(
                    "{what} has an event that a newer version of asset-ledger wrote; trying again \
                     does not help until this one is upgraded"
                ),
            ),
            StoreErrorKind::Misconfigured => (
                Code::StoreMisconfigured,
                "a store is missing, of another shape, or refuses this service; trying again does \
                 not help until its operator has mended the deployment"
                    .to_owned(),
            ),
        };
        Self::new(code, detail)
    }
}

/// An invalid field of a body.
impl From<InvalidField> for Problem {
    fn from(invalid: InvalidField) -> Self {
        let code = if invalid.too_large { Code::UploadTooLarge } else { Code::BodyInvalid };
        Self::new(code, invalid.to_string())
    }
}

/// Only the status: the middleware writes the rest, which needs the request's id.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.facts().1.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
