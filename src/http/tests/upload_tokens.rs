//! Upload tokens: what they allow, and each way in which one is refused.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use ledger::access::{AccessCommand, ApiKey, KeyId, Scope, UploadGrant};
use ledger::testing::TestEffects;
use serde_json::{Value, json};
use tracing::Level;

use super::logs::Lines;
use super::world::{HttpAnswer, HttpFixture, request};
use crate::http::AuthMode;

const PDF: &str = r#"{"content_type": "application/pdf", "size": 11}"#;

fn now() -> DateTime<Utc> {
    ledger::time::parse("2026-11-23T08:00:00.000000Z").unwrap()
}

fn grant(id: &str) -> UploadGrant {
    UploadGrant {
        id: id.to_owned(),
        issued_at: now(),
        expires_at: now() + TimeDelta::minutes(10),
        assets: 3,
        object_bytes: 1_000,
        types: vec!["application/pdf".to_owned(), "image/*".to_owned()],
        acting_for: Some("ann".to_owned()),
    }
}

struct Uploads {
    world: HttpFixture,
    key: ApiKey,
    token: String,
}

impl Uploads {
    async fn new() -> Self {
        let world = HttpFixture::deciding(AuthMode::Required);
        let key = world.key("main", &Scope::ALL).await;
        let token = key.sign_upload(&grant("form")).unwrap();
        Self { world, key, token }
    }

    async fn send(&self, token: &str, line: &str, number: &str, body: &str) -> HttpAnswer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", &*bearer), ("x-request-id", "r")];
        if !number.is_empty() {
            headers.push(("idempotency-key", number));
        }
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        self.world.send(request(line, &headers, body)).await
    }

    /// A creation with the token, its status and code.
    async fn create(&self, number: &str, body: &str) -> (u16, String) {
        told(&self.send(&self.token, "POST /asset", number, body).await)
    }

    /// Whether a token is let in.
    async fn refused(&self, token: &str) -> (u16, String, String) {
        let answer = self.send(token, "POST /asset", "1", PDF).await;
        let (status, code) = told(&answer);
        let challenge =
            answer.headers.get("www-authenticate").map(|it| it.to_str().unwrap().into());
        (status, code, challenge.unwrap_or_default())
    }
}

