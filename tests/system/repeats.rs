//! Requests that are sent again with the same `Idempotency-Key`, also to the process that comes
//! after a `kill -9`.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;

use crate::server::{ServeProcess, program};

/// Rounds of requests whose process is killed at another moment each.
const ROUNDS: u64 = 12;

async fn send(server: &ServeProcess, method: Method, path: &str, key: &str) -> Option<Response> {
    server.request(method, path).header("idempotency-key", key).send().await.ok()
}

async fn created(server: &ServeProcess, key: &str) -> Option<String> {
    let answer = send(server, Method::POST, "/asset", key).await?;
    assert_eq!(answer.status(), 201);
    let body: Value = answer.json().await.ok()?;
    Some(body["id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_a_kill_took_is_given_again_and_nothing_is_done_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut lost = 0;
    for round in 0..ROUNDS {
        let server = ServeProcess::start(&data);
        let keys: Vec<_> = (0..64).map(|nth| format!("create-{round}-{nth}")).collect();
        let told = {
            let all = futures::future::join_all(keys.iter().map(|key| created(&server, key)));
            let kill = async {
                tokio::time::sleep(Duration::from_millis(2 * round)).await;
                server.signal("-KILL");
            };
            tokio::join!(all, kill).0
        };
        server.kill();
        lost += told.iter().filter(|id| id.is_none()).count();

        let server = ServeProcess::start(&data);
        let all = futures::future::join_all(keys.iter().map(|key| created(&server, key))).await;
        for (before, after) in told.iter().zip(&all) {
            assert!(after.is_some(), "the repeat was not answered");
            assert!(before.is_none() || before == after, "{before:?} became {after:?}");
        }
        server.kill();
    }
    assert!(lost > 0, "no kill came in time");
    println!("{} creations: {lost} answers lost, and given again", ROUNDS * 64);

    let server = ServeProcess::start(&data);
    let feed = count(&server).await;
    assert_eq!(feed, ROUNDS * 64, "an asset for each key");
    assert!(server.stop(), "it did not end in good order");
}

/// The number of assets that were ever created, from the feed.
async fn count(server: &ServeProcess) -> u64 {
    let (mut created, mut path) = (0, "/events?limit=1000".to_owned());
    loop {
        let page: Value = server.get(&path).await.json().await.unwrap();
        created += page["events"].as_array().unwrap().len() as u64;
        if page["more"] != true {
            return created;
        }
        path = format!("/events?limit=1000&after={}", page["next"].as_str().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_answered_again_after_a_kill_and_a_restored_asset_stays() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = ServeProcess::start(&data);
    let id = server.received("hello world").await;
    let path = format!("/asset/{id}");
    let first = send(&server, Method::DELETE, &path, "k").await.unwrap();
    let tag = first.headers()["etag"].clone();
    assert_eq!((first.status().as_u16(), first.headers().get("idempotency-replayed")), (204, None));
    server.kill();

    let server = ServeProcess::start(&data);
    let restored = send(&server, Method::POST, &format!("{path}/restore"), "l").await.unwrap();
    assert_eq!(restored.status(), 200);
    let again = send(&server, Method::DELETE, &path, "k").await.unwrap();
    assert_eq!((again.status().as_u16(), &again.headers()["etag"]), (204, &tag));
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(server.state(&id).await["state"], "RECEIVED");
    assert!(server.stop(), "it did not end in good order");
    let verified = program().arg("verify").arg("--data").arg(&data).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
