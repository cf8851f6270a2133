//! Tokens of a real issuer at the whole API: who is let in, and what is refused before what.

pub(crate) mod issuer;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::TimeDelta;
use ledger::Effects as _;
use ledger::access::{AccessCommand, Scope};
use ledger::testing::TestEffects;
use serde_json::{Value, json};

use self::issuer::{Conduct, LoopbackIssuer, SigningKey};
use super::{AuthConfig, TokenVerifier};
use crate::http::tests::world::{HttpAnswer, HttpFixture, request};

/// A configuration that trusts this issuer.
pub(crate) fn config(url: &str, more: &Value) -> AuthConfig {
    let mut issuer = json!({"issuer": url, "audiences": ["ledger"], "tenant": {"claim": "org"},
        "at_most": ["read", "write"]});
    issuer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    AuthConfig::parse(&json!({"issuers": [issuer]}).to_string()).unwrap()
}

/// The API, its clock for tokens, and an issuer that it trusts.
struct World {
    http: HttpFixture,
    issuer: LoopbackIssuer,
    key: SigningKey,
    clock: Arc<TestEffects>,
}

impl World {
    async fn new() -> Self {
        Self::trusting(&json!({})).await
    }

    async fn trusting(more: &Value) -> Self {
        let key = SigningKey::es256("one");
        let issuer = LoopbackIssuer::start(&[&key]).await;
        let clock = Arc::new(TestEffects::seeded(1));
        let tokens = TokenVerifier::new(config(&issuer.url, more), clock.clone());
        let http = HttpFixture::trusting(tokens);
        http.operate("main", AccessCommand::Create).await;
        Self { http, issuer, key, clock }
    }

    /// The claims of a token that is accepted, with these changed.
    fn claims(&self, changes: &Value) -> Value {
        let now = self.clock.now().timestamp();
        let mut claims = json!({"iss": self.issuer.url, "aud": "ledger", "sub": "ann",
            "exp": now + 300, "org": "main", "scope": "ledger:read ledger:write"});
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims
    }

    fn token(&self, changes: &Value) -> String {
        self.key.token(&self.claims(changes))
    }

    async fn call(&self, token: &str, line: &str) -> HttpAnswer {
        let bearer = format!("Bearer {token}");
        let named = [("authorization", &*bearer), ("x-request-id", "r")];
        self.http.send(request(line, &named, "")).await
    }

    /// The status and the code of a refusal, or the status and nothing.
    async fn told(&self, token: &str) -> (u16, String) {
        let answer = self.call(token, "GET /asset").await;
        let code = if answer.status == 200 { String::new() } else { answer.code() };
        (answer.status.as_u16(), code)
    }

    async fn refused(&self, token: &str, why: &str) {
        let answer = self.call(token, "GET /asset").await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (401, "token.invalid"), "{why}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
        assert!(answer.body.contains(why), "{why}: {}", answer.body);
        for part in token.split('.').filter(|part| part.len() > 12) {
            assert!(!answer.body.contains(part), "{why}: a part of the token is in the answer");
        }
    }
}

