//! The issuers that an operator trusts, and what their tokens may do.

use std::collections::BTreeMap;

use http::Uri;
use ledger::access::{Scope, Scopes};
use ledger::id::Tenant;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::judge::TokenFlaw;
use super::jwk::TokenAlgorithm;
use crate::http::is_this_machine;

/// Issuers at most: each has its own keys in memory.
const ISSUERS_MAX: usize = 16;

/// The trusted issuers of `--auth-config`. They have different names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthConfig {
    pub(super) issuers: Vec<TrustedIssuer>,
}

/// The configuration is invalid; the text says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthConfigError(String);

/// An issuer, and what its tokens may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TrustedIssuer {
    /// The `iss` of its tokens, and the base of its discovery document.
    pub(super) issuer: String,
    /// A token is for one of these at least.
    pub(super) audiences: Vec<String>,
    /// The URL of its keys; without, discovery names it.
    pub(super) jwks_uri: Option<String>,
    /// The algorithms of its signatures.
    pub(super) algorithms: Vec<TokenAlgorithm>,
    /// The clients whose tokens are accepted; empty for all.
    pub(super) clients: Vec<String>,
    /// The `typ` that a token must have.
    pub(super) typ: Option<String>,
    tenant: TenantRule,
    scopes: ScopeRule,
    at_most: Scopes,
    /// Whether its tokens reach only the assets that their subjects create.
    pub(super) own_only: bool,
}

/// The tenant of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TenantRule {
    Fixed(Tenant),
    /// The tenant that a claim names: by the map, or itself if there is no map.
    Claim(String, BTreeMap<String, Tenant>),
}

/// The scopes of a token: a value of the claim is in the map, or it is a scope after the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ScopeRule {
    claim: String,
    prefix: String,
    map: BTreeMap<String, Scopes>,
}

/// The form of the configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigForm {
    issuers: Vec<IssuerForm>,
    iam: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerForm {
    issuer: String,
    audiences: Vec<String>,
    jwks_uri: Option<String>,
    algorithms: Option<Vec<String>>,
    #[serde(default)]
    clients: Vec<String>,
    typ: Option<String>,
    tenant: TenantForm,
    #[serde(default)]
    scopes: ScopesForm,
    at_most: Vec<String>,
    #[serde(default)]
    own_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantForm {
    fixed: Option<String>,
    claim: Option<String>,
    map: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopesForm {
    claim: Option<String>,
    prefix: Option<String>,
    #[serde(default)]
    map: BTreeMap<String, Vec<String>>,
}

impl AuthConfig {
    /// Reads the JSON of `--auth-config`.
    ///
    /// # Errors
    /// Names the field that is unknown, missing or invalid.
    pub fn parse(json: &str) -> Result<Self, AuthConfigError> {
        let form: Result<ConfigForm, _> = serde_json::from_str(json);
        let form = form.map_err(|error| AuthConfigError(error.to_string()))?;
        if form.iam.is_some() {
            let why = "iam: is for a function behind API Gateway, with ASSET_LEDGER_AUTH=gateway";
            return Err(AuthConfigError(why.to_owned()));
        }
        if !(1..=ISSUERS_MAX).contains(&form.issuers.len()) {
            return Err(AuthConfigError(format!("issuers: must be 1 to {ISSUERS_MAX}")));
        }
        let mut issuers: Vec<TrustedIssuer> = Vec::new();
        for (at, form) in form.issuers.into_iter().enumerate() {
            let of = |why: String| AuthConfigError(format!("issuers[{at}].{why}"));
            let next = form.check().map_err(of)?;
            if issuers.iter().any(|known| known.issuer == next.issuer) {
                return Err(of(format!("issuer: {} is listed twice", next.issuer)));
            }
            issuers.push(next);
        }
        Ok(Self { issuers })
    }
}

impl IssuerForm {
    fn check(self) -> Result<TrustedIssuer, String> {
        check_url(&self.issuer).map_err(|why| format!("issuer: {why}"))?;
        if let Some(url) = &self.jwks_uri {
            check_url(url).map_err(|why| format!("jwks_uri: {why}"))?;
        }
        filled("audiences", &self.audiences)?;
        filled("at_most", &self.at_most)?;
        let algorithms = match &self.algorithms {
            None => TokenAlgorithm::ALL.to_vec(),
            Some(names) => filled("algorithms", names)?
                .iter()
                .map(|name| TokenAlgorithm::named(name).ok_or_else(no_algorithm))
                .collect::<Result<_, _>>()?,
        };
        Ok(TrustedIssuer {
            tenant: self.tenant.check().map_err(|why| format!("tenant: {why}"))?,
            scopes: self.scopes.check().map_err(|why| format!("scopes.map: {why}"))?,
            at_most: read_scopes(&self.at_most).map_err(|why| format!("at_most: {why}"))?,
            issuer: self.issuer,
            audiences: self.audiences,
            jwks_uri: self.jwks_uri,
            algorithms,
            clients: self.clients,
            typ: self.typ,
            own_only: self.own_only,
        })
    }
}

fn no_algorithm() -> String {
    "algorithms: an algorithm is one of RS256, ES256, EdDSA".to_owned()
}

fn filled<'a>(name: &str, list: &'a [String]) -> Result<&'a [String], String> {
    let full = !list.is_empty() && list.iter().all(|item| !item.is_empty());
    full.then_some(list).ok_or_else(|| format!("{name}: must have a value, and no empty one"))
}

