//! Requests with an `Idempotency-Key` that are sent again.

use axum::body::Body;
use axum::http::Request;
use futures::future::join_all;
use ledger::access::{ApiKey, Scope};

use super::world::{HttpAnswer, HttpFixture, request};
use crate::http::AuthMode;

const JSON: (&str, &str) = ("content-type", "application/json");

fn keyed(line: &str, key: &str) -> Request<Body> {
    request(line, &[("idempotency-key", key)], "")
}

fn declared(key: &str, body: &str) -> Request<Body> {
    request("POST /asset", &[("idempotency-key", key), JSON], body)
}

fn is_replayed(answer: &HttpAnswer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

fn id(answer: &HttpAnswer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_repeated_deletion_is_answered_as_then_and_a_restored_asset_stays() {
    let world = HttpFixture::new();
    let asset = format!("/asset/{}", world.uploaded().await);
    let line = format!("DELETE {asset}");
    let delete = || request(&line, &[("idempotency-key", "k"), ("if-match", "\"3\"")], "");
    let first = world.send(delete()).await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (204, false));
    world.call(&format!("POST {asset}/restore")).await;
    let again = world.send(delete()).await;
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (204, true), "before If-Match");
    assert_eq!(again.headers["etag"], first.headers["etag"]);
    let state = world.call(&format!("GET {asset}/state")).await.json();
    assert_eq!((&state["state"], &state["version"]), (&"UPLOADED".into(), &5.into()));
}

#[tokio::test]
async fn every_change_is_answered_again_in_the_same_words() {
    let world = HttpFixture::new();
    let asset = format!("/asset/{}", world.created().await);
    world.bucket.put(&asset["/asset/".len()..], b"hello world");
    let lines = ["PUT ", "DELETE ", "POST /restore", "DELETE ", "POST /purge"].map(|line| {
        let (method, route) = line.split_once(' ').unwrap();
        format!("{method} {asset}{route}")
    });
    let mut answers = Vec::new();
    for (line, key) in lines.iter().zip("abcde".chars()) {
        answers.push(world.send(keyed(line, &key.to_string())).await);
    }
    let events = world.events().await;
    for ((line, key), first) in lines.iter().zip("abcde".chars()).zip(answers) {
        let again = world.send(keyed(line, &key.to_string())).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body), "{line}");
        assert_eq!(again.headers["etag"], first.headers["etag"], "{line}");
        assert_eq!((is_replayed(&first), is_replayed(&again)), (false, true), "{line}");
        let other = world.send(keyed(&format!("DELETE {asset}?reason=x"), &key.to_string())).await;
        assert_eq!((other.status.as_u16(), &*other.code()), (422, "idempotency.reused"), "{line}");
    }
    assert_eq!(world.events().await, events);
}

#[tokio::test]
async fn a_key_creates_one_asset_however_often_and_however_many_at_once() {
    let world = HttpFixture::new();
    let all = join_all((0..64).map(|_| world.send(keyed("POST /asset", "k")))).await;
    assert!(all.iter().all(|answer| answer.status == 201 && id(answer) == id(&all[0])));
    assert!(all.iter().all(|answer| answer.headers["etag"] == "\"1\""));
    assert_eq!(all.iter().filter(|answer| !is_replayed(answer)).count(), 1);
    assert_eq!(world.events().await, 1);
    let (first, last) = (all[0].json(), all[63].json());
    assert_ne!(first["expires_at"], last["expires_at"], "each answer has a fresh URL");
}

#[tokio::test]
async fn another_declaration_is_refused_and_another_spelling_of_the_same_is_not() {
    let world = HttpFixture::new();
    let first = world.send(declared("k", r#"{"size": 11, "tags": {"a": "1", "b": "2"}}"#)).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let spelt = r#"{ "tags":{"b":"2","a":"\u0031"},"size":11,"filename":null }"#;
    let again = world.send(declared("k", spelt)).await;
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (201, true));
    assert_eq!(id(&again), id(&first));
    for other in [r#"{"size": 12}"#, "{}"] {
        let refused = world.send(declared("k", other)).await;
        assert_eq!((refused.status.as_u16(), &*refused.code()), (422, "idempotency.reused"));
    }
    let plain = world.send(keyed("POST /asset", "k")).await;
    assert_eq!(plain.code(), "idempotency.reused", "no body is another body than {{}}");
    assert_eq!(world.events().await, 1);
}

#[tokio::test]
async fn a_key_is_the_subjects_own_also_after_a_rotation() {
    let world = HttpFixture::deciding(AuthMode::Required);
    let created = async |key: &ApiKey, on_behalf_of| {
        let bearer = format!("Bearer {}", key.reveal());
        let headers =
            [("authorization", &*bearer), ("idempotency-key", "k"), ("on-behalf-of", on_behalf_of)];
        id(&world.send(request("POST /asset", &headers, "")).await)
    };
    let first = world.key("a", &[Scope::Write, Scope::Admin]).await;
    let asset = created(&first, "ann").await;
    assert_eq!(created(&first, "bob").await, asset, "a key may act for several people");
    let rotated = world.call_as(&first, &format!("POST /keys/{}/rotate", first.id)).await.json();
    let second: ApiKey = rotated["key"].as_str().unwrap().parse().unwrap();
    assert_eq!(created(&second, "ann").await, asset);
    for other in ["a", "b"] {
        let other = world.key(other, &[Scope::Write]).await;
        assert_ne!(created(&other, "ann").await, asset, "another subject, another asset");
    }
}

#[tokio::test]
async fn a_malformed_key_is_refused_before_anything_is_done() {
    let world = HttpFixture::new();
    let asset = format!("/asset/{}", world.uploaded().await);
    let events = world.events().await;
    for line in ["POST /asset", &format!("PUT {asset}"), &format!("DELETE {asset}")] {
        for key in ["", "a b", "\u{e9}", &"x".repeat(129)] {
            let refused = world.send(keyed(line, key)).await;
            let told = (refused.status.as_u16(), refused.code());
            assert_eq!(told, (400, "idempotency_key.invalid".into()), "{line} {key:?}");
        }
        let twice = [("idempotency-key", "k"), ("idempotency-key", "k")];
        assert_eq!(world.send(request(line, &twice, "")).await.code(), "idempotency_key.invalid");
    }
    assert_eq!(world.events().await, events);
    assert_eq!(world.send(keyed("POST /asset", &"x".repeat(128))).await.status, 201);
}
