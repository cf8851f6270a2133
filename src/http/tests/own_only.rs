//! Callers who reach only their own assets: others' do not exist for them.

use std::collections::BTreeSet;

use ledger::access::{ApiKey, Scope};
use serde_json::{Value, json};

use super::access::{operations, posted};
use super::world::{HttpAnswer, HttpFixture, request};
use crate::http::AuthMode;

const ALL: [Scope; 6] = Scope::ALL;
const NONE: &str = "019aaf6b-5a00-7123-8456-0123456789ab";

struct World {
    http: HttpFixture,
    /// Reaches only its own assets.
    own: ApiKey,
    /// Reaches all.
    all: ApiKey,
}

async fn world() -> World {
    let http = HttpFixture::deciding(AuthMode::Required);
    let own = http.key_of("main", &ALL, true).await;
    let all = http.key("main", &ALL).await;
    World { http, own, all }
}

impl World {
    async fn created(&self, key: &ApiKey) -> String {
        let created = self.http.call_as(key, "POST /asset").await;
        assert_eq!(created.status, 201, "{}", created.body);
        created.json()["id"].as_str().unwrap().to_owned()
    }

    /// Assets of a key: created, uploaded, deleted and purged.
    async fn each_state(&self, key: &ApiKey) -> [String; 4] {
        let call = async |line: String, status| {
            assert_eq!(self.http.call_as(key, &line).await.status, status, "{line}");
        };
        let mut ids = [const { String::new() }; 4];
        for (steps, id) in (0..).zip(&mut ids) {
            *id = self.created(key).await;
            self.http.bucket.put(id, b"hello world");
            for (method, path, status) in
                [("PUT", "", 202), ("DELETE", "", 204), ("POST", "/purge", 202)]
                    .into_iter()
                    .take(steps)
            {
                call(format!("{method} /asset/{id}{path}"), status).await;
            }
        }
        ids
    }

    async fn send(&self, line: &str, headers: &[(&str, &str)]) -> HttpAnswer {
        let bearer = format!("Bearer {}", self.own.reveal());
        let own = [("authorization", &*bearer), ("x-request-id", "r")];
        let headers: Vec<_> = own.into_iter().chain(headers.iter().copied()).collect();
        self.http.send(request(line, &headers, "")).await
    }
}

