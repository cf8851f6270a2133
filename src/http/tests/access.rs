//! Callers: who is let in, to what, and what nobody is told.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use axum::http::HeaderValue;
use ledger::access::{AccessCommand, ApiKey, KeyId, Scope, TenantLimits};
use ledger::error::StoreErrorKind;
use ledger::testing::TestEffects;
use proptest::prelude::*;
use serde_json::{Value, json};
use tracing::Level;

use super::logs::Lines;
use super::world::{HttpAnswer, HttpFixture, Mood, request};
use crate::http::middleware::auth::OPEN;
use crate::http::{
    AllowedHosts, AuthMethod, AuthMode, GatewayCaller, IamGrants, Limits, RatePolicy,
};

const ALL: [Scope; 6] = Scope::ALL;

fn world() -> HttpFixture {
    HttpFixture::deciding(AuthMode::Required)
}

/// Every operation of the description: its line for `id`, and the scopes that it states.
pub(super) async fn operations(
    world: &HttpFixture,
    id: &str,
) -> Vec<(String, Option<Vec<String>>)> {
    let document = world.call("GET /openapi.json").await.json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = if path.starts_with("/keys") { "0123456789abcdef" } else { id };
            let path = path.replace("{id}", id).replace("{file}", "index.css");
            let stated = operation["security"].as_array().expect("it states its security");
            let scopes = stated.first().map(|it| {
                let names = it["api_key"].as_array().unwrap().iter();
                names.map(|name| name.as_str().unwrap().to_owned()).collect()
            });
            all.push((format!("{} {path}", method.to_uppercase()), scopes));
        }
    }
    all
}

#[tokio::test]
async fn every_operation_takes_its_scope_and_no_other() {
    let world = world();
    let all = world.key("main", &ALL).await;
    let created = world.call_as(&all, "POST /asset").await.json();
    let id = created["id"].as_str().unwrap().to_owned();
    let mut keys = Vec::new();
    for scope in ALL {
        keys.push((scope, world.key("main", &[scope]).await));
    }
    let mut open = BTreeSet::new();
    for (line, stated) in operations(&world, &id).await {
        let answer = world.call(&line).await;
        let Some(stated) = stated else {
            assert_ne!(answer.status, 401, "{line}");
            open.insert(line.split(' ').nth(1).unwrap().replace("index.css", "{file}"));
            continue;
        };
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "credential.missing".into()));
        assert!(answer.body.contains("this needs an API key: "), "no token is accepted here");
        assert!(stated.len() <= 1, "{line}: {stated:?}");
        for (scope, key) in &keys {
            world.journal.labels();
            let answer = world.call_as(key, &line).await;
            let labels = world.journal.labels();
            if stated.first().is_none_or(|stated| stated == scope.as_str()) {
                assert_ne!(answer.status, 401, "{line} {scope}");
                assert!(!answer.body.contains("scope.missing"), "{line} {scope}");
                continue;
            }
            assert_eq!(answer.code(), "scope.missing", "{line} {scope}: {}", answer.body);
            assert_eq!(answer.status, 403);
            assert!(answer.body.contains("this needs an API key with the scope "), "{line}");
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", stated[0]);
            assert_eq!(answer.headers["www-authenticate"], challenge.as_str());
            assert!(labels.is_empty(), "{line} {scope} read {labels:?}");
        }
    }
    assert_eq!(open, OPEN.iter().map(|path| (*path).to_owned()).collect());
}

#[tokio::test]
async fn a_path_that_is_none_is_told_only_to_callers_with_a_key() {
    let world = world();
    let key = world.key("main", &[Scope::Read]).await;
    for (line, status) in [("GET /nowhere", 404), ("PATCH /asset", 405), ("POST /me", 405)] {
        assert_eq!(world.call(line).await.status, 401, "{line}");
        assert_eq!(world.call_as(&key, line).await.status, status, "{line}");
    }
    assert_eq!(world.call("POST /healthz").await.status, 405);
}

#[tokio::test]
async fn keys_that_are_none_are_not_told_apart() {
    let world = world();
    let key = world.key("main", &ALL).await;
    let effects = TestEffects::seeded(5);
    let other = |tenant: &str, id| ApiKey::new(tenant.parse().unwrap(), id, &effects);
    let revoked = world.key("main", &ALL).await;
    world.operate("main", AccessCommand::RevokeKey(revoked.id, None)).await;
    let mut told = BTreeSet::new();
    for none in
        [other("main", key.id), other("main", KeyId::new(1)), other("nobody", key.id), revoked]
    {
        let answer = world.call_as(&none, "GET /asset").await;
        assert_eq!(answer.status, 401, "{none:?}");
        told.insert(answer.shown());
    }
    assert_eq!(told.len(), 1, "{told:#?}");
    let told = told.pop_first().unwrap();
    assert!(told.contains("www-authenticate: Bearer error=\"invalid_token\""), "{told}");
    assert!(told.contains("credential.invalid"), "{told}");
    assert_eq!(world.call_as(&key, "GET /asset").await.status, 200);
}

