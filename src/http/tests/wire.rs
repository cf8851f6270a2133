//! Golden files of the wire format: sequences of requests with every answer.

use std::fmt::Write as _;

use super::world::{HttpFixture, request};

const JSON: (&str, &str) = ("content-type", "application/json");
const LEGACY: (&str, &str) = ("x-legacy-envelope", "1");

/// Requests and their answers, in order.
#[derive(Default)]
struct Transcript(String);

impl Transcript {
    async fn say(&mut self, world: &HttpFixture, line: &str, headers: &[(&str, &str)], body: &str) {
        writeln!(self.0, "> {line}").unwrap();
        for (name, value) in headers {
            writeln!(self.0, "> {name}: {value}").unwrap();
        }
        if !body.is_empty() {
            writeln!(self.0, ">\n> {body}").unwrap();
        }
        let answer = world.send(request(line, headers, body)).await;
        writeln!(self.0, "{}", answer.shown()).unwrap();
    }

    async fn call(&mut self, world: &HttpFixture, line: &str) {
        self.say(world, line, &[], "").await;
    }
}

/// The id of the first asset of any world.
async fn first(world: &HttpFixture) -> String {
    let list = world.call("GET /asset").await.json();
    list["items"][0]["asset_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_original_walk() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    told.call(&world, "POST /asset").await;
    let id = first(&world).await;
    let asset = format!("/asset/{id}");
    told.call(&world, &format!("PUT {asset}")).await;
    told.call(&world, &format!("GET {asset}")).await;
    world.bucket.put(&id, b"hello world");
    told.call(&world, &format!("PUT {asset}")).await;
    told.call(&world, &format!("PUT {asset}")).await;
    told.call(&world, &format!("GET {asset}")).await;
    told.call(&world, &format!("GET {asset}?timeout=5")).await;
    told.call(&world, &format!("GET {asset}?timeout=99999999999999999999999")).await;
    told.call(&world, "GET /asset").await;
    told.call(&world, &format!("DELETE {asset}?reason=a%20duplicate")).await;
    told.call(&world, &format!("DELETE {asset}")).await;
    told.call(&world, &format!("GET {asset}")).await;
    told.call(&world, &format!("PUT {asset}")).await;
    told.call(&world, "GET /asset/unknown").await;
    insta::assert_snapshot!("original", told.0);
}

#[tokio::test]
async fn the_original_walk_in_the_original_form() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    told.say(&world, "POST /asset", &[LEGACY], "").await;
    let id = first(&world).await;
    let asset = format!("/asset/{id}");
    told.say(&world, &format!("GET {asset}"), &[LEGACY], "").await;
    told.say(&world, &format!("PUT {asset}"), &[LEGACY], "").await;
    world.bucket.put(&id, b"hello world");
    told.say(&world, &format!("PUT {asset}"), &[LEGACY], "").await;
    told.say(&world, &format!("GET {asset}"), &[LEGACY], "").await;
    told.say(&world, "GET /asset", &[LEGACY], "").await;
    told.say(&world, &format!("DELETE {asset}"), &[LEGACY], "").await;
    told.say(&world, "GET /asset/unknown", &[LEGACY], "").await;
    told.say(&world, "PATCH /asset", &[LEGACY], "").await;
    told.say(&world, "GET /healthz", &[LEGACY], "").await;
    told.say(&world, "GET /asset", &[("x-legacy-envelope", "yes")], "").await;
    insta::assert_snapshot!("legacy", told.0);
}

#[tokio::test]
async fn a_declared_file() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    let sha256 = ledger::chain::Hash::of(b"hello world").to_string().to_uppercase();
    let said = r#""filename":"my \"q3\" 🦀.pdf","content_type":"application/pdf","size":11"#;
    let body = format!(r#"{{{said},"sha256":"{sha256}","tags":{{"team":"finance"}}}}"#);
    told.say(&world, "POST /asset", &[JSON], &body).await;
    let id = first(&world).await;
    told.call(&world, &format!("GET /asset/{id}/state")).await;
    world.bucket.put(&id, b"another file");
    told.call(&world, &format!("PUT /asset/{id}")).await;
    world.bucket.put(&id, b"hello world");
    told.call(&world, &format!("PUT /asset/{id}")).await;
    told.call(&world, &format!("GET /asset/{id}")).await;
    told.say(&world, "POST /asset", &[JSON], "{}").await;
    insta::assert_snapshot!("declared", told.0);
}