#[tokio::test]
async fn the_bearer_is_recorded_and_may_do_what_the_token_says() {
    let world = World::new().await;
    let token = world.token(&json!({"act": {"sub": "bob"}}));
    let me = world.call(&token, "GET /me").await.json();
    let subject = format!("{}|ann", world.issuer.url);
    assert_eq!(
        (&me["method"], &me["actor"]),
        (&json!("jwt"), &json!(format!("{subject};act=bob")))
    );
    assert_eq!(me["scopes"], json!(["read", "write"]));
    let created = world.call(&token, "POST /asset").await;
    assert_eq!(created.status, 201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let missing = world.call(&token, &format!("GET /asset/{id}/history")).await;
    assert_eq!((missing.status.as_u16(), &*missing.code()), (403, "scope.missing"));
    let auditor = world.http.key("main", &[Scope::Audit]).await;
    let history = world.http.call_as(&auditor, &format!("GET /asset/{id}/history")).await.json();
    assert_eq!(history["events"][0]["actor"], format!("{subject};act=bob"));

    let long = world.token(&json!({"sub": "x".repeat(300)}));
    let me = world.call(&long, "GET /me").await.json();
    assert_eq!(me["actor"].as_str().unwrap().len(), 128);
    let nothing = world.token(&json!({"scope": "openid"}));
    assert_eq!(world.told(&nothing).await, (403, "scope.missing".into()));
    let refused = world.call(&nothing, "GET /asset").await;
    assert!(refused.body.contains("an API key or a token with the scope read"), "{}", refused.body);
    let bare = world.http.call("GET /asset").await;
    assert!(bare.body.contains("this needs an API key or a token: "), "{}", bare.body);
}

#[tokio::test]
async fn a_subject_of_its_own_assets_has_them_whoever_acts_for_it() {
    let world = World::trusting(&json!({"own_only": true})).await;
    let acting = world.token(&json!({"act": {"sub": "bob"}}));
    let created = world.call(&acting, "POST /asset").await.json();
    let state = format!("GET /asset/{}/state", created["id"].as_str().unwrap());
    assert_eq!(world.call(&acting, "GET /me").await.json()["own_only"], true);
    let long = "x".repeat(300);
    for (changes, status) in [
        (json!({}), 200),
        (json!({"act": {"sub": "eve"}}), 200),
        (json!({"sub": "bob"}), 404),
        (json!({"sub": "bob", "act": {"sub": "ann"}}), 404),
        (json!({"sub": "ann;\tact=bob"}), 404),
        (json!({"sub": long}), 404),
    ] {
        let token = world.token(&changes);
        assert_eq!(world.call(&token, &state).await.status, status, "{changes}");
        let own = world.call(&token, "POST /asset").await.json();
        let own = format!("GET /asset/{}/state", own["id"].as_str().unwrap());
        assert_eq!(world.call(&token, &own).await.status, 200, "{changes}: its own");
    }
}

#[tokio::test]
async fn a_token_is_refused_before_and_after_its_signature() {
    let world = World::new().await;
    let (key, good) = (&world.key, world.claims(&json!({})).to_string());
    let header = |changes: Value| {
        let mut header = json!({"alg": "ES256", "kid": "one", "typ": "JWT"});
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        key.sign(&header.to_string(), &good)
    };
    for (token, why) in [
        ("a.b.c".to_owned(), "not a signed JWT"),
        (header(json!({})).replace('.', ""), "not a signed JWT"),
        (format!("{}.x", header(json!({}))), "not a signed JWT"),
        (key.sign("[]", &good), "not a signed JWT"),
        (key.sign("{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"one\"}", &good), "each name once"),
        (
            key.sign(
                "{\"alg\":\"ES256\",\"kid\":\"one\"}",
                &good.replacen('{', "{\"sub\":\"eve\",", 1),
            ),
            "each name once",
        ),
        (header(json!({"alg": "none"})), "its alg"),
        (header(json!({"alg": "HS256"})), "its alg"),
        (header(json!({"alg": "es256"})), "its alg"),
        (header(json!({"alg": null})), "its alg"),
        (header(json!({"crit": ["exp"]})), "crit"),
        (header(json!({"jku": "https://evil.example/keys"})), "jku"),
        (header(json!({"jwk": key.jwk()})), "jwk"),
        (header(json!({"x5u": "https://evil.example/x"})), "x5u"),
        (world.token(&json!({"iss": "https://evil.example"})), "its iss"),
        (world.token(&json!({"iss": 7})), "its iss"),
        (world.token(&json!({"iss": ["https://evil.example", world.issuer.url]})), "its iss"),
        (world.token(&json!({"iss": null})), "its iss"),
        (header(json!({"kid": null})), "no kid"),
    ] {
        world.refused(&token, why).await;
    }
    assert_eq!(world.issuer.fetches(), 0, "nothing of these asks the issuer");
    let at = |seconds: i64| world.clock.now().timestamp() + seconds;
    let signed = header(json!({}));
    let (start, end) = signed.rsplit_once('.').unwrap();
    let flipped = end.replacen(&end[9..10], if &end[9..10] == "A" { "B" } else { "A" }, 1);
    let other = SigningKey::es256("one").token(&world.claims(&json!({})));
    for (token, why) in [
        (format!("{start}.{flipped}"), "its signature"),
        (format!("{start}."), "its signature"),
        (other, "its signature"),
        (header(json!({"alg": "RS256"})), "not for signatures of its alg"),
        (header(json!({"alg": "EdDSA"})), "not for signatures of its alg"),
        (header(json!({"kid": "two"})), "no key of its kid"),
        (world.token(&json!({"aud": null})), "its aud"),
        (world.token(&json!({"aud": {"ledger": 1}})), "its aud"),
        (world.token(&json!({"exp": at(-60)})), "its exp"),
        (world.token(&json!({"nbf": at(90_000_000)})), "its nbf"),
        (world.token(&json!({"sub": ""})), "its sub"),
        (world.token(&json!({"org": "Main"})), "no tenant"),
        (world.token(&json!({"org": "nobody"})), "no tenant"),
    ] {
        world.refused(&token, why).await;
    }
    assert_eq!(world.told(&world.token(&json!({"exp": at(-59)}))).await.0, 200);
    assert_eq!(world.told(&header(json!({"typ": null}))).await.0, 200);
    assert_eq!(world.issuer.fetches(), 2, "the keys, and once for the unknown kid");
}

#[tokio::test]
async fn every_algorithm_has_its_keys_and_no_others() {
    let keys = [SigningKey::rs256("r"), SigningKey::es256("e"), SigningKey::eddsa("o")];
    let world = World::new().await;
    world.issuer.publish(&[&keys[0], &keys[1], &keys[2]]);
    for key in &keys {
        assert_eq!(world.told(&key.token(&world.claims(&json!({})))).await.0, 200, "{}", key.alg());
        for other in keys.iter().filter(|other| other.kid != key.kid) {
            let header = json!({"alg": key.alg(), "kid": other.kid}).to_string();
            let token = key.sign(&header, &world.claims(&json!({})).to_string());
            world.refused(&token, "not for signatures of its alg").await;
        }
    }
    let only = World::trusting(&json!({"algorithms": ["RS256"], "typ": "at+jwt"})).await;
    only.refused(&only.token(&json!({})), "its alg").await;
    only.issuer.publish(&[&keys[0]]);
    let with = |typ: &str| {
        let header = json!({"alg": "RS256", "kid": "r", "typ": typ}).to_string();
        keys[0].sign(&header, &only.claims(&json!({})).to_string())
    };
    only.refused(&with("JWT"), "its typ").await;
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        assert_eq!(only.told(&with(typ)).await.0, 200, "{typ}");
    }
}

