//! The access log: which URLs are recorded, what a URL that cannot be recorded becomes, and who
//! reads it.

use ledger::access::{AccessCommand, ApiKey, Scope, TenantLimits};
use serde_json::Value;

use super::world::{HttpAnswer, HttpFixture, Mood};
use crate::http::AuthMode;

/// A service, and a key of its tenant, whose URLs are recorded.
async fn recording() -> (HttpFixture, ApiKey) {
    let world = HttpFixture::deciding(AuthMode::Required);
    let key = world.key("main", &Scope::ALL).await;
    let limits = TenantLimits { record_urls: true, ..TenantLimits::default() };
    world.operate("main", AccessCommand::Limit(limits)).await;
    (world, key)
}

async fn log(world: &HttpFixture, key: &ApiKey, id: &str, query: &str) -> Value {
    let answer = world.call_as(key, &format!("GET /asset/{id}/urls{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn id_of(answer: &HttpAnswer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// An asset that was created, got a second upload URL, and was confirmed and downloaded twice.
async fn used(world: &HttpFixture, key: &ApiKey) -> (String, Vec<String>) {
    let created = world.call_as(key, "POST /asset").await;
    let id = id_of(&created);
    let again = world.call_as(key, &format!("POST /asset/{id}/upload-url")).await;
    world.bucket.put(&id, b"hello world");
    assert_eq!(world.call_as(key, &format!("PUT /asset/{id}")).await.status, 202);
    let mut ends = vec![created.json(), again.json()];
    for seconds in [30, 50] {
        let line = format!("GET /asset/{id}?timeout={seconds}");
        ends.push(world.call_as(key, &line).await.json());
    }
    let ends = ends.iter().map(|it| it["expires_at"].as_str().unwrap().to_owned()).collect();
    (id, ends)
}

#[tokio::test]
async fn each_url_is_recorded_with_its_end_before_it_is_given() {
    let (world, key) = recording().await;
    let (id, ends) = used(&world, &key).await;
    let (other, _) = used(&world, &key).await;
    let page = log(&world, &key, &id, "").await;
    assert_eq!((page["asset_id"].as_str(), page["next_cursor"].as_str()), (Some(&*id), None));
    let urls = page["urls"].as_array().unwrap();
    assert_eq!(urls.len(), 4, "{page:#}");
    let told = urls.iter().zip([(1, "PUT"), (1, "PUT"), (3, "GET"), (3, "GET")]).zip(&ends);
    for ((url, (version, method)), end) in told {
        let data = &url["data"];
        assert_eq!((data["asset"].as_str(), data["version"].as_u64()), (Some(&*id), Some(version)));
        assert_eq!(
            (data["method"].as_str(), data["expires_at"].as_str()),
            (Some(method), Some(&**end))
        );
        assert_eq!(data["version_id"].as_str(), (method == "GET").then_some("v1"));
        assert_eq!(
            (url["type"].as_str(), url["source"].as_str()),
            (Some("url_granted"), Some("api"))
        );
        assert_eq!(url["actor"], format!("key:{}/1", key.id));
        assert!(url["stream"].as_str().unwrap().starts_with("urls-20261123-"), "{url}");
    }
    assert!(!page.to_string().contains("s3.test"), "the URL itself is nowhere");
    assert_eq!(log(&world, &key, &other, "").await["urls"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn pages_continue_and_times_select() {
    let (world, key) = recording().await;
    let (id, _) = used(&world, &key).await;
    let all = log(&world, &key, &id, "").await["urls"].clone();
    let (mut found, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let page = log(&world, &key, &id, &query).await;
        found.extend(page["urls"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=3&cursor={next}");
    }
    assert_eq!(Value::from(found), all);
    let at = |nth: usize| all[nth]["at"].as_str().unwrap();
    let between = log(&world, &key, &id, &format!("?since={}&until={}", at(1), at(3))).await;
    assert_eq!(between["urls"], Value::from(all.as_array().unwrap()[1..3].to_vec()));
    for (query, code) in [
        ("?cursor=3", "cursor.invalid"),
        ("?limit=0", "limit.invalid"),
        ("?since=now", "since.invalid"),
        ("?since=2026-11-24T00:00:00Z&until=2026-11-23T00:00:00Z", "until.invalid"),
        ("?actor=x", "query.invalid"),
    ] {
        let answer = world.call_as(&key, &format!("GET /asset/{id}/urls{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, code.to_owned()), "{query}");
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_recorded_is_not_given() {
    let (world, key) = recording().await;
    let (id, _) = used(&world, &key).await;
    let waiting = id_of(&world.call_as(&key, "POST /asset").await);
    for (mood, code) in [(Mood::LogFails, "store.unavailable"), (Mood::Well, "")] {
        world.journal.feel(mood);
        for line in [
            "POST /asset".to_owned(),
            format!("POST /asset/{waiting}/upload-url"),
            format!("GET /asset/{id}"),
        ] {
            let answer = world.call_as(&key, &line).await;
            let given = answer.body.contains("s3.test");
            assert_eq!(given, code.is_empty(), "{line}: {}", answer.body);
            if !given {
                assert_eq!((answer.status.as_u16(), answer.code()), (503, code.to_owned()));
                assert_eq!(answer.headers["retry-after"], "1", "{line}");
            }
        }
    }
    world.journal.feel(Mood::Races);
    let answer = world.call_as(&key, &format!("GET /asset/{id}")).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "urls.contended".to_owned()));
}

#[tokio::test]
async fn without_the_switch_nothing_is_recorded() {
    let world = HttpFixture::deciding(AuthMode::Required);
    let key = world.key("main", &Scope::ALL).await;
    world.journal.feel(Mood::LogFails);
    let (id, _) = used(&world, &key).await;
    assert_eq!(log(&world, &key, &id, "").await["urls"], Value::from(Vec::<Value>::new()));
}

#[tokio::test]
async fn the_log_of_an_asset_that_is_not_there_is_the_same_404() {
    let (world, key) = recording().await;
    let (id, _) = used(&world, &key).await;
    let foreign = world.key("other", &Scope::ALL).await;
    let missing = "019aaf6b-5a00-7123-8456-0123456789ab";
    let told = async |key: &ApiKey, id: &str| {
        let answer = world.call_as(key, &format!("GET /asset/{id}/urls")).await;
        (answer.status.as_u16(), answer.shown().replace(id, "ID"))
    };
    let (status, absent) = told(&foreign, missing).await;
    assert_eq!((status, absent.contains("asset.not_found")), (404, true));
    assert_eq!(told(&foreign, &id).await, (404, absent.clone()));
    assert_eq!(told(&key, missing).await, (404, absent));
}