#[tokio::test]
async fn guessed_keys_ask_no_store_and_are_answered_alike() {
    let world = world();
    let key = world.key("main", &ALL).await;
    let good = world.call_as(&key, "GET /me").await.shown();
    let (effects, tenant) = (TestEffects::seeded(6), &key.tenant);
    world.journal.labels();
    let mut told = BTreeSet::new();
    for number in 0..1_000_u64 {
        // Every other one has the id of a key.
        let id = if number.is_multiple_of(2) { key.id } else { KeyId::new(number) };
        let guess = ApiKey::new(tenant.clone(), id, &effects);
        told.insert(world.call_as(&guess, "GET /asset").await.shown());
        assert!(world.journal.labels().is_empty(), "guess {number}");
    }
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(world.call_as(&key, "GET /me").await.shown(), good, "a caller with a key sees none");
}

#[tokio::test]
async fn a_credential_of_64_kib_is_refused_unread() {
    let world = world();
    let key = world.key("main", &ALL).await;
    for long in [
        format!("Bearer {}", "a".repeat(64 << 10)),
        format!("Bearer {}{}", key.reveal(), " ".repeat(64 << 10)),
        format!(
            "Bearer {}.{}.{}",
            "e".repeat(20 << 10),
            "y".repeat(24 << 10),
            "J".repeat(20 << 10)
        ),
    ] {
        assert_eq!(sent(&world, &[&long]).await, (401, "credential.invalid".into(), false));
    }
}

#[tokio::test]
async fn two_admins_who_revoke_a_key_at_once_are_both_told_that_it_is_done() {
    let world = world();
    let admins = [world.key("main", &ALL).await, world.key("main", &[Scope::Admin]).await];
    for lost in 0..8 {
        let key = world.key("main", &[Scope::Read]).await;
        let line = format!("DELETE /keys/{}?reason=lost-{lost}", key.id);
        let [one, two] = &admins;
        let (one, two) = tokio::join!(world.call_as(one, &line), world.call_as(two, &line));
        assert_eq!((one.status.as_u16(), two.status.as_u16()), (204, 204));
        assert_eq!(world.call_as(&key, "GET /asset").await.status, 401);
        let events = world.access.history(&key.tenant).await.unwrap().unwrap();
        let reason = format!("lost-{lost}");
        let revoked = events.lines().iter().filter(|line| line.body.contains(&reason));
        assert_eq!(revoked.count(), 1, "one event");
    }
}

/// The status, the code, and whether a store was asked.
async fn sent(world: &HttpFixture, values: &[&str]) -> (u16, String, bool) {
    let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
    world.journal.labels();
    let answer = world.send(request("GET /me", &headers, "")).await;
    (answer.status.as_u16(), answer.code(), !world.journal.labels().is_empty())
}

#[tokio::test]
async fn a_credential_is_one_header_in_its_form() {
    let world = world();
    let key = world.key("main", &ALL).await;
    let bearer = format!("Bearer {}", key.reveal());
    assert_eq!(sent(&world, &[]).await, (401, "credential.missing".into(), false));
    for good in [&bearer, &bearer.replace("Bearer", "bearer"), &bearer.replace(' ', "  ")] {
        assert_eq!(sent(&world, &[good]).await.0, 200, "{good}");
    }
    let last = if bearer.ends_with('0') { "1" } else { "0" };
    let mistyped = format!("{}{last}", &bearer[..bearer.len() - 1]);
    for bad in [
        &[&*bearer, &*bearer][..],
        &[""],
        &["Bearer"],
        &["Bearer "],
        &["Basic YTpi"],
        &[key.reveal()],
        &[&mistyped],
        &[&bearer.to_uppercase()],
        &[&format!("{bearer} {bearer}")],
        &[&format!("Bearer {}", "a".repeat(9_000))],
    ] {
        assert_eq!(sent(&world, bad).await, (401, "credential.invalid".into(), false), "{bad:?}");
    }
    let key = key.reveal();
    for (line, name) in [
        (format!("GET /me?access_token={key}"), "cookie"),
        ("GET /me".to_owned(), "x-api-key"),
        ("GET /me".to_owned(), "proxy-authorization"),
    ] {
        let headers = [(name, key)];
        let answer = world.send(request(&line, &headers, "")).await;
        assert_eq!(answer.code(), "credential.missing", "{line} {name}");
    }
    let mut odd = request("GET /me", &[], "");
    let value = HeaderValue::from_bytes(b"Bearer \xff").unwrap();
    odd.headers_mut().insert("authorization", value);
    assert_eq!(world.send(odd).await.code(), "credential.invalid");
}

