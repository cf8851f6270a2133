//! Complete lifecycles, for a client.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{ServeProcess, program};

#[test]
fn the_demo_shows_a_whole_life_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let output = program().arg("demo").env("TMPDIR", temporary.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}\n{log}");
    for step in [
        "RECEIVED",
        "the same bytes",
        "Request has expired",
        "412",
        "hash chain verified: 8 events",
    ] {
        assert!(text.contains(step), "the demo does not show {step:?}:\n{text}");
    }
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_upload_becomes_received_without_being_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServeProcess::start(&folder.path().join("data"));
    let created = server.create().await;
    let id = created["id"].as_str().unwrap();
    let url = created["upload_url"].as_str().unwrap();
    let uploaded = server.http.put(url).body("bytes").send().await.unwrap();
    assert_eq!(uploaded.status(), 200);
    server.wait_for(id, "RECEIVED").await;
    let history: Value = server.get(&format!("/asset/{id}/history")).await.json().await.unwrap();
    assert_eq!(history["events"][1]["source"], "s3");
    assert!(server.stop());
}

#[tokio::test]
async fn a_place_in_the_feed_lasts_longer_than_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let page = async |server: &ServeProcess, path: &str| -> Value {
        server.get(path).await.json().await.unwrap()
    };
    let server = ServeProcess::start(&data);
    let first = server.create().await["id"].clone();
    let told = page(&server, "/events").await;
    assert_eq!((&told["events"][0]["asset_id"], &told["more"]), (&first, &json!(false)));
    assert!(server.stop());

    let server = ServeProcess::start(&data);
    let after = format!("/events?after={}", told["next"].as_str().unwrap());
    assert_eq!(page(&server, &after).await["events"], json!([]));
    let second = server.create().await["id"].clone();
    let told = page(&server, &after).await;
    assert_eq!(told["events"].as_array().unwrap().len(), 1);
    assert_eq!(told["events"][0]["asset_id"], second);
    assert!(server.stop());

    // A cursor is refused by another journal at the same address.
    let other = ServeProcess::start(&folder.path().join("other"));
    other.create().await;
    let answer = page(&other, &after).await;
    assert_eq!(answer["code"], "after.invalid");
}

#[tokio::test]
async fn a_declared_upload_takes_the_declared_bytes_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServeProcess::start(&folder.path().join("data"));
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"; // hello
    let declared = json!({"filename": "héllo \"1\" 🦀.txt", "size": 5, "sha256": sha256});
    let created = server.request(Method::POST, "/asset").json(&declared).send().await.unwrap();
    let created: Value = created.json().await.unwrap();
    let send = async |bytes: &'static str| {
        let mut put = server.http.put(created["upload_url"].as_str().unwrap());
        for (name, value) in created["upload"]["headers"].as_object().unwrap() {
            if name != "content-length" {
                put = put.header(name, value.as_str().unwrap());
            }
        }
        put.body(bytes).send().await.unwrap().status().as_u16()
    };
    assert_eq!(send("jello").await, 400, "other bytes of the same length");
    assert_eq!(send("hello!").await, 403, "another length");
    assert_eq!(send("hello").await, 200);
    assert_eq!(send("hello").await, 412, "a second time");
    let id = created["id"].as_str().unwrap();
    let confirmed = server.request(Method::PUT, &format!("/asset/{id}")).send().await.unwrap();
    assert_eq!(confirmed.status(), 202);
    let answer: Value = server.get(&format!("/asset/{id}")).await.json().await.unwrap();
    let url = answer["download_url"].as_str().unwrap();
    let download = server.http.get(url).send().await.unwrap();
    let disposition = download.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(disposition.starts_with("attachment; filename="), "{disposition}");
    assert!(disposition.contains("filename*=UTF-8''h%C3%A9llo"), "{disposition}");
    assert_eq!(download.text().await.unwrap(), "hello");
}

#[tokio::test]
async fn an_overwrite_of_a_confirmed_asset_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServeProcess::start(&folder.path().join("data"));
    let created = server.create().await;
    let (id, url) = (created["id"].as_str().unwrap(), created["upload_url"].as_str().unwrap());
    assert_eq!(server.http.put(url).body("first").send().await.unwrap().status(), 200);
    let confirm = server.request(Method::PUT, &format!("/asset/{id}")).send().await.unwrap();
    assert_eq!(confirm.status(), 202);
    assert_eq!(server.http.put(url).body("second").send().await.unwrap().status(), 200);
    let answer: Value = server.get(&format!("/asset/{id}")).await.json().await.unwrap();
    let download = answer["download_url"].as_str().unwrap();
    let bytes = server.http.get(download).send().await.unwrap().text().await.unwrap();
    assert_eq!(bytes, "first");
}

#[tokio::test]
async fn no_signature_reaches_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServeProcess::start(&folder.path().join("data"));
    let created = server.create().await;
    let (id, url) = (created["id"].as_str().unwrap(), created["upload_url"].as_str().unwrap());
    server.http.put(url).body("bytes").send().await.unwrap();
    server.request(Method::PUT, &format!("/asset/{id}?token=hush")).send().await.unwrap();
    server.get(&format!("/asset/{id}?timeout=7&token=hush")).await;
    server.http.get(format!("{url}x")).send().await.unwrap(); // a wrong signature
    let log = server.stopped_log();
    assert!(log.lines().count() > 3, "nothing is logged:\n{log}");
    let last = r#""method":"GET","route":"/asset/{id}""#;
    assert!(log.contains(last), "lines that waited are lost by a stop:\n{log}");
    for secret in ["X-Amz-", "Signature", "hush", "timeout=7"] {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "not JSON: {line}");
    }
}