#[tokio::test]
async fn a_key_for_another_use_checks_no_signature() {
    use super::judge::TokenFlaw as F;
    use super::jwk::{Jwks, TokenAlgorithm as A};
    let (ec, rsa) = (SigningKey::es256("k"), SigningKey::rs256("k"));
    let check = |key: &SigningKey, changes: Value| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let keys = Jwks::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
        let token = key.token(&json!({}));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        keys.check((A::named(key.alg()).unwrap(), "k"), signed, signature)
    };
    let number = |first: u8, bytes: usize| {
        let mut number = vec![0xff; bytes];
        number[0] = first;
        BASE64.encode(number)
    };
    for (key, changes, expected) in [
        (&ec, json!({}), Ok(())),
        (&rsa, json!({}), Ok(())),
        (&ec, json!({"use": "sig", "key_ops": ["sign", "verify"], "alg": "ES256"}), Ok(())),
        (&ec, json!({"use": "enc"}), Err(F::KeyUnfit)),
        (&ec, json!({"key_ops": ["sign"]}), Err(F::KeyUnfit)),
        (&ec, json!({"key_ops": []}), Err(F::KeyUnfit)),
        (&ec, json!({"alg": "ES384"}), Err(F::KeyUnfit)),
        (&ec, json!({"crv": "P-384"}), Err(F::KeyUnfit)),
        (&ec, json!({"kty": "oct", "k": "c2VjcmV0"}), Err(F::KeyUnfit)),
        (&ec, json!({"kid": "other"}), Err(F::KeyUnknown)),
        (&ec, json!({"kid": null}), Err(F::KeyUnknown)),
        (&ec, json!({"x": null}), Err(F::Signature)),
        (&rsa, json!({"alg": "RSA-OAEP"}), Err(F::KeyUnfit)),
        (&rsa, json!({"n": number(0x7f, 256)}), Err(F::KeyUnfit)),
        (&rsa, json!({"n": number(0, 256)}), Err(F::KeyUnfit)),
        (&rsa, json!({"n": number(0x80, 256)}), Err(F::Signature)),
        (&rsa, json!({"n": null}), Err(F::KeyUnfit)),
    ] {
        assert_eq!(check(key, changes.clone()), expected, "{changes}");
    }
}