#[tokio::test]
async fn another_tenant_s_asset_is_one_that_does_not_exist() {
    let world = world();
    let (mine, yours) = (world.key("main", &ALL).await, world.key("main-2", &ALL).await);
    let created = world.call_as(&yours, "POST /asset").await.json();
    let theirs = created["id"].as_str().unwrap();
    let none = "019aaf6b-5a00-7123-8456-0123456789ab";
    for (line, scopes) in operations(&world, "{id}").await {
        if scopes.is_none() || !line.contains("/asset/") {
            continue;
        }
        let mut told = Vec::new();
        for id in [theirs, none] {
            world.journal.labels();
            let answer = world.call_as(&mine, &line.replace("{id}", id)).await;
            assert_eq!(answer.status, 404, "{line}: {}", answer.body);
            told.push((answer.shown().replace(id, "ID"), world.journal.labels()));
        }
        assert_eq!(told[0], told[1], "{line}");
    }
    let path = format!("GET /asset/{theirs}/state");
    assert_eq!(world.call_as(&yours, &path).await.status, 200);
    let list = |answer: HttpAnswer| answer.json()["items"].as_array().unwrap().len();
    assert_eq!(list(world.call_as(&mine, "GET /asset").await), 0);
    assert_eq!(list(world.call_as(&yours, "GET /asset").await), 1);
    let foreign = format!("GET /keys/{}", yours.id);
    assert_eq!(world.call_as(&mine, &foreign).await.code(), "key.not_found");
    let foreign = format!("DELETE /keys/{}", yours.id);
    assert_eq!(world.call_as(&mine, &foreign).await.code(), "key.not_found");
    assert_eq!(world.call_as(&yours, "GET /me").await.status, 200);
}

#[tokio::test]
async fn an_event_names_the_key_and_whom_it_acts_for() {
    let world = world();
    let key = world.key("main", &ALL).await;
    let bearer = format!("Bearer {}", key.reveal());
    let actor = format!("key:{}/1", key.id);
    for (other, recorded) in [(None, actor.clone()), (Some("bob"), format!("{actor};for=bob"))] {
        let mut headers = vec![("authorization", &*bearer)];
        headers.extend(other.map(|name| ("on-behalf-of", name)));
        let created = world.send(request("POST /asset", &headers, "")).await.json();
        let line = format!("GET /asset/{}/history", created["id"].as_str().unwrap());
        let history = world.call_as(&key, &line).await.json();
        assert_eq!(history["events"][0]["actor"], recorded);
    }
    for bad in ["", "a b", &"x".repeat(65)] {
        let headers = [("authorization", &*bearer), ("on-behalf-of", bad)];
        let answer = world.send(request("POST /asset", &headers, "")).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "on_behalf_of.invalid".into()));
    }
    let open = HttpFixture::new();
    let answer = open.send(request("POST /asset", &[("on-behalf-of", "bob")], "")).await;
    assert_eq!(answer.code(), "on_behalf_of.invalid", "only a key acts for others");
}

#[tokio::test]
async fn a_caller_is_told_who_it_is() {
    let world = world();
    let key = world.key("acme", &[Scope::Read, Scope::Audit]).await;
    let me = world.call_as(&key, "GET /me").await.json();
    let subject = format!("key:{}", key.id);
    let expected = json!({"tenant": "acme", "actor": format!("{subject}/1"), "subject": subject,
        "method": "api_key", "scopes": ["read", "audit"], "own_only": false});
    assert_eq!(me, expected);
    let anyone = HttpFixture::new().call("GET /me").await.json();
    assert_eq!((&anyone["actor"], &anyone["method"]), (&"anonymous".into(), &"anonymous".into()));
    assert_eq!(world.call_as(&key, "GET /me?x=1").await.code(), "query.invalid");
}

const JSON: (&str, &str) = ("content-type", "application/json");

