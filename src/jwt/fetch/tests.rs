//! Issuers that answer badly, on a real socket.

use std::time::Instant;

use serde_json::json;

use super::*;
use crate::jwt::AuthConfig;
use crate::jwt::tests::config;
use crate::jwt::tests::issuer::{Conduct, LoopbackIssuer, SigningKey};

async fn fetched(issuer: &LoopbackIssuer, more: serde_json::Value) -> Result<Jwks, String> {
    let config: AuthConfig = config(&issuer.url, &more);
    let fetched = HttpJwks::new().fetch(&config.issuers[0]).await;
    fetched.map_err(|error| ledger::error::chain(&*error))
}

#[tokio::test]
async fn an_issuer_that_answers_badly_gives_no_keys() {
    let key = SigningKey::es256("one");
    let issuer = LoopbackIssuer::start(&[&key]).await;
    assert!(fetched(&issuer, json!({})).await.unwrap().has("one"));
    for (conduct, told) in [
        (Conduct::Fails, "answered 500"),
        (Conduct::Hangs, "no answer within 2s"),
        (Conduct::Redirects, "answered 302"),
        (Conduct::Huge, "limit"),
        (Conduct::Html, "\"text/html\""),
        (Conduct::NotJson, "not JSON of a key set"),
        (Conduct::OtherIssuer, "another issuer"),
        (Conduct::InsecureKeys, "not https"),
        (Conduct::TooManyKeys, "more than 64 keys"),
    ] {
        issuer.behave(conduct);
        let begun = Instant::now();
        let error = fetched(&issuer, json!({})).await.unwrap_err();
        assert!(error.contains(told), "{conduct:?}: {error}");
        assert!(begun.elapsed() < PATIENCE * 2, "{conduct:?}");
    }
    // Keys at a stated URL need no discovery.
    issuer.behave(Conduct::OtherIssuer);
    let stated = json!({"jwks_uri": format!("{}/keys", issuer.url)});
    assert!(fetched(&issuer, stated).await.unwrap().has("one"));
    let in_clear = issuer.url.replace("http:", "https:");
    let in_clear = json!({"jwks_uri": format!("{in_clear}/keys")});
    assert!(fetched(&issuer, in_clear).await.is_err(), "https is not given up");
    let nobody = json!({"jwks_uri": "http://127.0.0.1:1/keys"});
    assert!(fetched(&issuer, nobody).await.is_err());
}

#[test]
fn json_has_several_media_types() {
    for media in ["application/json", "application/jwk-set+json", "Application/JSON; charset=utf-8"]
    {
        assert!(is_json(media), "{media}");
    }
    for media in ["", "text/html", "application/octet-stream", "application/jsonp", "json"] {
        assert!(!is_json(media), "{media}");
    }
}
