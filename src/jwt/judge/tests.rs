//! Every clause of the judgement, at its edge.

#![allow(clippy::needless_pass_by_value, reason = "claims are written where they are used")]

use serde_json::json;

use super::*;
use crate::jwt::AuthConfig;

/// The time of the judgements.
const NOW: i64 = 1_800_000_000;

fn trust(more: Value) -> TrustedIssuer {
    let mut issuer = json!({"issuer": "https://id.example", "audiences": ["ledger", "other"],
        "tenant": {"fixed": "acme"}, "at_most": ["read", "write"]});
    issuer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    AuthConfig::parse(&json!({"issuers": [issuer]}).to_string()).unwrap().issuers.remove(0)
}

/// The claims of an accepted token, with these changed; null takes one away.
fn claims(changes: Value) -> Map<String, Value> {
    let mut claims = json!({"iss": "https://id.example", "aud": "ledger", "sub": "ann",
        "exp": NOW + 300, "iat": NOW, "nbf": NOW, "scope": "ledger:read openid"});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims.as_object().unwrap().clone()
}

fn judged(changes: Value, more: Value) -> Result<JudgedToken, TokenFlaw> {
    judge(&claims(changes), &trust(more), DateTime::from_timestamp(NOW, 0).unwrap())
}

#[test]
fn a_good_token_names_its_bearer() {
    let found = judged(json!({}), json!({})).unwrap();
    assert_eq!((&*found.subject, &*found.acting), ("https://id.example|ann", ""));
    assert_eq!((found.tenant.as_str(), found.scopes.names()), ("acme", vec!["read"]));
    assert_eq!(found.expires_at.timestamp(), NOW + 300);
    assert!(!found.own_only && judged(json!({}), json!({"own_only": true})).unwrap().own_only);
}

#[test]
fn every_clause_has_its_edge() {
    use TokenFlaw as F;
    let far = json!(1e300);
    for (changes, expected) in [
        (json!({"iss": null}), Err(F::Issuer)),
        (json!({"iss": 7}), Err(F::Issuer)),
        (json!({"iss": ["https://evil.example", "https://id.example"]}), Err(F::Issuer)),
        (json!({"iss": "https://id.example/"}), Err(F::Issuer)),
        (json!({"iss": "HTTPS://id.example"}), Err(F::Issuer)),
        (json!({"aud": null}), Err(F::Audience)),
        (json!({"aud": ""}), Err(F::Audience)),
        (json!({"aud": "ledge"}), Err(F::Audience)),
        (json!({"aud": {"ledger": true}}), Err(F::Audience)),
        (json!({"aud": []}), Err(F::Audience)),
        (json!({"aud": ["a", "b"]}), Err(F::Audience)),
        (json!({"aud": ["ledger", 7]}), Err(F::Audience)),
        (json!({"aud": [["ledger"]]}), Err(F::Audience)),
        (json!({"aud": ["a", "other"]}), Ok(())),
        (json!({"exp": null}), Err(F::Expired)),
        (json!({"exp": (NOW + 300).to_string()}), Err(F::Expired)),
        (json!({"exp": far.clone()}), Err(F::Expired)),
        (json!({"exp": -1}), Err(F::Expired)),
        (json!({"exp": NOW - 60}), Err(F::Expired)),
        (json!({"exp": NOW - 59}), Ok(())),
        (json!({"exp": NOW - 60, "iat": NOW - 900}), Err(F::Expired)),
        (json!({"exp": NOW + 60, "nbf": null, "iat": null}), Ok(())),
        (json!({"nbf": NOW + 61}), Err(F::Early)),
        (json!({"nbf": NOW + 60}), Ok(())),
        (json!({"nbf": far}), Err(F::Early)),
        (json!({"nbf": "0"}), Err(F::Early)),
        (json!({"iat": NOW + 61}), Err(F::IssuedLater)),
        (json!({"iat": NOW + 60}), Ok(())),
        (json!({"iat": true}), Err(F::IssuedLater)),
        (json!({"sub": null}), Err(F::Subject)),
        (json!({"sub": ""}), Err(F::Subject)),
        (json!({"sub": 7}), Err(F::Subject)),
        (json!({"sub": "ann;act=bob"}), Err(F::Subject)),
        (json!({"act": "bob"}), Err(F::Subject)),
        (json!({"act": {}}), Err(F::Subject)),
        (json!({"act": {"sub": ""}}), Err(F::Subject)),
        (json!({"act": {"sub": "bob"}}), Ok(())),
        (json!({"scope": 7}), Err(F::Scopes)),
        (json!({"scope": ["ledger:read", 7]}), Err(F::Scopes)),
        (json!({"scope": null}), Ok(())),
    ] {
        assert_eq!(judged(changes.clone(), json!({})).map(|_| ()), expected, "{changes}");
    }
    let half = json!({"exp": 1_799_999_940.5});
    assert!(judged(half, json!({})).is_ok(), "half a second is left");
    let acting = judged(json!({"act": {"sub": "bob"}}), json!({})).unwrap();
    assert_eq!((&*acting.subject, &*acting.acting), ("https://id.example|ann", ";act=bob"));
}

