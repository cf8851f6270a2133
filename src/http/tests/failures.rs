//! Failing stores, races, and bugs: the answer shows what the client can do.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::stream;
use ledger::error::StoreErrorKind;

use super::world::{HttpFixture, Mood, request};
use crate::http::{AllowedHosts, Limits};

fn routes(id: &str) -> Vec<String> {
    let of = |pattern: &str| pattern.replace("{id}", id);
    [
        "POST /asset",
        "GET /asset",
        "GET /asset/{id}",
        "PUT /asset/{id}",
        "DELETE /asset/{id}",
        "GET /asset/{id}/state",
        "GET /asset/{id}/state?version=1",
        "GET /asset/{id}/history",
        "GET /asset/{id}/proof",
        "GET /events",
        "POST /asset/{id}/restore",
        "POST /asset/{id}/purge",
        "POST /asset/{id}/upload-url",
    ]
    .map(of)
    .to_vec()
}

#[tokio::test]
async fn a_store_that_fails_says_whose_turn_it_is() {
    let world = HttpFixture::new();
    let id = world.created().await;
    for (kind, status, code, retry) in [
        (StoreErrorKind::Unavailable, 503, "store.unavailable", Some("1")),
        (StoreErrorKind::Throttled, 503, "store.unavailable", Some("1")),
        (StoreErrorKind::Corrupt, 500, "history.broken", None),
        (StoreErrorKind::Newer, 500, "event.unknown", None),
        (StoreErrorKind::Misconfigured, 500, "store.misconfigured", None),
    ] {
        world.journal.feel(Mood::Fails(kind));
        for line in routes(&id) {
            let answer = world.call(&line).await;
            let told = (answer.status.as_u16(), answer.code());
            assert_eq!(told, (status, code.to_owned()), "{kind:?} {line}");
            let after = answer.headers.get("retry-after").map(|it| it.to_str().unwrap());
            assert_eq!(after, retry, "{kind:?} {line}");
            assert!(!answer.body.contains("secret"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_list_of_rows_that_are_still_being_made_is_not_taken_for_the_whole() {
    let world = HttpFixture::new();
    let id = world.created().await;
    world.journal.feel(Mood::Fills);
    let answer = world.call("GET /asset").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "list.incomplete".to_owned()));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(world.call(&format!("GET /asset/{id}/state")).await.status, 200);
    world.journal.feel(Mood::Well);
    assert_eq!(world.call("GET /asset").await.status, 200);
}

#[tokio::test]
async fn a_panic_is_a_bug_of_ours_and_says_nothing_of_itself() {
    let world = HttpFixture::new();
    let id = world.created().await;
    world.journal.feel(Mood::Panics);
    for line in routes(&id) {
        let answer = world.call(&line).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "internal"), "{line}");
        assert!(!answer.body.contains("secret"), "{}", answer.body);
        assert!(answer.headers.contains_key("x-request-id"));
    }
    world.journal.feel(Mood::Well);
    assert_eq!(world.call("POST /asset").await.status, 201);
}

#[tokio::test]
async fn a_race_lost_again_and_again_is_to_be_tried_later() {
    let world = HttpFixture::new();
    let id = world.created().await;
    world.journal.feel(Mood::Races);
    let answer = world.call(&format!("DELETE /asset/{id}")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "asset.contended"));
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn no_request_lasts_for_ever() {
    let limits = Limits { deadline: Duration::from_millis(5), ..Limits::default() };
    let world = HttpFixture::with(AllowedHosts::Any, limits);
    world.journal.feel(Mood::Hangs);
    let answer = world.call("POST /asset").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "request.timeout"));
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_the_clients_trouble() {
    let world = HttpFixture::new();
    let stalled = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let request = Request::builder().method("POST").uri("/asset").body(stalled).unwrap();
    let answer = world.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (408, "body.timeout"));
    assert_eq!(world.events().await, 0);
}

#[tokio::test]
async fn bytes_that_are_gone_cannot_be_restored() {
    let world = HttpFixture::new();
    let id = world.deleted().await;
    world.bucket.lose(&id);
    let answer = world.call(&format!("POST /asset/{id}/restore")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "asset.bytes_gone"));
}

#[tokio::test]
async fn a_change_names_the_version_that_it_was_meant_for() {
    let world = HttpFixture::new();
    for (tag, status, code) in [
        ("\"9\"", 412, "version.conflict"),
        ("W/\"3\"", 412, "version.conflict"),
        ("\"x\"", 412, "version.conflict"),
        ("3", 400, "if_match.invalid"),
        ("\"3\", \"4\"", 400, "if_match.invalid"),
        ("", 400, "if_match.invalid"),
    ] {
        let (up, down) = (world.uploaded().await, world.deleted().await);
        for line in [
            format!("PUT /asset/{up}"),
            format!("DELETE /asset/{up}"),
            format!("POST /asset/{down}/restore"),
            format!("POST /asset/{down}/purge"),
            format!("POST /asset/{up}/upload-url"),
        ] {
            let before = world.events().await;
            let answer = world.send(request(&line, &[("if-match", tag)], "")).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{line}");
            assert_eq!(world.events().await, before);
        }
    }
    let id = world.uploaded().await;
    for (tag, version) in [("\"3\"", "\"4\""), ("*", "\"4\"")] {
        let line = format!("DELETE /asset/{id}");
        let answer = world.send(request(&line, &[("if-match", tag)], "")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["etag"]),
            (204, &version.parse().unwrap())
        );
    }
    let absent =
        HttpFixture::new().send(request("PUT /asset/none", &[("if-match", "*")], "")).await;
    assert_eq!(absent.status, 404);
}

#[tokio::test]
async fn other_sites_are_kept_away_where_nobody_is_asked_who_they_are() {
    let world = HttpFixture::with(AllowedHosts::default(), Limits::default());
    let host = ("host", "localhost:8080");
    for (headers, status, code) in [
        (vec![host], 201, "none"),
        (vec![host, ("origin", "http://localhost:3000")], 201, "none"),
        (vec![host, ("origin", "https://evil.example")], 403, "origin.forbidden"),
        (vec![("host", "evil.example")], 403, "host.forbidden"),
    ] {
        let answer = world.send(request("POST /asset", &headers, "")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    assert_eq!(world.events().await, 2);
}

#[tokio::test]
async fn a_purge_that_leaves_bytes_goes_on_when_it_is_asked_again() {
    let world = HttpFixture::new();
    let id = world.deleted().await;
    world.bucket.stick(true);
    for _ in 0..2 {
        let answer = world.call(&format!("POST /asset/{id}/purge")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (202, &"DELETED".into()));
        assert_eq!(
            (&answer.headers["etag"], &answer.json()["purging"]),
            (&"\"5\"".parse().unwrap(), &true.into())
        );
    }
    let answer = world.call(&format!("POST /asset/{id}/restore")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "asset.being_purged"));
    world.bucket.stick(false);
    let answer = world.call(&format!("POST /asset/{id}/purge")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (202, &"PURGED".into()));
}