/// The scopes of these names.
pub(crate) fn read_scopes(names: &[String]) -> Result<Scopes, String> {
    let read = |name: &String| name.parse::<Scope>().map_err(|why| format!("{name:?}: {why}"));
    names.iter().map(read).collect()
}

/// The tenant of this name.
pub(crate) fn read_tenant(name: &str) -> Result<Tenant, String> {
    name.parse().map_err(|_| format!("{name:?}: a tenant is 1 to 32 of a-z, 0-9 and '-'"))
}

impl TenantForm {
    fn check(self) -> Result<TenantRule, String> {
        match self {
            Self { fixed: Some(name), claim: None, map: None } => {
                Ok(TenantRule::Fixed(read_tenant(&name)?))
            }
            Self { fixed: None, claim: Some(claim), map } => {
                let entries = map.unwrap_or_default().into_iter();
                let map = entries.map(|(value, name)| Ok((value, read_tenant(&name)?)));
                Ok(TenantRule::Claim(claim, map.collect::<Result<_, String>>()?))
            }
            _ => Err("has `fixed`, or `claim` and perhaps `map`".to_owned()),
        }
    }
}

impl ScopesForm {
    fn check(self) -> Result<ScopeRule, String> {
        let map = self.map.into_iter().map(|(value, names)| Ok((value, read_scopes(&names)?)));
        Ok(ScopeRule {
            claim: self.claim.unwrap_or_else(|| "scope".to_owned()),
            prefix: self.prefix.unwrap_or_else(|| "ledger:".to_owned()),
            map: map.collect::<Result<_, String>>()?,
        })
    }
}

/// Refuses a URL that anybody on the way could answer for.
pub(super) fn check_url(text: &str) -> Result<(), String> {
    let uri = text.parse::<Uri>().ok().filter(|_| !text.contains(['@', '#', '?', '|']));
    let host = uri.as_ref().and_then(Uri::host).filter(|host| !host.is_empty());
    let secure = match (uri.as_ref().and_then(Uri::scheme_str), host) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => is_this_machine(host),
        _ => false,
    };
    let refused = || format!("{text:?} must be an https URL without a query; http is for loopback");
    secure.then_some(()).ok_or_else(refused)
}

impl TrustedIssuer {
    /// The URL of the discovery document.
    pub(super) fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'))
    }

    /// Whether discovery may name this URL of keys: an issuer with TLS has its keys behind TLS too.
    pub(super) fn allows_keys_at(&self, url: &str) -> bool {
        let same = url.starts_with("https://") || self.issuer.starts_with("http://");
        same && check_url(url).is_ok()
    }

    /// The tenant of a token with these claims.
    pub(super) fn tenant(&self, claims: &Map<String, Value>) -> Result<Tenant, TokenFlaw> {
        let (claim, map) = match &self.tenant {
            TenantRule::Fixed(tenant) => return Ok(tenant.clone()),
            TenantRule::Claim(claim, map) => (claim, map),
        };
        let value = claims.get(claim).and_then(Value::as_str).ok_or(TokenFlaw::Tenant)?;
        let found = if map.is_empty() { value.parse().ok() } else { map.get(value).cloned() };
        found.ok_or(TokenFlaw::Tenant)
    }

    /// The scopes of a token with these claims: words of a text, or the texts of a list. Others'
    /// scopes are passed over.
    pub(super) fn scopes(&self, claims: &Map<String, Value>) -> Result<Scopes, TokenFlaw> {
        let values: Vec<&str> = match claims.get(&self.scopes.claim) {
            None => Vec::new(),
            Some(Value::String(words)) => words.split(' ').collect(),
            Some(Value::Array(all)) => {
                all.iter().map(Value::as_str).collect::<Option<_>>().ok_or(TokenFlaw::Scopes)?
            }
            Some(_) => return Err(TokenFlaw::Scopes),
        };
        let granted = values.into_iter().flat_map(|value| self.scopes.grants(value));
        Ok(granted.filter(|scope| self.at_most.has(*scope)).collect())
    }
}

