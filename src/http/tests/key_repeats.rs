//! Requests on keys that are sent again under an `Idempotency-Key`.

use ledger::access::{ApiKey, Scope};
use serde_json::json;

use super::world::{HttpAnswer, HttpFixture, request};
use crate::http::AuthMode;

struct World {
    http: HttpFixture,
    admin: ApiKey,
}

impl World {
    async fn new() -> Self {
        let http = HttpFixture::deciding(AuthMode::Required);
        let admin = http.key("main", &[Scope::Admin]).await;
        Self { http, admin }
    }

    async fn sent_by(&self, key: &ApiKey, line: &str, name: &str, body: &str) -> HttpAnswer {
        let bearer = format!("Bearer {}", key.reveal());
        let mut headers = vec![("authorization", &*bearer), ("idempotency-key", name)];
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        self.http.send(request(line, &headers, body)).await
    }

    async fn sent(&self, line: &str, name: &str, body: &str) -> HttpAnswer {
        self.sent_by(&self.admin, line, name, body).await
    }

    async fn live(&self) -> usize {
        let list = self.http.call_as(&self.admin, "GET /keys").await.json();
        list["keys"].as_array().unwrap().len()
    }
}

fn told(answer: &HttpAnswer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn a_created_key_is_not_shown_again_and_is_named() {
    let world = World::new().await;
    let body = r#"{"name":"a","scopes":["read","write"],"expires_at":"2027-01-01T00:00:00Z"}"#;
    let made = world.sent("POST /keys", "k", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let secret = made.json()["key"].as_str().unwrap().to_owned();
    let same = r#"{ "expires_at":"2027-01-01T01:00:00+01:00", "own_only": false,
        "scopes":["write","read"], "name":"a"}"#;
    for body in [body, same] {
        let again = world.sent("POST /keys", "k", body).await;
        assert_eq!(told(&again), (409, "key.shown_once".into()));
        let detail = again.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&id) && detail.contains("revoke"), "{detail}");
        assert!(!again.body.contains(&secret[40..60]));
    }
    for other in [
        json!({"name": "b", "scopes": ["read", "write"], "expires_at": "2027-01-01T00:00:00Z"}),
        json!({"name": "a", "scopes": ["read"], "expires_at": "2027-01-01T00:00:00Z"}),
        json!({"name": "a", "scopes": ["read", "write"]}),
    ] {
        let reused = world.sent("POST /keys", "k", &other.to_string()).await;
        assert_eq!(told(&reused), (422, "idempotency.reused".into()), "{other}");
    }
    assert_eq!(world.live().await, 2);
    let bad = world.sent("POST /keys", "a b", body).await;
    assert_eq!(told(&bad), (400, "idempotency_key.invalid".into()));
    // The remedy that is told.
    assert_eq!(world.http.call_as(&world.admin, &format!("DELETE /keys/{id}")).await.status, 204);
    assert_eq!(world.sent("POST /keys", "l", body).await.status, 201);
    assert_eq!(world.live().await, 2);
    let another = world.http.key("main", &[Scope::Admin]).await;
    assert_eq!(world.sent_by(&another, "POST /keys", "k", body).await.status, 201);
}

#[tokio::test]
async fn a_rotation_and_a_revocation_take_place_once() {
    let world = World::new().await;
    let key = world.http.key("main", &[Scope::Read]).await;
    let rotate = format!("POST /keys/{}/rotate", key.id);
    let new = world.sent(&rotate, "k", r#"{"grace_seconds":60}"#).await;
    assert_eq!(new.status, 201, "{}", new.body);
    let new = new.json()["id"].as_str().unwrap().to_owned();
    let again = world.sent(&rotate, "k", r#"{"grace_seconds":60}"#).await;
    assert_eq!(told(&again), (409, "key.shown_once".into()));
    assert!(again.body.contains(&new));
    let other = world.sent(&rotate, "k", "{}").await;
    assert_eq!(told(&other), (422, "idempotency.reused".into()));
    let invalid = world.sent(&rotate, "k", r#"{"grace_seconds":-1}"#).await;
    assert_eq!(told(&invalid), (400, "body.invalid".into()), "whatever its key was used for");

    let revoke = format!("DELETE /keys/{new}?reason=lost");
    let replayed = |answer: &HttpAnswer| {
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
        answer.headers.get("idempotency-replayed").map(|it| it.to_str().unwrap().to_owned())
    };
    assert_eq!(replayed(&world.sent(&revoke, "r", "").await), None);
    assert_eq!(replayed(&world.sent(&revoke, "r", "").await), Some("true".into()));
    assert_eq!(replayed(&world.sent(&revoke, "s", "").await), None, "it changed nothing");
    let other = world.sent(&revoke.replace("lost", "found"), "r", "").await;
    assert_eq!(told(&other), (422, "idempotency.reused".into()));
}
