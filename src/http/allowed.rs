//! The scope of an operation, as a type that its handler takes. A handler has no caller without it.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ledger::access::Scope;
use ledger::record::EventSource;
use ledger::service::Caller;

use super::errors::{Code, Problem};
use super::middleware::request_id::RequestId;
use super::principal::Principal;

/// What an operation needs.
pub(crate) trait Needs: Send {
    /// The scope; `None` for any caller.
    const SCOPE: Option<Scope>;
    /// Whether it tells of the whole tenant, and so is not for a caller of its own assets.
    const WHOLE: bool;
    /// Whether an upload token is enough.
    const UPLOADS: bool = false;
}

/// Defines the needs: one line for each scope.
macro_rules! needs {
    ($( $(#[$meta:meta])* $name:ident $scope:expr, $whole:literal; )*) => { $(
        $(#[$meta])*
        pub(crate) struct $name;

        impl Needs for $name {
            const SCOPE: Option<Scope> = $scope;
            const WHOLE: bool = $whole;
        }
    )* };
}

needs! {
    /// Any principal.
    Anyone None, false;
    /// [`Scope::Read`].
    Reading Some(Scope::Read), false;
    /// [`Scope::Read`], of the whole tenant.
    ReadingAll Some(Scope::Read), true;
    /// [`Scope::Write`].
    Writing Some(Scope::Write), false;
    /// [`Scope::Delete`].
    Deleting Some(Scope::Delete), false;
    /// [`Scope::Purge`].
    Purging Some(Scope::Purge), false;
    /// [`Scope::Audit`].
    Auditing Some(Scope::Audit), false;
    /// [`Scope::Audit`], of the whole tenant.
    AuditingAll Some(Scope::Audit), true;
    /// [`Scope::Admin`].
    Managing Some(Scope::Admin), false;
}

/// [`Scope::Write`], of a key or of an upload token.
pub(crate) struct Uploading;

impl Needs for Uploading {
    const SCOPE: Option<Scope> = Some(Scope::Write);
    const WHOLE: bool = false;
    const UPLOADS: bool = true;
}

/// A caller who may do what `N` needs.
pub(crate) struct Allowed<N> {
    /// The caller of commands.
    pub(crate) caller: Caller,
    /// Everything known of the caller.
    pub(crate) principal: Principal,
    needs: PhantomData<N>,
}

impl<N: Needs, S: Sync> FromRequestParts<S> for Allowed<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(request) = RequestId::from_request_parts(parts, state).await;
        // Only an open route has no principal, and its handler asks for none.
        let missing = || Problem::new(Code::Internal, "the caller was not recognised");
        let principal = parts.extensions.get::<Principal>().cloned().ok_or_else(missing)?;
        if let Some(scope) = N::SCOPE.filter(|scope| !principal.may(*scope)) {
            return Err(Problem::scope_missing(scope, principal.accepted.as_str()));
        }
        if principal.upload.is_some() && !N::UPLOADS {
            let detail = "an upload token creates and confirms its own uploads, and nothing else";
            return Err(Problem::new(Code::UploadOutside, detail));
        }
        if N::WHOLE && principal.own_only {
            return Err(Problem::own_only());
        }
        let (actor, request) = (principal.actor.as_str().to_owned(), request.as_str().to_owned());
        let (tenant, own_only) = (principal.tenant.clone(), principal.own_only);
        let caller = Caller { tenant, actor, source: EventSource::Api, request, own_only };
        Ok(Self { caller, principal, needs: PhantomData })
    }
}
