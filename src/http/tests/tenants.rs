//! Two tenants on one service: no answer to one changes by what others do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ledger::access::{AccessCommand, ApiKey, Scope, TenantLimits};
use serde_json::Value;

use super::world::{HttpAnswer, HttpFixture, request};
use crate::http::AuthMode;

const JSON: (&str, &str) = ("content-type", "application/json");

/// Tenants beside `main`, whose names begin as its does, or it as theirs.
const OTHERS: [&str; 3] = ["main-b", "maina", "mai"];

/// A service with `main` and others.
struct Street {
    world: HttpFixture,
    main: ApiKey,
    others: Vec<ApiKey>,
    told: String,
}

impl Street {
    async fn of(others: &[&str]) -> Self {
        let world = HttpFixture::deciding(AuthMode::Required);
        let main = world.key("main", &Scope::ALL).await;
        let limits = TenantLimits { assets: Some(4), ..TenantLimits::default() };
        world.operate("main", AccessCommand::Limit(limits)).await;
        let mut keys = Vec::new();
        for name in others {
            keys.push(world.key(name, &Scope::ALL).await);
        }
        Self { world, main, others: keys, told: String::new() }
    }

    async fn send(&self, key: &ApiKey, line: &str, once: Option<&str>, body: &str) -> HttpAnswer {
        let bearer = format!("Bearer {}", key.reveal());
        let mut headers = vec![("authorization", &*bearer), ("x-request-id", "r")];
        headers.extend(once.map(|once| ("idempotency-key", once)));
        headers.extend((!body.is_empty()).then_some(JSON));
        self.world.send(request(line, &headers, body)).await
    }

    /// What `main` is told, after the others have done the like.
    async fn call(&mut self, line: &str, once: Option<&str>, body: &str) -> Value {
        for key in &self.others {
            self.noise(key).await;
        }
        let answer = self.send(&self.main, line, once, body).await;
        for key in &self.others {
            assert!(!answer.body.contains(&key.id.to_string()), "{}", answer.body);
        }
        let shown = answer.shown();
        // A cursor has the number of an arrival, and numbers have lengths.
        let shown = shown.lines().filter(|line| !line.starts_with("content-length"));
        writeln!(self.told, "{line}\n{}", shown.collect::<Vec<_>>().join("\n")).unwrap();
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// Another tenant creates, deletes, repeats, lists and fails, with the same names and keys.
    async fn noise(&self, key: &ApiKey) {
        let created = self.send(key, "POST /asset", Some("k"), "").await;
        assert_eq!(created.status, 201, "{}", created.body);
        let another = self.send(key, "POST /asset", None, r#"{"filename":"a.txt"}"#).await.json();
        let path = format!("/asset/{}", another["id"].as_str().unwrap());
        assert_eq!(self.send(key, &format!("DELETE {path}"), Some("d"), "").await.status, 204);
        for line in ["GET /asset", "GET /events", "GET /usage", "GET /asset/none", "PUT /asset/0"] {
            self.send(key, line, None, "").await;
        }
    }
}

/// Everything that a tenant can do, in one story.
async fn story(mut street: Street) -> String {
    let first = street.call("POST /asset", Some("k"), "").await;
    let path = format!("/asset/{}", first["id"].as_str().unwrap());
    let again = street.call("POST /asset", Some("k"), "").await;
    assert_eq!(first["id"], again["id"]);
    street.call("POST /asset", Some("k"), r#"{"filename":"b.txt"}"#).await;
    let declared = r#"{"filename":"a.txt","size":5,"content_type":"text/plain"}"#;
    street.call("POST /asset", None, declared).await;
    street.call(&format!("PUT {path}"), None, "").await;
    street.world.bucket.put(&path["/asset/".len()..], b"hello");
    street.call(&format!("PUT {path}"), Some("c"), "").await;
    for line in ["GET ", "GET /state", "GET /history", "DELETE ", "GET ", "POST /restore"] {
        let (method, tail) = line.split_once(' ').unwrap();
        street.call(&format!("{method} {path}{tail}"), None, "").await;
    }
    for _ in 0..3 {
        street.call("POST /asset", None, "").await; // the last is beyond the quota
    }
    for first in ["/asset?limit=2", "/asset?state=CREATED&limit=1", "/events?limit=2"] {
        let mut next = Some(first.to_owned());
        for _ in 0..20 {
            let Some(line) = next.take() else { break };
            let page = street.call(&format!("GET {line}"), None, "").await;
            let more = page["more"] != Value::Bool(false);
            let cursor = page["next"].as_str().or(page["next_cursor"].as_str());
            let name = if first.starts_with("/events") { "after" } else { "cursor" };
            next = cursor.filter(|_| more).map(|cursor| format!("{first}&{name}={cursor}"));
        }
        assert_eq!(next, None, "a walk ends");
    }
    let key = street.call("POST /keys", None, r#"{"name":"a","scopes":["read"]}"#).await;
    let key = format!("/keys/{}", key["id"].as_str().unwrap());
    for line in [
        "GET /usage".to_owned(),
        "GET /keys".to_owned(),
        format!("DELETE {key}"),
        format!("GET {key}"),
        "GET /access".to_owned(),
        "GET /me".to_owned(),
        "GET /asset/019aaf6b-5a00-7123-8456-0123456789ab".to_owned(),
        "GET /events?after=a1-0000000000000000".to_owned(),
        format!("DELETE {path}"),
        format!("POST {path}/purge"),
        format!("GET {path}/history"),
        "GET /asset".to_owned(),
    ] {
        street.call(&line, None, "").await;
    }
    masked(&street.told)
}

/// The text with ids, hashes, times and cursors as numbers, by their first occurrence: they differ
/// between any two runs with other calls, and are equal where they were equal.
fn masked(text: &str) -> String {
    let mut known = BTreeMap::<&str, usize>::new();
    let is_part = |it: char| it.is_ascii_alphanumeric() || "-:._".contains(it);
    let mut masked = String::new();
    for run in text.split_inclusive(|it| !is_part(it)) {
        let word = run.trim_end_matches(|it| !is_part(it));
        let digits = word.chars().filter(char::is_ascii_digit).count();
        if word.len() < 12 || digits < 4 {
            masked.push_str(run);
            continue;
        }
        let next = known.len();
        write!(masked, "#{}{}", known.entry(word).or_insert(next), &run[word.len()..]).unwrap();
    }
    masked
}

#[tokio::test]
async fn no_answer_to_a_tenant_changes_by_what_others_do() {
    let alone = story(Street::of(&[]).await).await;
    assert!(alone.contains("quota.exceeded") && alone.contains("idempotency.reused"), "{alone}");
    for others in [&OTHERS[..1], &OTHERS[1..2], &OTHERS] {
        let beside = story(Street::of(others).await).await;
        for (line, (alone, beside)) in alone.lines().zip(beside.lines()).enumerate() {
            assert_eq!(alone, beside, "line {line}, beside {others:?}");
        }
        assert_eq!(alone.lines().count(), beside.lines().count());
    }
}