pub(super) async fn posted(
    world: &HttpFixture,
    key: &ApiKey,
    path: &str,
    body: &Value,
) -> HttpAnswer {
    let bearer = format!("Bearer {}", key.reveal());
    let headers = [("authorization", &*bearer), JSON];
    world.send(request(&format!("POST {path}"), &headers, &body.to_string())).await
}

#[tokio::test]
async fn keys_are_made_listed_replaced_and_revoked() {
    let world = world();
    let admin = world.key("main", &[Scope::Admin]).await;
    let asked = json!({"name": "uploads", "scopes": ["write", "read"],
        "expires_at": "2027-01-01T00:00:00.1234567+01:00"});
    let made = posted(&world, &admin, "/keys", &asked).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.headers["cache-control"], "no-store");
    let first: ApiKey = made.json()["key"].as_str().unwrap().parse().unwrap();
    let path = format!("/keys/{}", first.id);
    assert_eq!(made.headers["location"], path.as_str());
    assert_eq!(made.json()["scopes"], json!(["read", "write"]));
    assert_eq!(made.json()["ends_at"], "2026-12-31T23:00:00.123456Z");
    assert_eq!(world.call_as(&first, "POST /asset").await.status, 201);

    let mut shown = world.call_as(&admin, &format!("GET {path}")).await.json();
    while shown["last_used"].is_null() {
        tokio::task::yield_now().await;
        shown = world.call_as(&admin, &format!("GET {path}")).await.json();
    }
    assert_eq!(shown["last_used"], "2026-11-23");
    let mut view = made.json();
    view.as_object_mut().unwrap().remove("key");
    assert_eq!(view["last_used"], Value::Null, "it is new");
    view["last_used"] = "2026-11-23".into();
    assert_eq!(shown, view);
    let list = world.call_as(&admin, "GET /keys").await.json();
    assert!(list["keys"].as_array().unwrap().contains(&view) && list["keys"][1] != list["keys"][0]);

    let rotated = posted(&world, &admin, &format!("{path}/rotate"), &json!({})).await;
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    let second: ApiKey = rotated.json()["key"].as_str().unwrap().parse().unwrap();
    assert_eq!(rotated.json()["actor"], format!("key:{}/2", first.id));
    assert_eq!(world.call_as(&first, "GET /asset").await.status, 200, "its grace");
    assert_eq!(world.call_as(&second, "GET /asset").await.status, 200);
    shown = world.call_as(&admin, &format!("GET {path}")).await.json();
    assert_eq!(shown["replaced_by"], second.id.to_string());
    let again = posted(&world, &admin, &format!("{path}/rotate"), &json!({})).await;
    assert_eq!((again.status.as_u16(), again.code()), (409, "key.ended".into()));
    let at_once = json!({"grace_seconds": 0});
    let third = posted(&world, &admin, &format!("/keys/{}/rotate", second.id), &at_once).await;
    let third: ApiKey = third.json()["key"].as_str().unwrap().parse().unwrap();
    assert_eq!(world.call_as(&second, "GET /asset").await.status, 401);

    let before = world.call_as(&admin, "GET /keys").await.json();
    let line = format!("DELETE /keys/{}?reason=lost", third.id);
    let (one, two) = tokio::join!(world.call_as(&admin, &line), world.call_as(&admin, &line));
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (204, 204));
    assert_eq!(world.call_as(&admin, &line).await.status, 204);
    assert_eq!(world.call_as(&third, "GET /asset").await.status, 401);
    let events = world.access.history(&admin.tenant).await.unwrap().unwrap();
    let revoked = events.lines().iter().filter(|line| line.body.contains("key_revoked"));
    assert_eq!(revoked.count(), 1, "once is enough");
    let after = world.call_as(&admin, "GET /keys").await.json();
    let count = |list: &Value| list["keys"].as_array().unwrap().len();
    assert_eq!((count(&before), count(&after)), (3, 2));
    let ended = world.call_as(&admin, &format!("GET /keys/{}", third.id)).await.json();
    assert_eq!(ended["live"], false);
}

