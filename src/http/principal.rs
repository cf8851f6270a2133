//! Who makes a request, and what they may do.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ledger::Effects;
use ledger::access::{GrantedKey, Scope, Scopes, TenantAccess, TenantLimits, UploadGrant};
use ledger::id::Tenant;
use ledger::record::subject;

use super::middleware::actor::Actor;
use crate::jwt::JudgedToken;

/// Who decides which requests are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Nobody: every caller may do everything to the home tenant.
    None,
    /// This process: every request needs an API key or a token, which names its tenant.
    Required,
    /// API Gateway in front: a request that its authorizer did not let in is refused. The tenant is
    /// the home tenant.
    Gateway,
}

impl AuthMode {
    /// The mode of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "required" => Some(Self::Required),
            "gateway" => Some(Self::Gateway),
            _ => None,
        }
    }
}

/// How a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// Not at all.
    Anonymous,
    /// By an API key.
    ApiKey,
    /// By a token of an issuer.
    Jwt,
    /// By a signature that API Gateway checked.
    Iam,
    /// By a token that the holder of an API key signed for uploads.
    UploadToken,
}

impl AuthMethod {
    /// The displayed name.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
            Self::Iam => "iam",
            Self::UploadToken => "upload_token",
        }
    }
}

/// The credentials that a server accepts, for those who lack the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcceptedCredentials {
    /// API keys.
    Keys,
    /// API keys, and tokens of an issuer.
    KeysAndTokens,
    /// Others decide.
    Others,
}

impl AcceptedCredentials {
    /// One of them.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "an API key",
            Self::KeysAndTokens => "an API key or a token",
            Self::Others => "a credential",
        }
    }

    /// How one is sent.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Keys => "Authorization: Bearer alk_…",
            Self::KeysAndTokens | Self::Others => "Authorization: Bearer …",
        }
    }
}

/// The caller of a request: an extension of it.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// The recorded name.
    pub(crate) actor: Actor,
    /// The name that stays the same when a key is replaced or acts for others.
    pub(crate) subject: String,
    /// The tenant. Nothing else in a request names one.
    pub(crate) tenant: Tenant,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// Whether it reaches only the assets that its subject created.
    pub(crate) own_only: bool,
    /// The limits of the tenant.
    pub(crate) limits: TenantLimits,
    /// The end of its credential.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// How it was recognised.
    pub(crate) method: AuthMethod,
    /// What its upload token allows, if it has one.
    pub(crate) upload: Option<Arc<UploadGrant>>,
    /// What else would have been accepted.
    pub(crate) accepted: AcceptedCredentials,
}

impl Principal {
    /// A caller who may do everything.
    pub(crate) fn unlimited(actor: Actor, tenant: Tenant, method: AuthMethod) -> Self {
        Self {
            subject: subject(actor.as_str()).to_owned(),
            actor,
            tenant,
            scopes: Scopes::all(),
            own_only: false,
            limits: TenantLimits::default(),
            expires_at: None,
            method,
            upload: None,
            accepted: AcceptedCredentials::Others,
        }
    }

    /// The holder of a key, who may act for somebody else.
    pub(crate) fn of_key(access: &TenantAccess, key: &GrantedKey, other: Option<&str>) -> Self {
        let other = other.map_or(String::new(), |name| format!(";for={name}"));
        let actor = Actor::new(&format!("{}{other}", key.actor()));
        Self {
            subject: key.subject(),
            scopes: key.scopes.clone(),
            own_only: key.own_only,
            expires_at: key.ends_at,
            ..Self::in_tenant(access, actor, AuthMethod::ApiKey)
        }
    }

    /// The bearer of a token.
    pub(crate) fn of_token(access: &TenantAccess, token: &JudgedToken) -> Self {
        let actor = Actor::new(&format!("{}{}", token.subject, token.acting));
        Self {
            scopes: token.scopes.clone(),
            own_only: token.own_only,
            expires_at: Some(token.expires_at),
            ..Self::in_tenant(access, actor, AuthMethod::Jwt)
        }
    }

    /// The bearer of an upload token that the holder of `key` signed.
    pub(crate) fn of_upload(access: &TenantAccess, key: &GrantedKey, grant: UploadGrant) -> Self {
        let actor = Actor::new(&key.upload_actor(&grant));
        let end = key.ends_at.map_or(grant.expires_at, |end| end.min(grant.expires_at));
        Self {
            scopes: key.scopes.iter().filter(|scope| *scope == Scope::Write).collect(),
            own_only: true,
            expires_at: Some(end),
            upload: Some(Arc::new(grant)),
            ..Self::in_tenant(access, actor, AuthMethod::UploadToken)
        }
    }

    /// A caller of a tenant, with the tenant's limits, and no scope yet.
    fn in_tenant(access: &TenantAccess, actor: Actor, method: AuthMethod) -> Self {
        Self {
            limits: access.limits.clone(),
            scopes: Scopes::default(),
            own_only: true,
            ..Self::unlimited(actor, access.tenant.clone(), method)
        }
    }

    /// Whether it has the scope.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }

    /// The life of a URL for this caller: as asked, but within the tenant's limit, and not beyond
    /// the end of the credential. At least a second.
    pub(crate) fn url_life(&self, asked: Duration, clock: &dyn Effects) -> Duration {
        let left = self.expires_at.map(|end| (end - clock.now()).to_std().unwrap_or_default());
        let limit = self.limits.url_seconds.map(Duration::from_secs);
        let shortest = [left, limit].into_iter().flatten().fold(asked, Duration::min);
        Duration::from_secs(shortest.as_secs().max(1))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use ledger::testing::TestEffects;

    use super::*;

    #[test]
    fn a_url_lives_no_longer_than_the_limit_or_the_credential() {
        let clock = TestEffects::seeded(1);
        let now = clock.now();
        let life = |limit: Option<u64>, left: Option<i64>| {
            let anyone = (Actor::default(), Tenant::default(), AuthMethod::Anonymous);
            let mut caller = Principal::unlimited(anyone.0, anyone.1, anyone.2);
            caller.limits.url_seconds = limit;
            caller.expires_at = left.map(|seconds| now + TimeDelta::milliseconds(seconds));
            caller.url_life(Duration::from_mins(15), &clock).as_secs()
        };
        assert_eq!(life(None, None), 900);
        assert_eq!((life(Some(60), None), life(Some(901), None)), (60, 900));
        assert_eq!((life(Some(60), Some(30_999)), life(None, Some(61_000))), (30, 61));
        assert_eq!((life(None, Some(1)), life(None, Some(-5_000))), (1, 1));
    }
}