fn ids(list: &HttpAnswer) -> Vec<String> {
    let items = list.json()["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["asset_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_asset_of_others_is_one_that_does_not_exist() {
    let world = world().await;
    let theirs = world.each_state(&world.all).await;
    let mut lines = BTreeSet::new();
    for (line, scopes) in operations(&world.http, "{id}").await {
        if scopes.is_some() && line.contains("/asset/") {
            lines.insert(line);
        }
    }
    assert_eq!(lines.len(), 10, "{lines:?}");
    let more = [
        "GET /asset/{id}/state?version=1",
        "GET /asset/{id}/proof?version=1",
        "GET /asset/{id}/state?as_of=2026-11-23T09:00:00Z",
    ];
    lines.extend(more.map(str::to_owned));
    let headers: [&[(&str, &str)]; 4] = [
        &[],
        &[("idempotency-key", "k")],
        &[("if-match", "\"1\"")],
        &[("accept", "application/jsonl")],
    ];
    for line in &lines {
        for headers in headers {
            let mut told = Vec::new();
            for id in theirs.iter().map(String::as_str).chain([NONE]) {
                world.http.journal.calls();
                let looks = world.http.bucket.looks();
                let answer = world.send(&line.replace("{id}", id), headers).await;
                assert_eq!(answer.status, 404, "{line} {headers:?}: {}", answer.body);
                assert_eq!(world.http.bucket.looks(), looks, "{line}: nothing is looked at");
                told.push((answer.shown().replace(id, "ID"), world.http.journal.calls()));
            }
            assert!(told.iter().all(|it| *it == told[4]), "{line} {headers:?}: {told:#?}");
        }
    }
    assert_eq!(ids(&world.http.call_as(&world.own, "GET /asset").await), [""; 0]);
    let history = format!("GET /asset/{}/history", theirs[3]);
    let events = world.http.call_as(&world.all, &history).await.json();
    assert_eq!(events["events"].as_array().unwrap().len(), 6, "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn its_own_assets_are_as_for_any_caller_also_after_a_rotation_and_for_others() {
    let world = world().await;
    world.created(&world.all).await;
    let first = world.created(&world.own).await;
    let bearer = format!("Bearer {}", world.own.reveal());
    let for_bob = [("authorization", &*bearer), ("on-behalf-of", "bob")];
    let second = world.http.send(request("POST /asset", &for_bob, "")).await.json();
    let second = second["id"].as_str().unwrap().to_owned();

    let rotate = format!("/keys/{}/rotate", world.own.id);
    let rotated = posted(&world.http, &world.all, &rotate, &json!({"grace_seconds": 0})).await;
    assert_eq!(rotated.json()["own_only"], true, "{}", rotated.body);
    let own: ApiKey = rotated.json()["key"].as_str().unwrap().parse().unwrap();
    assert_eq!(world.http.call_as(&own, "GET /me").await.json()["own_only"], true);
    let list = ids(&world.http.call_as(&own, "GET /asset").await);
    assert_eq!(list, [second.clone(), first.clone()]);
    assert_eq!(ids(&world.http.call_as(&world.all, "GET /asset").await).len(), 3);
    for id in [&first, &second] {
        world.http.bucket.put(id, b"hello");
        for (line, status) in [
            ("POST /asset/{id}/upload-url", 201),
            ("PUT /asset/{id}", 202),
            ("GET /asset/{id}", 202),
            ("GET /asset/{id}/state", 200),
            ("GET /asset/{id}/state?version=1", 200),
            ("GET /asset/{id}/history", 200),
            ("GET /asset/{id}/proof", 200),
            ("DELETE /asset/{id}", 204),
            ("POST /asset/{id}/restore", 200),
            ("DELETE /asset/{id}", 204),
            ("POST /asset/{id}/purge", 202),
        ] {
            let answer = world.http.call_as(&own, &line.replace("{id}", id)).await;
            assert_eq!(answer.status, status, "{line}: {}", answer.body);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_tells_of_the_whole_tenant_is_refused_before_any_read() {
    let world = world().await;
    let mut refused = BTreeSet::new();
    for (line, scopes) in operations(&world.http, NONE).await {
        if scopes.is_none() || line.contains("{id}") {
            continue;
        }
        world.http.call_as(&world.own, "GET /me").await;
        world.http.journal.calls();
        let answer = world.http.call_as(&world.own, &line).await;
        if answer.body.contains("own_only.forbidden") {
            assert_eq!((answer.status.as_u16(), answer.code()), (403, "own_only.forbidden".into()));
            assert!(world.http.journal.calls().is_empty(), "{line}");
            refused.insert(line);
        }
    }
    let expected = ["GET /access", "GET /events", "GET /usage"].map(str::to_owned);
    assert_eq!(refused, BTreeSet::from(expected));
}

#[tokio::test(start_paused = true)]
async fn it_gives_out_no_key_that_reaches_more() {
    let world = world().await;
    let asked = |own: Value| json!({"name": "a", "scopes": ["read"], "own_only": own});
    let wide = posted(&world.http, &world.own, "/keys", &asked(json!(false))).await;
    assert_eq!((wide.status.as_u16(), wide.code()), (409, "key.widened".into()));
    let rotate = format!("/keys/{}/rotate", world.all.id);
    let wide = posted(&world.http, &world.own, &rotate, &json!({})).await;
    assert_eq!((wide.status.as_u16(), wide.code()), (409, "key.widened".into()));
    assert_eq!(world.http.call_as(&world.all, "GET /me").await.status, 200, "it was not ended");
    let narrow = posted(&world.http, &world.own, "/keys", &asked(json!(true))).await;
    assert_eq!((narrow.status.as_u16(), &narrow.json()["own_only"]), (201, &json!(true)));
    let rotate = format!("/keys/{}/rotate", world.own.id);
    assert_eq!(posted(&world.http, &world.own, &rotate, &json!({})).await.status, 201);
    let wide = posted(&world.http, &world.all, "/keys", &asked(json!(false))).await;
    assert_eq!(wide.json()["own_only"], false);
}