impl ScopeRule {
    fn grants(&self, value: &str) -> Vec<Scope> {
        if let Some(scopes) = self.map.get(value) {
            return scopes.iter().collect();
        }
        let named = value.strip_prefix(&self.prefix).and_then(|name| name.parse().ok());
        named.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn full() -> Value {
        json!({"issuers": [{
            "issuer": "https://id.example/", "audiences": ["ledger"], "at_most": ["read"],
            "jwks_uri": "https://id.example/keys", "algorithms": ["ES256"], "clients": ["web"],
            "typ": "at+jwt", "tenant": {"claim": "org", "map": {"o-1": "acme"}},
            "scopes": {"claim": "roles", "prefix": "", "map": {"Reader": ["read"]}},
            "own_only": true,
        }]})
    }

    fn refused(change: impl FnOnce(&mut Value)) -> String {
        let mut config = full();
        change(&mut config);
        AuthConfig::parse(&config.to_string()).expect_err(&config.to_string()).to_string()
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let config = AuthConfig::parse(&full().to_string()).unwrap();
        let found = &config.issuers[0];
        assert_eq!(found.discovery(), "https://id.example/.well-known/openid-configuration");
        assert_eq!(found.algorithms, [TokenAlgorithm::Es256]);
        assert!(found.own_only);
        assert!(refused(|it| it["iam"] = json!([])).contains("iam: is for"));
        assert!(refused(|it| it["iams"] = json!([])).contains("`iams`"));
        for (field, value, told) in [
            ("own_only", json!("yes"), "boolean"),
            ("own", json!(true), "`own`"),
            ("audience", json!("ledger"), "`audience`"),
            ("issuer", json!("http://id.example"), "issuers[0].issuer: \"http://id.example\""),
            ("issuer", json!("https://u@id.example"), "issuer"),
            ("issuer", json!("id.example"), "issuer"),
            ("issuer", json!("https://id.example?x"), "issuer"),
            ("jwks_uri", json!("http://10.0.0.1/keys"), "jwks_uri"),
            ("audiences", json!([]), "audiences"),
            ("audiences", json!([""]), "audiences"),
            ("audiences", json!("ledger"), "sequence"),
            ("algorithms", json!(["HS256"]), "RS256, ES256, EdDSA"),
            ("algorithms", json!(["none"]), "RS256, ES256, EdDSA"),
            ("algorithms", json!([]), "algorithms"),
            ("at_most", json!([]), "at_most"),
            ("at_most", json!(["fly"]), "\"fly\""),
            ("tenant", json!({}), "fixed"),
            ("tenant", json!({"fixed": "A b"}), "\"A b\""),
            ("tenant", json!({"fixed": "a", "claim": "org"}), "fixed"),
            ("tenant", json!({"fixed": "a", "map": {}}), "fixed"),
            ("tenant", json!({"claim": "org", "map": {"x": "B"}}), "\"B\""),
            ("tenant", json!({"claims": "org"}), "claims"),
            ("scopes", json!({"map": {"x": ["fly"]}}), "\"fly\""),
            ("scopes", json!({"clam": "x"}), "clam"),
        ] {
            let error = refused(|it| it["issuers"][0][field] = value);
            assert!(error.contains(told), "{field}: {error}");
        }
        for missing in ["issuer", "audiences", "tenant", "at_most"] {
            let without = |it: &mut Value| {
                it["issuers"][0].as_object_mut().unwrap().remove(missing);
            };
            assert!(refused(without).contains(missing));
        }
        let twice = refused(|it| {
            let first = it["issuers"][0].clone();
            it["issuers"].as_array_mut().unwrap().push(first);
        });
        assert_eq!(twice, "issuers[1].issuer: https://id.example/ is listed twice");
        assert!(refused(|it| it["issuers"] = json!([])).contains("issuers"));
        assert!(AuthConfig::parse(&format!("{} x", full())).is_err());
    }

    #[test]
    fn loopback_alone_may_do_without_tls() {
        for url in ["http://127.0.0.1:9/x", "http://localhost", "http://[::1]:1", "https://a.b/c"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in ["http://localhost.example", "http://127.0.0.1@evil.example", "ftp://a", ""] {
            assert!(check_url(url).is_err(), "{url}");
        }
        let at = |issuer: &str, url| {
            let mut config = full();
            config["issuers"][0]["issuer"] = json!(issuer);
            let config = AuthConfig::parse(&config.to_string()).unwrap();
            config.issuers[0].allows_keys_at(url)
        };
        assert!(at("https://a.example", "https://b.example/keys"));
        assert!(!at("https://a.example", "http://127.0.0.1/keys"), "its keys are behind TLS too");
        assert!(at("http://127.0.0.1:1", "http://127.0.0.1:2/keys"));
        assert!(!at("http://127.0.0.1:1", "http://b.example/keys"));
    }
}