#[tokio::test]
async fn a_key_that_cannot_be_made_is_refused_by_its_field() {
    let world = world();
    let admin = world.key("main", &[Scope::Admin]).await;
    for (body, field) in [
        (json!({"name": "", "scopes": ["read"]}), "name"),
        (json!({"name": "x".repeat(65), "scopes": ["read"]}), "name"),
        (json!({"name": "a\u{202e}b", "scopes": ["read"]}), "name"),
        (json!({"name": "a", "scopes": []}), "scopes"),
        (json!({"name": "a", "scopes": ["fly"]}), "scopes"),
        (json!({"name": "a", "scopes": ["unknown"]}), "scopes"),
        (json!({"name": "a"}), "scopes"),
        (json!({"name": "a", "scopes": ["read"], "expires_at": "soon"}), "expires_at"),
        (
            json!({"name": "a", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}),
            "expires_at",
        ),
        (json!({"name": "a", "scopes": ["read"], "own_only": "yes"}), "own_only"),
        (json!({"name": "a", "scopes": ["read"], "own": true}), "own"),
    ] {
        let answer = posted(&world, &admin, "/keys", &body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "body.invalid".into()), "{body}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(field), "{}", answer.body);
    }
    assert_eq!(world.call_as(&admin, "POST /keys").await.code(), "body.invalid");
    let rotate = format!("/keys/{}/rotate", admin.id);
    for seconds in [-1_i64, 2_592_001, i64::MAX] {
        let answer = posted(&world, &admin, &rotate, &json!({"grace_seconds": seconds})).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "body.invalid".into()));
    }
    for id in ["0", "x", "0123456789ABCDEF", "0123456789abcdef", "%ff"] {
        for line in ["GET /keys/{id}", "DELETE /keys/{id}", "POST /keys/{id}/rotate"] {
            let answer = world.call_as(&admin, &line.replace("{id}", id)).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (404, "key.not_found".into()));
        }
    }
    for _ in 1..100 {
        world.key("main", &[Scope::Read]).await;
    }
    let body = json!({"name": "a", "scopes": ["read"]});
    let full = posted(&world, &admin, "/keys", &body).await;
    assert_eq!((full.status.as_u16(), full.code()), (409, "key.limit".into()));
}

#[tokio::test]
async fn the_events_of_access_are_read_by_page_and_as_stored() {
    let world = world();
    let key = world.key("main", &[Scope::Audit]).await;
    world.key("main", &[Scope::Read]).await;
    world.key("other", &[Scope::Read]).await;
    let page = world.call_as(&key, "GET /access?limit=2").await.json();
    let kinds = |page: &Value| {
        let events = page["events"].as_array().unwrap().iter();
        events.map(|it| it["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&page), ["tenant_created", "key_created"]);
    assert_eq!(page["events"][1]["actor"], "cli:ann");
    let rest = world.call_as(&key, "GET /access?cursor=2").await.json();
    assert_eq!((kinds(&rest), &rest["next_cursor"]), (vec!["key_created".into()], &Value::Null));
    let bearer = format!("Bearer {}", key.reveal());
    let headers = [("authorization", &*bearer), ("accept", "application/jsonl")];
    let raw = world.send(request("GET /access", &headers, "")).await;
    assert_eq!(raw.headers["content-type"], "application/jsonl");
    let hashes = raw.body.lines().map(|line| ledger::chain::Hash::of(line.as_bytes()).to_string());
    let shown = page["events"].as_array().unwrap().iter().chain(rest["events"].as_array().unwrap());
    assert!(hashes.eq(shown.map(|it| it["hash"].as_str().unwrap().to_owned())));
    for bad in ["limit=0", "cursor=x", "type=x"] {
        assert_eq!(world.call_as(&key, &format!("GET /access?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_tenant_that_was_not_created_has_no_keys() {
    let world = HttpFixture::new();
    let body = r#"{"name":"a","scopes":["read"]}"#;
    for (line, headers, body) in [
        ("GET /keys", &[][..], ""),
        ("GET /keys/0123456789abcdef", &[], ""),
        ("GET /access", &[], ""),
        ("POST /keys", &[JSON], body),
        ("DELETE /keys/0123456789abcdef", &[], ""),
    ] {
        let answer = world.send(request(line, headers, body)).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "tenant.not_found".into()));
    }
}

#[tokio::test]
async fn a_suspended_tenant_is_let_in_nowhere_until_it_is_resumed() {
    let world = world();
    let (key, other) = (world.key("main", &ALL).await, world.key("other", &ALL).await);
    world.operate("main", AccessCommand::Suspend(None)).await;
    for line in ["GET /me", "GET /asset", "POST /asset", "GET /nowhere"] {
        let answer = world.call_as(&key, line).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "tenant.suspended".into()));
    }
    assert_eq!(world.call_as(&other, "GET /me").await.status, 200);
    let wrong = ApiKey::new(key.tenant.clone(), key.id, &TestEffects::seeded(5));
    let answer = world.call_as(&wrong, "GET /me").await;
    assert_eq!(answer.code(), "credential.invalid", "only its callers are told");
    world.operate("main", AccessCommand::Resume).await;
    assert_eq!(world.call_as(&key, "GET /me").await.status, 200);
}

#[tokio::test]
async fn a_tenant_s_limits_are_those_of_its_callers() {
    let world = world();
    let (key, free) = (world.key("main", &ALL).await, world.key("free", &ALL).await);
    let plain = world.call_as(&key, "POST /asset").await.json();
    let plain = plain["id"].as_str().unwrap().to_owned();
    let limits =
        TenantLimits { declared_only: true, url_seconds: Some(30), ..TenantLimits::default() };
    world.operate("main", AccessCommand::Limit(limits)).await;
    for line in ["POST /asset".to_owned(), format!("POST /asset/{plain}/upload-url")] {
        let answer = world.call_as(&key, &line).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "upload.undeclared".into()));
    }
    let declared = posted(&world, &key, "/asset", &json!({})).await;
    assert_eq!((declared.status.as_u16(), &declared.json()["expires_in"]), (201, &30.into()));
    world.bucket.put(&plain, b"hello");
    assert_eq!(world.call_as(&key, &format!("PUT /asset/{plain}")).await.status, 202);
    let url = world.call_as(&key, &format!("GET /asset/{plain}?timeout=3600")).await.json();
    assert_eq!(url["expires_in"], 30);
    let free = world.call_as(&free, "POST /asset").await.json();
    assert_eq!(free["expires_in"], 900);
}

#[tokio::test]
async fn each_caller_has_a_rate_and_learns_what_is_left_of_it() {
    let [per_second, burst] = [1, 3].map(|it| NonZeroU32::new(it).unwrap());
    let limits = Limits { rate: Some(RatePolicy { per_second, burst }), ..Limits::default() };
    let world = HttpFixture::guarded(AuthMode::Required, AllowedHosts::Any, limits, None);
    let (key, other) = (world.key("main", &ALL).await, world.key("other", &ALL).await);
    for left in ["2", "1", "0"] {
        let answer = world.call_as(&key, "GET /me").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["ratelimit"], format!("\"caller\";r={left}"));
        assert_eq!(answer.headers["ratelimit-policy"], "\"caller\";q=3;w=3");
    }
    let refused = world.call_as(&key, "POST /asset").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, "rate.limited".into()));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(world.call_as(&other, "GET /me").await.status, 200);
    // Strangers take nothing from a caller, and open routes take nothing from anyone.
    assert_eq!(world.call("GET /me").await.status, 401);
    assert!(!world.call("GET /healthz").await.headers.contains_key("ratelimit"));
}

