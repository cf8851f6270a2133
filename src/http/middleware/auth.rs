//! Decides who the caller is, before any route: the one place for every server.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use ledger::access::{
    AccessService, ApiKey, GrantedKey, TenantAccess, UploadToken, UploadTokenError,
};
use ledger::command_label;
use ledger::id::Tenant;

use super::actor::Actor;
use super::rate::CallerRates;
use crate::http::errors::{Code, Problem};
use crate::http::iam::IamGrants;
use crate::http::principal::{AcceptedCredentials, AuthMethod, AuthMode, Principal};
use crate::jwt::{TokenFlaw, TokenVerifier};

/// Bytes of a credential: far more than a key has.
const CREDENTIAL_MAX: usize = 8 << 10;
/// Bytes of a name in `On-Behalf-Of`.
const ON_BEHALF_OF_MAX: usize = 64;
/// Names the person for whom a key acts.
const ON_BEHALF_OF: HeaderName = HeaderName::from_static("on-behalf-of");

/// The label of the units that authentication consumes.
const AUTH: &str = "auth";

/// The label of the units that the notes of the uses of keys consume.
const KEY_USE: &str = "key_use";

/// The routes that need no credential. They say nothing of a tenant.
pub(crate) const OPEN: [&str; 6] =
    ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{file}", "/metrics"];

/// The caller as API Gateway's authorizer found it: an extension of the request. Only the code that
/// drives the router sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayCaller {
    /// A caller with a name: the whole, which an event may record cut.
    Named(String, AuthMethod),
    /// A caller who was authorized without a name.
    Nameless,
}

/// What decides about callers.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) mode: AuthMode,
    /// The tenant of callers whose credential names none.
    pub(crate) home: Tenant,
    pub(crate) access: Arc<AccessService>,
    /// Checks tokens; without, no issuer is trusted.
    pub(crate) tokens: Option<Arc<TokenVerifier>>,
    /// What callers with a signature of IAM may do; without, everything to the home tenant.
    pub(crate) iam: Option<Arc<IamGrants>>,
    /// The rate limit of callers, if there is one.
    pub(crate) rates: Option<Arc<CallerRates>>,
}

impl Gate {
    /// Gives a request its principal and handles it, or refuses it.
    pub(crate) async fn admit(
        &self,
        mut request: Request,
        handle: impl AsyncFnOnce(Request) -> Response,
    ) -> Response {
        let route = request.extensions().get::<MatchedPath>();
        if route.is_some_and(|route| OPEN.contains(&route.as_str())) {
            return handle(request).await;
        }
        let gateway = request.extensions().get::<GatewayCaller>().cloned();
        let recognised = self.principal(request.headers(), gateway);
        match command_label::scope(AUTH, recognised).await {
            Ok(mut principal) => {
                principal.accepted = self.accepted();
                let rates = self.rates.as_deref();
                let left = rates.map(|rates| rates.admit(&principal.tenant, &principal.subject));
                let headers = match left.transpose() {
                    Ok(headers) => headers.unwrap_or_default(),
                    Err(problem) => return problem.into_response(),
                };
                request.extensions_mut().insert(principal);
                let mut answer = handle(request).await;
                answer.headers_mut().extend(headers);
                answer
            }
            Err(problem) => problem.into_response(),
        }
    }

    async fn principal(
        &self,
        headers: &HeaderMap,
        gateway: Option<GatewayCaller>,
    ) -> Result<Principal, Problem> {
        // Boxed: a request without authentication would move their state several times.
        match self.mode {
            AuthMode::Required => Box::pin(self.of_bearer(headers)).await,
            AuthMode::None => {
                refuse_on_behalf_of(headers)?;
                let (actor, method) = (Actor::default(), AuthMethod::Anonymous);
                Ok(Principal::unlimited(actor, self.home.clone(), method))
            }
            AuthMode::Gateway => {
                let principal = Box::pin(self.of_gateway(gateway)).await?;
                refuse_on_behalf_of(headers).map(|()| principal)
            }
        }
    }

    /// The credentials that are accepted.
    fn accepted(&self) -> AcceptedCredentials {
        match (self.mode, &self.tokens) {
            (AuthMode::Required, None) => AcceptedCredentials::Keys,
            (AuthMode::Required, Some(_)) => AcceptedCredentials::KeysAndTokens,
            (AuthMode::None | AuthMode::Gateway, _) => AcceptedCredentials::Others,
        }
    }

    async fn of_bearer(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let credential = bearer(headers, self.accepted())?;
        if credential.starts_with(UploadToken::PREFIX) {
            let principal = self.of_upload_token(credential).await?;
            return refuse_on_behalf_of(headers).map(|()| principal);
        }
        match &self.tokens {
            Some(tokens) if !credential.starts_with(ApiKey::PREFIX) => {
                let principal = self.of_token(tokens, credential).await?;
                refuse_on_behalf_of(headers).map(|()| principal)
            }
            _ => self.of_key(credential, headers).await,
        }
    }

    async fn of_token(&self, tokens: &TokenVerifier, token: &str) -> Result<Principal, Problem> {
        let judged = tokens.verify(token).await.map_err(Problem::of_token)?;
        let access = self.access.current(&judged.tenant).await;
        let access = access.map_err(|error| Problem::of_access(&error))?;
        let access = access.ok_or_else(|| Problem::of_token(TokenFlaw::Tenant.into()))?;
        refuse_suspended(&access)?;
        Ok(Principal::of_token(&access, &judged))
    }

