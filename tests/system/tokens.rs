//! Tokens of an issuer as an operator sets them up, with the real program.

#[allow(dead_code, reason = "the unit tests use all of it")]
#[path = "../../src/jwt/tests/issuer.rs"]
mod issuer;

use std::path::Path;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::issuer::{Conduct, LoopbackIssuer, SigningKey};
use crate::server::{PATIENCE, ServeProcess, program};

fn config(url: &str) -> Value {
    json!({"issuers": [{"issuer": url, "audiences": ["ledger"], "tenant": {"fixed": "acme"},
        "at_most": ["read", "write", "audit"]}]})
}

#[allow(clippy::disallowed_methods, reason = "the program that is tested has the real clock")]
fn claims(url: &str, sub: &str) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    json!({"iss": url, "aud": ["ledger"], "sub": sub, "exp": now + 300, "iat": now,
        "scope": "openid ledger:read ledger:write ledger:audit"})
}

async fn told(server: &ServeProcess, token: &str) -> (u16, Value) {
    let answer = server.request(Method::GET, "/me").bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_its_bearer_in_through_a_rotation_and_an_outage() {
    let folder = TempDir::new().unwrap();
    let data = &folder.path().join("data");
    let created = program().args(["tenant", "create", "acme", "--data"]).arg(data).status();
    assert!(created.unwrap().success());
    let (first, second) = (SigningKey::es256("one"), SigningKey::rs256("two"));
    let issuer = LoopbackIssuer::start(&[&first]).await;
    issuer.behave(Conduct::Fails);
    let file = folder.path().join("auth.json");
    std::fs::write(&file, config(&issuer.url).to_string()).unwrap();
    let mut command = program();
    command.env("ASSET_LEDGER_AUTH", "required").env("ASSET_LEDGER_AUTH_CONFIG", &file);
    let server = ServeProcess::start_as(command, data);
    assert_eq!(server.get("/readyz").await.status(), 200, "it does not need the issuer");

    let token = first.token(&claims(&issuer.url, "ann"));
    let (status, answer) = told(&server, &token).await;
    assert_eq!((status, &answer["code"]), (503, &json!("issuer.unavailable")));
    issuer.behave(Conduct::Well);
    tokio::time::timeout(PATIENCE, async {
        while told(&server, &token).await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the issuer came back");
    let asset = server.request(Method::POST, "/asset").bearer_auth(&token).send().await.unwrap();
    assert_eq!(asset.status(), 201);
    let id = asset.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
    let history = server.request(Method::GET, &format!("/asset/{id}/history"));
    let history: Value = history.bearer_auth(&token).send().await.unwrap().json().await.unwrap();
    assert_eq!(history["events"][0]["actor"], format!("{}|ann", issuer.url));

    issuer.publish(&[&second]);
    let fetches = issuer.fetches();
    let next = second.token(&claims(&issuer.url, "bob"));
    assert_eq!(told(&server, &next).await.0, 200);
    assert_eq!(issuer.fetches(), fetches + 1, "one refetch");
    issuer.behave(Conduct::Hangs);
    let later = second.token(&claims(&issuer.url, "eve"));
    assert_eq!(told(&server, &later).await.0, 200, "what is known serves while it is away");
    let stranger = SigningKey::es256("three").token(&claims(&issuer.url, "mallory"));
    let (status, answer) = told(&server, &stranger).await;
    assert_eq!((status, &answer["code"]), (401, &json!("token.invalid")));

    let log = server.stopped_log();
    assert!(log.contains("the keys of an issuer of tokens were not fetched"), "{log}");
    let journal = std::fs::read(data.join("journal.sqlite")).unwrap();
    for token in [&token, &next, &later, &stranger] {
        for part in token.split('.').skip(1) {
            assert!(!log.contains(part), "a part of a token is in the log");
            let mut stored = journal.windows(part.len());
            assert!(!stored.any(|it| it == part.as_bytes()), "a part of a token is stored");
        }
    }
}

/// What `serve` says with this configuration, and these arguments too.
fn refused(data: &Path, config: &str, arguments: &[&str]) -> String {
    let mut command = program();
    command.env("ASSET_LEDGER_AUTH_CONFIG", config).args(["serve", "--data"]).arg(data);
    let output = command.args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{config}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let data = &folder.path().join("data");
    let required = ["--auth", "required"];
    let good = config("https://id.example");
    let mut iam = good.clone();
    iam["iam"] = json!([]);
    let mut misspelt = good.clone();
    misspelt["issuers"][0]["own_ony"] = json!(true);
    let mut twice = good.clone();
    twice["issuers"] = json!([good["issuers"][0], good["issuers"][0]]);
    for (config, told) in [
        (iam, "iam: is for a function"),
        (misspelt, "`own_ony`"),
        (twice, "is listed twice"),
        (config("http://id.example"), "must be an https URL"),
    ] {
        let error = refused(data, &config.to_string(), &required);
        assert!(error.contains("--auth-config") && error.contains(told), "{error}");
    }
    let error = refused(data, &good.to_string(), &[]);
    assert!(error.contains("--auth required"), "{error}");
    let error = refused(data, "nowhere.json", &required);
    assert!(error.contains("--auth-config nowhere.json"), "{error}");
    assert!(!data.exists(), "nothing is created");
}