#[tokio::test]
async fn a_quota_refuses_what_would_exceed_it_and_names_itself() {
    let world = world();
    let (key, free) = (world.key("main", &ALL).await, world.key("free", &ALL).await);
    for (name, limits, body, used) in [
        ("assets", TenantLimits { assets: Some(2), ..TenantLimits::default() }, json!({}), 2),
        ("awaiting", TenantLimits { awaiting: Some(4), ..TenantLimits::default() }, json!({}), 4),
        (
            "bytes",
            TenantLimits { bytes: Some(25), ..TenantLimits::default() },
            json!({"size": 10}),
            20,
        ),
    ] {
        let limit = [limits.assets, limits.awaiting, limits.bytes].into_iter().flatten().next();
        world.operate("main", AccessCommand::Limit(limits)).await;
        for _ in 0..2 {
            assert_eq!(posted(&world, &key, "/asset", &body).await.status, 201, "{name}");
        }
        let events = world.events().await;
        let refused = posted(&world, &key, "/asset", &body).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (403, "quota.exceeded".into()));
        let quota = &refused.json()["quota"];
        assert_eq!((&quota["name"], &quota["limit"]), (&name.into(), &json!(limit)));
        assert_eq!(quota["used"], used);
        assert!(quota["asOf"].as_str().is_some_and(|at| at.ends_with('Z')), "{quota}");
        assert_eq!(world.events().await, events, "it leaves no trace");
        assert_eq!(posted(&world, &free, "/asset", &body).await.status, 201);
    }
}

#[tokio::test]
async fn what_was_created_is_answered_again_at_the_quota() {
    let world = world();
    let key = world.key("main", &ALL).await;
    let limits = TenantLimits { assets: Some(1), ..TenantLimits::default() };
    world.operate("main", AccessCommand::Limit(limits)).await;
    let bearer = format!("Bearer {}", key.reveal());
    let create = async |name: &str| {
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", name)];
        world.send(request("POST /asset", &headers, "")).await
    };
    let first = create("a").await;
    assert_eq!(create("b").await.code(), "quota.exceeded");
    let again = create("a").await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.json()["id"], again.json()["id"]);
}

