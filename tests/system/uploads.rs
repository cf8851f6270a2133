//! Uploads by a page with a token, and the log of the URLs that were given out: on one machine,
//! from the first command to the audit.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{ServeProcess, program};

/// Runs a command on the data folder: its exit code and standard output.
fn run(data: &Path, arguments: &[&str]) -> (i32, String) {
    let output = program().args(arguments).arg("--data").arg(data).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn done(data: &Path, arguments: &[&str]) -> String {
    let (code, out) = run(data, arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}");
    out
}

/// A token that the command signs with `key`.
fn signed(key: &str, arguments: &[&str]) -> String {
    let mut command = program();
    command.arg("upload-token").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

async fn create(server: &ServeProcess, token: &str, number: &str, size: usize) -> Response {
    let declared = json!({"size": size, "content_type": "image/png"});
    let request = server.request(Method::POST, "/asset").bearer_auth(token);
    request.header("idempotency-key", number).json(&declared).send().await.unwrap()
}

#[tokio::test]
async fn a_page_uploads_with_a_token_and_each_url_is_recorded() {
    let folder = TempDir::new().unwrap();
    let data = &folder.path().join("data");
    done(data, &["tenant", "create", "main"]);
    done(data, &["tenant", "limit", "main", "--record-urls", "on"]);
    assert!(done(data, &["tenant", "show", "main"]).contains("URLs are recorded"));
    let scopes = "read,write,audit";
    let key = done(data, &["key", "create", "--name", "app", "--scope", scopes]);
    let key = key.trim_end();
    let limits = ["--assets", "2", "--object-bytes", "10", "--type", "image/*", "--for", "ann"];
    let token = signed(key, &limits);

    let mut command = program();
    command.env("ASSET_LEDGER_AUTH", "required");
    let server = ServeProcess::start_as(command, data);
    for (number, size, status) in [("3", 5, 400), ("1", 11, 403), ("1", 5, 201)] {
        let answer = create(&server, &token, number, size).await;
        assert_eq!(answer.status(), status, "{number} {size}: {:?}", answer.text().await);
    }
    let created: Value = create(&server, &token, "1", 5).await.json().await.unwrap();
    let id = created["id"].as_str().unwrap();
    let put = server.http.put(created["upload"]["url"].as_str().unwrap()).body("hello");
    let put = put.header("content-type", "image/png").header("if-none-match", "*");
    assert_eq!(put.send().await.unwrap().status(), 200);
    let confirm = server.request(Method::PUT, &format!("/asset/{id}")).bearer_auth(&token);
    assert_eq!(confirm.send().await.unwrap().status(), 202);
    let read = server.request(Method::GET, &format!("/asset/{id}")).bearer_auth(&token);
    assert_eq!(read.send().await.unwrap().status(), 403);
    let read = server.request(Method::GET, &format!("/asset/{id}")).bearer_auth(key);
    assert_eq!(read.send().await.unwrap().status(), 202);
    let log = server.request(Method::GET, &format!("/asset/{id}/urls")).bearer_auth(key);
    let log: Value = log.send().await.unwrap().json().await.unwrap();
    let given: Vec<_> =
        log["urls"].as_array().unwrap().iter().map(|it| &it["data"]["method"]).collect();
    assert_eq!(given, ["PUT", "PUT", "GET"], "{log:#}");
    assert!(server.stop());

    let lines = done(data, &["urls", id, "--format", "jsonl"]);
    assert_eq!(lines.lines().count(), 3);
    let lineage = key.split('_').nth(2).unwrap();
    assert!(
        lines.contains(&format!("key:{lineage};upload=")) && lines.contains(";for=ann"),
        "{lines}"
    );
    assert!(done(data, &["urls", id]).contains("GET"));
    assert!(done(data, &["urls", id, "--since", "2999-01-01T00:00:00Z"]).contains("no URL"));
    let missing = "019aaf6b-5a00-7123-8456-0123456789ab";
    assert_eq!(run(data, &["urls", missing]).0, 1);

    done(data, &["verify"]);
    done(data, &["replay"]);
    let out = folder.path().join("export");
    done(data, &["export", "--out", out.to_str().unwrap()]);
    let other = &folder.path().join("other");
    done(other, &["import", out.to_str().unwrap()]);
    assert_eq!(done(other, &["urls", id, "--format", "jsonl"]), lines);
}