#[tokio::test]
async fn the_past_of_an_asset() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    let id = world.deleted().await;
    let asset = format!("/asset/{id}");
    told.call(&world, &format!("GET {asset}/state")).await;
    told.call(&world, &format!("GET {asset}/state?version=2")).await;
    told.call(&world, &format!("GET {asset}/state?version=5")).await;
    told.call(&world, &format!("GET {asset}/state?as_of=2026-11-23T09:00:00.001%2B01:00")).await;
    told.call(&world, &format!("GET {asset}/state?as_of=2026-11-23T07:59:59Z")).await;
    told.call(&world, &format!("GET {asset}/state?as_of=2026-11-24T08:00:00Z")).await;
    told.call(&world, &format!("GET {asset}/history?limit=3")).await;
    told.call(&world, &format!("GET {asset}/history?limit=3&cursor=3")).await;
    told.say(&world, &format!("GET {asset}/history"), &[("accept", "application/jsonl")], "").await;
    insta::assert_snapshot!("past", told.0);
}

#[tokio::test]
async fn a_part_of_a_history() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    let id = world.deleted().await;
    let history = format!("GET /asset/{id}/history");
    told.call(&world, &format!("{history}?type=received")).await;
    told.call(&world, &format!("{history}?actor=nobody")).await;
    told.call(&world, &format!("{history}?type=teleported")).await;
    told.call(&world, &format!("{history}?since=soon")).await;
    told.say(&world, &format!("{history}?type=created"), &[("accept", "application/jsonl")], "")
        .await;
    insta::assert_snapshot!("part", told.0);
}

#[tokio::test]
async fn the_feed_of_all_assets() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    told.call(&world, "GET /events").await;
    world.uploaded().await;
    told.call(&world, "GET /events?limit=2").await;
    let next = world.call("GET /events?limit=2").await.json()["next"].clone();
    let after = format!("after={}", next.as_str().unwrap());
    told.call(&world, &format!("GET /events?{after}")).await;
    told.call(&world, &format!("GET /events?type=received&actor=anonymous&limit=1&{after}")).await;
    told.call(&world, "GET /events?after=a7-0000000000000000").await;
    insta::assert_snapshot!("events", told.0);
}

#[tokio::test]
async fn the_end_of_an_asset() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    let id = world.uploaded().await;
    let asset = format!("/asset/{id}");
    told.call(&world, &format!("POST {asset}/purge")).await;
    told.call(&world, &format!("POST {asset}/restore")).await;
    told.call(&world, &format!("POST {asset}/upload-url")).await;
    told.call(&world, &format!("DELETE {asset}?reason=old")).await;
    told.call(&world, &format!("POST {asset}/restore")).await;
    told.call(&world, &format!("DELETE {asset}")).await;
    told.call(&world, &format!("POST {asset}/purge")).await;
    told.call(&world, &format!("POST {asset}/purge")).await;
    told.call(&world, &format!("POST {asset}/restore")).await;
    told.call(&world, &format!("POST {asset}/upload-url")).await;
    told.call(&world, &format!("GET {asset}")).await;
    told.call(&world, &format!("PUT {asset}")).await;
    told.call(&world, &format!("DELETE {asset}")).await;
    told.call(&world, &format!("GET {asset}/state")).await;
    told.call(&world, &format!("GET {asset}/state?version=4")).await;
    told.call(&world, "GET /asset").await;
    insta::assert_snapshot!("end", told.0);
}

#[tokio::test]
async fn the_pages_of_the_list() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    world.created().await;
    world.deleted().await;
    world.created().await;
    told.call(&world, "GET /asset?limit=2").await;
    let next = world.call("GET /asset?limit=2").await.json()["next_cursor"].clone();
    told.call(&world, &format!("GET /asset?limit=2&cursor={}", next.as_str().unwrap())).await;
    told.call(&world, "GET /asset?state=CREATED&limit=1").await;
    told.call(&world, "GET /asset?state=UPLOADED").await;
    insta::assert_snapshot!("list", told.0);
}

#[tokio::test]
async fn a_fresh_upload_url() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    let id = world.created().await;
    told.call(&world, &format!("POST /asset/{id}/upload-url")).await;
    let stale = [("if-match", "\"7\"")];
    told.say(&world, &format!("POST /asset/{id}/upload-url"), &stale, "").await;
    insta::assert_snapshot!("upload_url", told.0);
}

#[tokio::test]
async fn the_service_itself() {
    let (world, mut told) = (HttpFixture::new(), Transcript::default());
    told.call(&world, "GET /healthz").await;
    told.call(&world, "GET /readyz").await;
    *world.ready.lock().unwrap() = Some("the bucket is not versioned".to_owned());
    told.call(&world, "GET /readyz").await;
    told.call(&world, "GET /docs").await;
    told.call(&world, "GET /docs/index.css").await;
    told.call(&world, "GET /docs/swagger-initializer.js").await;
    told.call(&world, "GET /docs/none.js").await;
    told.call(&world, "GET /").await;
    told.call(&world, "PATCH /asset").await;
    insta::assert_snapshot!("service", told.0);
}