#[tokio::test]
async fn a_limit_of_an_object_needs_a_declared_size() {
    let world = world();
    let key = world.key("main", &ALL).await;
    let limits = TenantLimits { object_bytes: Some(10), ..TenantLimits::default() };
    world.operate("main", AccessCommand::Limit(limits)).await;
    for (body, code) in [
        (json!({}), "upload.undeclared"),
        (json!({"size": 11}), "quota.exceeded"),
        (json!({"size": 10}), ""),
    ] {
        let answer = posted(&world, &key, "/asset", &body).await;
        assert_eq!(answer.status == 201, code.is_empty(), "{body}");
        assert!(code.is_empty() || answer.code() == code, "{body}: {}", answer.body);
    }
    assert_eq!(world.call_as(&key, "POST /asset").await.code(), "upload.undeclared");
}

#[tokio::test]
async fn a_journal_that_is_away_lets_nobody_in_and_calls_nobody_a_stranger() {
    for (kind, status, code) in [
        (StoreErrorKind::Unavailable, 503, "store.unavailable"),
        (StoreErrorKind::Throttled, 503, "store.unavailable"),
        (StoreErrorKind::Misconfigured, 500, "store.misconfigured"),
        (StoreErrorKind::Corrupt, 500, "history.broken"),
    ] {
        let world = world();
        let key = ApiKey::new("main".parse().unwrap(), KeyId::new(1), &TestEffects::seeded(1));
        world.journal.feel(Mood::Fails(kind));
        let answer = world.call_as(&key, "GET /me").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code.to_owned()));
        assert!(!answer.body.contains("secret"), "{}", answer.body);
        assert_eq!(world.call("GET /me").await.code(), "credential.missing");
    }
    let world = world();
    let key = ApiKey::new("main".parse().unwrap(), KeyId::new(1), &TestEffects::seeded(1));
    world.journal.feel(Mood::Panics);
    assert_eq!(world.call_as(&key, "GET /me").await.status, 500);
}

/// A request that API Gateway's authorizer let in.
async fn let_in(world: &HttpFixture, line: &str) -> HttpAnswer {
    named(world, "arn:aws:iam::123456789012:user/a", AuthMethod::Iam, line).await
}

async fn named(world: &HttpFixture, name: &str, method: AuthMethod, line: &str) -> HttpAnswer {
    let mut request = request(line, &[], "");
    request.extensions_mut().insert(GatewayCaller::Named(name.to_owned(), method));
    world.send(request).await
}

#[tokio::test]
async fn behind_a_gateway_the_home_tenant_need_not_exist_but_is_heeded_if_it_does() {
    let world = HttpFixture::deciding(AuthMode::Gateway);
    let me = let_in(&world, "GET /me").await.json();
    assert_eq!((&me["tenant"], &me["method"]), (&"main".into(), &"iam".into()));
    assert_eq!(let_in(&world, "POST /asset").await.status, 201);
    let key = world.key("main", &ALL).await;
    assert_eq!(world.call_as(&key, "GET /me").await.code(), "credential.missing");
    let limits = TenantLimits { url_seconds: Some(7), ..TenantLimits::default() };
    world.operate("main", AccessCommand::Limit(limits)).await;
    assert_eq!(let_in(&world, "POST /asset").await.json()["expires_in"], 7);
    world.operate("main", AccessCommand::Suspend(None)).await;
    assert_eq!(let_in(&world, "POST /asset").await.code(), "tenant.suspended");
}