    async fn of_upload_token(&self, token: &str) -> Result<Principal, Problem> {
        let refused = |why: &dyn std::fmt::Display| {
            let detail = format!("the upload token is not accepted: {why}");
            Problem::new(Code::CredentialInvalid, detail)
        };
        let token: UploadToken = token.parse().map_err(|why: UploadTokenError| refused(&why))?;
        let signer = self.access.signer_of(&token).await;
        let signer = signer.map_err(|error| Problem::of_access(&error))?;
        let why = "no API key that is accepted now has signed it; a key that was created before \
            there were upload tokens must be rotated first";
        let (access, key) = signer.ok_or_else(|| refused(&why))?;
        if let Some(flaw) = token.grant.flaw(self.access.now()) {
            return Err(refused(&flaw));
        }
        refuse_suspended(&access)?;
        self.note_use(&access, &key);
        Ok(Principal::of_upload(&access, &key, token.grant))
    }

    /// Notes the use of a key beside the request, which neither waits for it nor fails with it.
    fn note_use(&self, access: &TenantAccess, key: &GrantedKey) {
        if let Some(noting) = self.access.used(&access.tenant, key.id) {
            tokio::spawn(command_label::scope(KEY_USE, noting));
        }
    }

    async fn of_key(&self, key: &str, headers: &HeaderMap) -> Result<Principal, Problem> {
        let key: ApiKey = key.parse().map_err(|why: ledger::access::ApiKeyError| {
            Problem::new(Code::CredentialInvalid, why.to_string())
        })?;
        let accepted =
            self.access.authenticate(&key).await.map_err(|error| Problem::of_access(&error))?;
        let detail = "the API key is not accepted: it is unknown, or it has ended";
        let refused = || Problem::new(Code::CredentialInvalid, detail);
        let (access, granted) = accepted.ok_or_else(refused)?;
        refuse_suspended(&access)?;
        self.note_use(&access, &granted);
        Ok(Principal::of_key(&access, &granted, on_behalf_of(headers)?))
    }

    /// The home tenant need not have been created: without, it has no limits.
    async fn of_gateway(&self, gateway: Option<GatewayCaller>) -> Result<Principal, Problem> {
        let (name, method) = match gateway {
            Some(GatewayCaller::Named(name, method)) => (name, method),
            Some(GatewayCaller::Nameless) => {
                // Recording such callers as `anonymous` would hide them from an auditor.
                let detail = "whoever let you in did not say who you are; a token needs iss and \
                    sub";
                return Err(Problem::new(Code::CallerNameless, detail));
            }
            None => {
                let detail = "no authorizer let this request in";
                return Err(Problem::new(Code::CredentialMissing, detail));
            }
        };
        let grant = match &self.iam {
            None => None,
            Some(grants) => {
                let grant = grants.of(&name).filter(|_| method == AuthMethod::Iam);
                Some(grant.ok_or_else(unlisted)?)
            }
        };
        let tenant = grant.map_or(&self.home, |grant| &grant.tenant);
        let mut principal = Principal::unlimited(Actor::new(&name), tenant.clone(), method);
        if let Some(grant) = grant {
            principal.scopes = grant.scopes.clone();
        }
        let access = self.access.current(tenant).await;
        match access.map_err(|error| Problem::of_access(&error))? {
            Some(access) => {
                refuse_suspended(&access)?;
                principal.limits = access.limits.clone();
            }
            None if *tenant != self.home => return Err(unlisted()),
            None => {}
        }
        Ok(principal)
    }
}

fn unlisted() -> Problem {
    let detail = "this caller is not on the list of those who may call, or its tenant was not \
        created; `aws sts get-caller-identity` tells its ARN";
    Problem::new(Code::CallerUnlisted, detail)
}

fn refuse_suspended(access: &TenantAccess) -> Result<(), Problem> {
    let detail = "the tenant is suspended; its operator knows more";
    let suspended = || Problem::new(Code::TenantSuspended, detail);
    if access.suspended { Err(suspended()) } else { Ok(()) }
}

/// The credential of the one `Authorization` header.
fn bearer(headers: &HeaderMap, accepted: AcceptedCredentials) -> Result<&str, Problem> {
    let invalid = |detail: String| Problem::new(Code::CredentialInvalid, detail);
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        let detail = format!("this needs {}: {}", accepted.as_str(), accepted.header());
        return Err(Problem::new(Code::CredentialMissing, detail));
    };
    if values.next().is_some() {
        return Err(invalid("Authorization: is given twice".to_owned()));
    }
    if value.len() > CREDENTIAL_MAX {
        return Err(invalid(format!("Authorization: must be at most {CREDENTIAL_MAX} bytes")));
    }
    let form = || invalid(format!("Authorization: must be Bearer and {}", accepted.as_str()));
    let (scheme, token) = value.to_str().ok().and_then(|it| it.split_once(' ')).ok_or_else(form)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(form());
    }
    Ok(token.trim())
}

/// The API key in the headers of a request that was recognised by it.
pub(crate) fn presented_key(headers: &HeaderMap) -> Option<ApiKey> {
    bearer(headers, AcceptedCredentials::Keys).ok()?.parse().ok()
}

/// The person for whom a key acts.
fn on_behalf_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(ON_BEHALF_OF).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let name = value.to_str().ok().filter(|_| values.next().is_none());
    let fits = |name: &&str| {
        let length = (1..=ON_BEHALF_OF_MAX).contains(&name.len());
        length && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let detail = format!("On-Behalf-Of: must be 1 to {ON_BEHALF_OF_MAX} visible ASCII characters");
    let invalid = || Problem::new(Code::OnBehalfOfInvalid, detail);
    name.filter(fits).map(Some).ok_or_else(invalid)
}

fn refuse_on_behalf_of(headers: &HeaderMap) -> Result<(), Problem> {
    if !headers.contains_key(ON_BEHALF_OF) {
        return Ok(());
    }
    let detail = "On-Behalf-Of: is for callers with an API key";
    Err(Problem::new(Code::OnBehalfOfInvalid, detail))
}