#[tokio::test]
async fn a_rotation_and_an_outage_are_lived_through() {
    let world = World::new().await;
    world.issuer.behave(Conduct::Fails);
    let first = world.token(&json!({}));
    let away = world.call(&first, "GET /asset").await;
    assert_eq!((away.status.as_u16(), &*away.code()), (503, "issuer.unavailable"));
    assert!(away.headers.contains_key("retry-after"));
    let key = world.http.key("main", &[Scope::Read]).await;
    assert_eq!(world.http.call_as(&key, "GET /asset").await.status, 200, "keys need no issuer");
    assert_eq!(world.http.call("GET /readyz").await.status, 200);

    world.issuer.behave(Conduct::Well);
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        while world.told(&first).await.0 != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it came back");
    let fetches = world.issuer.fetches();
    let next = SigningKey::rs256("two");
    world.issuer.publish(&[&world.key, &next]);
    assert_eq!(world.told(&next.token(&world.claims(&json!({})))).await.0, 200);
    assert_eq!(world.issuer.fetches(), fetches + 1);
    world.issuer.behave(Conduct::Fails);
    assert_eq!(world.told(&world.token(&json!({"sub": "new"}))).await.0, 200);
    let third = SigningKey::es256("three").token(&world.claims(&json!({})));
    world.refused(&third, "no key of its kid").await;
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_exp_and_with_its_tenant() {
    let world = World::new().await;
    let token = world.token(&json!({"exp": world.clock.now().timestamp() + 30}));
    assert_eq!(world.told(&token).await.0, 200);
    world.clock.advance(TimeDelta::seconds(89));
    assert_eq!(world.told(&token).await.0, 200, "a minute of grace");
    world.clock.advance(TimeDelta::seconds(1));
    world.refused(&token, "its exp").await;
    let token = world.token(&json!({}));
    assert_eq!(world.told(&token).await.0, 200);
    world.http.operate("main", AccessCommand::Suspend(None)).await;
    assert_eq!(world.told(&token).await, (403, "tenant.suspended".into()));
}

#[tokio::test]
async fn a_token_is_one_header_and_has_no_other_place() {
    let world = World::new().await;
    let token = world.token(&json!({}));
    let bearer = format!("Bearer {token}");
    let send = async |line: &str, headers: &[(&str, &str)]| {
        let answer = world.http.send(request(line, headers, "")).await;
        (answer.status.as_u16(), if answer.status == 200 { String::new() } else { answer.code() })
    };
    let twice = [("authorization", &*bearer), ("authorization", &*bearer)];
    assert_eq!(send("GET /me", &twice).await, (401, "credential.invalid".into()));
    let padded = world.token(&json!({"pad": "x".repeat(9_000)}));
    let large = [("authorization", &*format!("Bearer {padded}"))];
    assert_eq!(send("GET /me", &large).await, (401, "credential.invalid".into()));
    let cookie = format!("access_token={token}");
    let query = format!("GET /me?access_token={token}");
    assert_eq!(send("GET /me", &[("cookie", &cookie)]).await, (401, "credential.missing".into()));
    assert_eq!(send(&query, &[]).await, (401, "credential.missing".into()));
    let on_behalf = [("authorization", &*bearer), ("on-behalf-of", "bob")];
    assert_eq!(send("GET /me", &on_behalf).await, (400, "on_behalf_of.invalid".into()));
    assert_eq!(send("GET /me", &[("authorization", &bearer)]).await.0, 200);
    assert_eq!(world.told("alk_main_1_2").await, (401, "credential.invalid".into()));
    let none = HttpFixture::deciding(crate::http::AuthMode::Required);
    let answer = none.send(request("GET /me", &[("authorization", &bearer)], "")).await;
    assert_eq!(answer.code(), "credential.invalid", "no issuer is trusted here");
}