#[tokio::test]
async fn of_the_callers_that_a_gateway_lets_in_only_those_on_the_list_are_served() {
    let role = "arn:aws:sts::123456789012:assumed-role/uploader";
    let list = json!({"iam": [
        {"arn": role, "prefix": true, "tenant": "acme", "scopes": ["read", "write"]},
        {"arn": "arn:aws:iam::123456789012:user/a", "tenant": "main", "scopes": ["read"]},
    ]});
    let world = HttpFixture::listing(IamGrants::parse(&list.to_string()).unwrap());
    // Longer than a recorded name: the list is about the whole.
    let session = format!("{role}/{}", "s".repeat(128));
    let uploader = async |line: &str| named(&world, &session, AuthMethod::Iam, line).await;
    assert_eq!(uploader("GET /me").await.code(), "caller.unlisted", "its tenant is not there yet");
    assert_eq!(let_in(&world, "GET /me").await.json()["tenant"], "main", "this need not be");
    assert_eq!(let_in(&world, "POST /asset").await.code(), "scope.missing");
    world.operate("acme", AccessCommand::Create).await;
    let me = uploader("GET /me").await.json();
    assert_eq!((&me["tenant"], &me["scopes"]), (&"acme".into(), &json!(["read", "write"])));
    let created = uploader("POST /asset").await;
    assert_eq!(created.status, 201);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(uploader(&format!("DELETE /asset/{id}")).await.code(), "scope.missing");
    assert_eq!(let_in(&world, &format!("GET /asset/{id}")).await.code(), "asset.not_found");
    for (name, method) in [
        ("arn:aws:sts::123456789012:assumed-role/uploader2/s", AuthMethod::Iam),
        ("arn:aws:iam::123456789012:user/b", AuthMethod::Iam),
        (&*session, AuthMethod::Jwt),
    ] {
        let answer = named(&world, name, method, "GET /me").await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (403, "caller.unlisted"), "{name}");
    }
    assert_eq!(world.call("GET /me").await.code(), "credential.missing");
    world.operate("acme", AccessCommand::Suspend(None)).await;
    assert_eq!(uploader("GET /me").await.code(), "tenant.suspended");
}

#[tokio::test]
async fn the_description_states_scopes_only_where_keys_are_asked_for() {
    let open = HttpFixture::new().call("GET /openapi.json").await.body;
    assert!(!open.contains("\"security\"") && !open.contains("api_key\":"), "{open}");
    let keyed = world().call("GET /openapi.json").await.json();
    let scheme = &keyed["components"]["securitySchemes"]["api_key"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&"http".into(), &"bearer".into()));
    assert_eq!(keyed["paths"]["/keys"]["post"]["requestBody"]["required"], true);
    assert_eq!(keyed["paths"]["/asset"]["post"]["requestBody"]["required"], false);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None,
        ..ProptestConfig::default() })]

    /// The secret of a key that comes by any way, in any part of a request, is in no answer, log
    /// line or event.
    #[test]
    fn no_credential_is_told(
        place in 0..9_usize,
        cut in 0..3_usize,
        mood in prop::sample::select(vec![
            Mood::Well, Mood::Panics, Mood::Fails(StoreErrorKind::Corrupt), Mood::Races,
        ]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let (lines, _guard) = Lines::watch_from(Level::TRACE);
            let world = world();
            let key = world.key("main", &ALL).await;
            let whole = key.reveal();
            // What is cut is no key; what is left of it is a secret all the same.
            let text = [whole, &whole[..whole.len() - 1], &whole[..whole.len() - 20]][cut];
            let bearer = format!("Bearer {text}");
            let name = format!("{{\"filename\":1,\"{text}\":2}}");
            let body = format!("{{\"name\":[\"{text}\"]}}");
            let (line, headers, body): (String, Vec<(&str, &str)>, &str) = match place {
                0 => ("GET /me".into(), vec![("authorization", &bearer)], ""),
                1 => ("POST /asset".into(), vec![("authorization", &bearer)], ""),
                2 => ("GET /me".into(), vec![("authorization", text)], ""),
                3 => ("POST /asset".into(), vec![("authorization", &bearer), JSON], &name),
                4 => ("POST /keys".into(), vec![("authorization", &bearer), JSON], &body),
                5 => (format!("GET /asset?key={text}"), vec![], ""),
                6 => ("GET /me".into(), vec![("cookie", text), ("x-api-key", text)], ""),
                7 => (format!("GET /keys/{}", key.id), vec![("authorization", &bearer)], ""),
                _ => ("GET /access".into(), vec![("authorization", &bearer)], ""),
            };
            tokio::time::pause();
            tokio::time::advance(std::time::Duration::from_secs(11)).await;
            world.journal.feel(mood);
            let answer = world.send(request(&line, &headers, body)).await;
            world.journal.feel(Mood::Well);
            let events = world.access.history(&key.tenant).await.unwrap().unwrap();
            let events: String = events.lines().iter().map(|line| line.body.as_str()).collect();
            let secret = whole.rsplit('_').next().unwrap();
            // A name in a refusal of a field is the client's own, and is shown.
            let own = place == 3;
            let told = [("log", lines.text()), ("events", events), ("answer", answer.shown())];
            for (what, text) in told {
                if own && what == "answer" {
                    continue;
                }
                for part in [&secret[..16], &secret[16..32], &secret[32..48]] {
                    assert!(!text.contains(part), "{what}: {line} {text}");
                }
            }
        });
    }
}