#[test]
fn scopes_are_the_granted_ones_and_at_most_those_of_the_configuration() {
    let scopes = |scope: Value, rule: Value| {
        let more = json!({"scopes": rule});
        judged(json!({"scope": scope, "roles": scope}), more).unwrap().scopes.to_string()
    };
    let own = json!({});
    assert_eq!(scopes(json!("ledger:read ledger:write"), own.clone()), "read write");
    assert_eq!(scopes(json!(["ledger:read", "ledger:write"]), own.clone()), "read write");
    for none in ["", "read", "ledger:READ", "xledger:read", "ledger:ledger:read", "ledger:"] {
        assert_eq!(scopes(json!(none), own.clone()), "", "{none}");
    }
    assert_eq!(scopes(json!("ledger:purge ledger:admin ledger:read"), own), "read");
    let mapped = json!({"claim": "roles", "map": {"Editor": ["read", "write", "purge"]}});
    assert_eq!(scopes(json!(["Editor"]), mapped.clone()), "read write");
    assert_eq!(scopes(json!(["editor", "ledger:read"]), mapped), "read");
    assert_eq!(scopes(json!("read"), json!({"prefix": ""})), "read");
}

#[test]
fn the_tenant_is_the_one_of_the_configuration() {
    let tenant = |org: Value, rule: Value| {
        let found = judged(json!({"org": org}), json!({"tenant": rule}));
        found.map(|it| it.tenant.as_str().to_owned())
    };
    let (own, map) = (json!({"claim": "org"}), json!({"claim": "org", "map": {"o-1": "acme"}}));
    assert_eq!(tenant(json!("beta"), own.clone()), Ok("beta".into()));
    assert_eq!(tenant(json!("o-1"), map.clone()), Ok("acme".into()));
    for none in [json!(null), json!(7), json!(["o-1"]), json!("A b"), json!("")] {
        assert_eq!(tenant(none.clone(), own.clone()), Err(TokenFlaw::Tenant), "{none}");
        assert_eq!(tenant(none, map.clone()), Err(TokenFlaw::Tenant));
    }
    assert_eq!(tenant(json!("acme"), map), Err(TokenFlaw::Tenant), "the map is all there is");
}

#[test]
fn a_list_of_clients_is_kept_to() {
    let with = |changes: Value| {
        judged(changes, json!({"clients": ["web", "app"]}))
            .map_err(|flaw| flaw == TokenFlaw::Client)
    };
    for good in [json!({"azp": "web"}), json!({"client_id": "app"})] {
        assert!(with(good).is_ok());
    }
    let both = json!({"azp": "web", "client_id": "evil"});
    for bad in [json!({}), json!({"azp": "evil"}), json!({"azp": ["web"]}), both] {
        assert!(with(bad.clone()).unwrap_err(), "{bad}");
    }
}