fn told(answer: &HttpAnswer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

const INVALID: &str = "Bearer error=\"invalid_token\"";

#[tokio::test]
async fn a_token_creates_uploads_and_confirms_and_the_history_names_key_and_token() {
    let it = Uploads::new().await;
    let created = it.send(&it.token, "POST /asset", "1", PDF).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let again = it.send(&it.token, "POST /asset", "1", PDF).await;
    assert_eq!((again.status, &again.json()["id"]), (created.status, &Value::from(id.clone())));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let url = it.send(&it.token, &format!("POST /asset/{id}/upload-url"), "", "").await;
    assert_eq!(url.status, 201);
    it.world.bucket.put(&id, b"hello world");
    let confirmed = it.send(&it.token, &format!("PUT /asset/{id}"), "", "").await;
    assert_eq!(confirmed.status, 202, "{}", confirmed.body);
    let history = it.world.call_as(&it.key, &format!("GET /asset/{id}/history")).await.json();
    let actors: Vec<_> =
        history["events"].as_array().unwrap().iter().map(|it| &it["actor"]).collect();
    let actor = json!(format!("key:{};upload=form/1;for=ann", it.key.id));
    assert_eq!(actors, [&actor; 3]);
}

#[tokio::test]
async fn a_token_creates_as_many_assets_as_it_says_and_each_number_one() {
    let it = Uploads::new().await;
    for number in ["0", "4", "01", "+1", "1 ", " ", "", "a", "4294967297"] {
        assert_eq!(it.create(number, PDF).await, is(400, "idempotency_key.invalid"), "{number:?}");
    }
    let mut ids = BTreeSet::new();
    for number in ["1", "2", "3", "3", "2", "1"] {
        let answer = it.send(&it.token, "POST /asset", number, PDF).await;
        ids.insert(answer.json()["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 3);
    let other = r#"{"content_type": "image/png", "size": 11}"#;
    assert_eq!(it.create("1", other).await, is(422, "idempotency.reused"));
    assert_eq!(it.world.events().await, 3);
}

#[tokio::test]
async fn what_the_token_does_not_allow_is_refused_before_it_is_created() {
    let it = Uploads::new().await;
    for (body, code) in [
        ("", "upload.undeclared"),
        ("{}", "upload.undeclared"),
        (r#"{"size": 11}"#, "upload.undeclared"),
        (r#"{"content_type": "application/pdf"}"#, "upload.undeclared"),
        (r#"{"content_type": "application/pdf", "size": 1001}"#, "upload.outside"),
        (r#"{"content_type": "text/html", "size": 11}"#, "upload.outside"),
        (r#"{"content_type": "imagex/png", "size": 11}"#, "upload.outside"),
    ] {
        assert_eq!(it.create("1", body).await, is(403, code), "{body}");
    }
    assert_eq!(it.world.events().await, 0);
    let largest = r#"{"content_type": "IMAGE/png; a=b", "size": 1000}"#;
    assert_eq!(it.create("1", largest).await.0, 201);
}

#[tokio::test]
async fn a_token_does_nothing_else() {
    let it = Uploads::new().await;
    let own = it.send(&it.token, "POST /asset", "1", PDF).await.json()["id"].clone();
    let own = own.as_str().unwrap();
    it.world.bucket.put(own, b"hello world");
    let document = it.world.call("GET /openapi.json").await.json();
    let mut reached = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"].as_array().unwrap().is_empty() {
                continue;
            }
            let id = if path.starts_with("/keys") { "0123456789abcdef" } else { own };
            let line = format!("{} {}", method.to_uppercase(), path.replace("{id}", id));
            let (status, code) = told(&it.send(&it.token, &line, "", "").await);
            if status == 403 && ["scope.missing", "upload.outside"].contains(&&*code) {
                continue;
            }
            reached.push(line.replace(own, "ID"));
        }
    }
    assert_eq!(reached, ["POST /asset", "PUT /asset/ID", "POST /asset/ID/upload-url"]);
    assert_eq!(it.create("", PDF).await, is(400, "idempotency_key.invalid"));
}

#[tokio::test]
async fn a_token_reaches_what_it_created_and_the_rest_is_the_same_404() {
    let it = Uploads::new().await;
    let id = |answer: HttpAnswer| answer.json()["id"].as_str().unwrap().to_owned();
    let of_key = id(it.world.call_as(&it.key, "POST /asset").await);
    let other = it.key.sign_upload(&grant("other")).unwrap();
    let of_other = id(it.send(&other, "POST /asset", "1", PDF).await);
    let longer = it.key.sign_upload(&grant("form2")).unwrap();
    let of_longer = id(it.send(&longer, "POST /asset", "1", PDF).await);
    let missing = "019aaf6b-5a00-7123-8456-0123456789ab".to_owned();
    for (method, rest) in [("PUT", ""), ("POST", "/upload-url")] {
        let mut answers = BTreeSet::new();
        for id in [&missing, &of_key, &of_other, &of_longer] {
            it.world.journal.labels();
            let answer = it.send(&it.token, &format!("{method} /asset/{id}{rest}"), "", "").await;
            assert_eq!(told(&answer), is(404, "asset.not_found"), "{method} {id}");
            let calls = format!("{:?}", it.world.journal.labels());
            answers.insert((answer.shown().replace(id.as_str(), "ID"), calls));
        }
        assert_eq!(answers.len(), 1, "{answers:#?}");
    }
    // Another token with the same id is the same subject: a browser may ask for a new one.
    let later = UploadGrant { issued_at: now() + TimeDelta::seconds(9), ..grant("other") };
    let later = it.key.sign_upload(&later).unwrap();
    let url = it.send(&later, &format!("POST /asset/{of_other}/upload-url"), "", "").await;
    assert_eq!(url.status, 201);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_a_401() {
    let it = Uploads::new().await;
    let sign = |change: &dyn Fn(&mut UploadGrant)| {
        let mut grant = grant("form");
        change(&mut grant);
        it.key.sign_upload(&grant).unwrap()
    };
    assert_eq!(it.refused(&sign(&|_| ())).await.0, 201);
    let altered = {
        let more = sign(&|it| it.assets = 100);
        let (one, two): (Vec<_>, Vec<_>) =
            (it.token.split('.').collect(), more.split('.').collect());
        [one[0], one[1], one[2], two[3], one[4]].join(".")
    };
    let effects = TestEffects::seeded(9);
    let stranger = |tenant: &str, id| ApiKey::new(tenant.parse().unwrap(), id, &effects);
    let by = |key: &ApiKey| key.sign_upload(&grant("form")).unwrap();
    let mut texts = BTreeSet::new();
    for (what, token) in [
        ("altered payload", altered),
        ("another key's signature", by(&stranger("main", it.key.id))),
        ("an unknown key", by(&stranger("main", KeyId::new(1)))),
        ("an unknown tenant", by(&stranger("nobody", it.key.id))),
    ] {
        let answer = it.send(&token, "POST /asset", "1", PDF).await;
        assert_eq!(told(&answer), is(401, "credential.invalid"), "{what}");
        texts.insert(answer.shown());
    }
    assert_eq!(texts.len(), 1, "they are not told apart: {texts:#?}");
    let minute = TimeDelta::minutes(1);
    for (what, token) in [
        ("expired", sign(&|it| (it.issued_at, it.expires_at) = (now() - minute, now()))),
        ("to come", sign(&|it| it.issued_at = now() + minute * 2)),
        ("garbage", "alu.main.x.y.z".to_owned()),
        ("cut", it.token[..it.token.len() - 4].to_owned()),
    ] {
        assert_eq!(
            it.refused(&token).await,
            (401, "credential.invalid".into(), INVALID.into()),
            "{what}"
        );
    }
    // Over an hour cannot be signed here: see the tests of the token.
    let long = UploadGrant { expires_at: now() + TimeDelta::seconds(3_601), ..grant("form") };
    assert_eq!(it.key.sign_upload(&long).unwrap_err().field, "exp");
}

#[tokio::test]
async fn a_token_ends_with_its_key_and_its_tenant() {
    let it = Uploads::new().await;
    it.world.operate("main", AccessCommand::Suspend(None)).await;
    assert_eq!(it.create("1", PDF).await, is(403, "tenant.suspended"));
    it.world.operate("main", AccessCommand::Resume).await;
    assert_eq!(it.create("1", PDF).await.0, 201);
    it.world.operate("main", AccessCommand::RevokeKey(it.key.id, None)).await;
    assert_eq!(it.create("2", PDF).await, is(401, "credential.invalid"));
    let reader = it.world.key("main", &[Scope::Read]).await;
    let token = reader.sign_upload(&grant("form")).unwrap();
    let answer = it.send(&token, "POST /asset", "1", PDF).await;
    assert_eq!(told(&answer), is(403, "scope.missing"), "a key gives what it has");
}

#[tokio::test]
async fn a_token_elsewhere_is_not_looked_at_and_acts_for_nobody_else() {
    let it = Uploads::new().await;
    let line = format!("POST /asset?token={0}&authorization={0}", it.token);
    let cookie = format!("token={0}; authorization=Bearer {0}", it.token);
    for (line, name) in
        [(&*line, "x-none"), ("POST /asset", "cookie"), ("POST /asset", "x-api-key")]
    {
        let answer = it.world.send(request(line, &[(name, &cookie)], "")).await;
        assert_eq!(told(&answer), is(401, "credential.missing"), "{line} {name}");
    }
    let bearer = format!("Bearer {}", it.token);
    let headers = [("authorization", &*bearer), ("on-behalf-of", "eve"), ("idempotency-key", "1")];
    let answer = it.world.send(request("POST /asset", &headers, "")).await;
    assert_eq!(told(&answer), is(400, "on_behalf_of.invalid"));
}

#[tokio::test]
async fn a_key_signs_a_token_on_request_and_nothing_else_does() {
    let it = Uploads::new().await;
    let ask = async |credential: &str, body: &str| {
        it.send(credential, "POST /upload-tokens", "", body).await
    };
    let body = r#"{"assets": 2, "object_bytes": 100, "for": "ann", "expires_in": 60}"#;
    let answer = ask(it.key.reveal(), body).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    let answer = answer.json();
    let token = answer["token"].as_str().unwrap();
    let created = it.send(token, "POST /asset", "2", r#"{"size": 100}"#).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert!(created.json()["expires_in"].as_u64().unwrap() <= 60, "a URL ends with its token");
    assert_eq!(told(&it.send(token, "POST /asset", "3", PDF).await).0, 400);
    assert_eq!(told(&ask(token, body).await), is(403, "upload.outside"), "a token signs none");
    for (body, code) in [
        ("", "body.invalid"),
        ("{}", "body.invalid"),
        (r#"{"assets": 0, "object_bytes": 1}"#, "body.invalid"),
        (r#"{"assets": 101, "object_bytes": 1}"#, "body.invalid"),
        (r#"{"assets": 1, "object_bytes": 0}"#, "body.invalid"),
        (r#"{"assets": 1, "object_bytes": 1, "expires_in": 3601}"#, "body.invalid"),
        (r#"{"assets": 1, "object_bytes": 1, "expires_in": 0}"#, "body.invalid"),
        (r#"{"assets": 1, "object_bytes": 1, "types": ["pdf"]}"#, "body.invalid"),
        (r#"{"assets": 1, "object_bytes": 1, "for": ""}"#, "body.invalid"),
        (r#"{"assets": 1, "object_bytes": 1, "scopes": []}"#, "body.invalid"),
    ] {
        assert_eq!(told(&ask(it.key.reveal(), body).await), is(400, code), "{body}");
    }
    let open = HttpFixture::new();
    let headers = [("content-type", "application/json")];
    let answer = open.send(request("POST /upload-tokens", &headers, body)).await;
    assert_eq!(told(&answer), is(403, "upload.outside"), "nobody's key");
}

#[tokio::test]
async fn no_part_of_a_token_is_logged_or_returned() {
    let (lines, _guard) = Lines::watch_from(Level::TRACE);
    let it = Uploads::new().await;
    let mut answers = String::new();
    for token in [&it.token[..], &it.token[..it.token.len() - 4]] {
        answers += &it.send(token, "POST /asset", "1", PDF).await.shown();
        answers += &it.send(token, "GET /asset", "1", "").await.shown();
    }
    let secret = it.token.rsplit('.').next().unwrap();
    assert!(lines.text().contains("route=\"/asset\" status=401"), "{}", lines.text());
    for text in [&lines.text(), &answers] {
        assert!(!text.contains(&secret[..16]) && !text.contains("alu.main"), "{text}");
    }
}
