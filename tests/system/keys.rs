//! API keys as an operator makes them and a client uses them: two tenants on one server.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Method, Response};
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{ServeProcess, program};

/// Runs a command on the data folder; its exit code, standard output and standard error.
fn run(data: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = program().args(arguments).args(["--by", "ann", "--data"]).arg(data).output();
    let output = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn done(data: &Path, arguments: &[&str]) -> String {
    let (code, out, error) = run(data, arguments);
    assert_eq!(code, 0, "{arguments:?}: {error}");
    out
}

/// A new key: all of standard output.
fn key(data: &Path, tenant: &str, scopes: &str) -> String {
    let arguments = ["key", "create", "--tenant", tenant, "--name", "test", "--scope", scopes];
    let (code, out, error) = run(data, &arguments);
    assert_eq!((code, out.lines().count()), (0, 1), "{error}");
    let key = out.trim_end().to_owned();
    assert!(!error.contains(secret(&key)), "the key is on standard output alone");
    key
}

fn id(key: &str) -> &str {
    key.split('_').nth(2).unwrap()
}

fn secret(key: &str) -> &str {
    &key.rsplit('_').next().unwrap()[..32]
}

struct Guarded(ServeProcess);

impl Guarded {
    async fn send(&self, key: &str, method: Method, path: &str) -> Response {
        let request = self.0.request(method, path).bearer_auth(key);
        request.header("x-request-id", "same").send().await.unwrap()
    }

    async fn get(&self, key: &str, path: &str) -> (u16, Value) {
        let answer = self.send(key, Method::GET, path).await;
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Creates, uploads, confirms and downloads a file.
    async fn keep(&self, key: &str) -> String {
        let created = self.send(key, Method::POST, "/asset").await;
        assert_eq!(created.status(), 201);
        let created: Value = created.json().await.unwrap();
        let id = created["id"].as_str().unwrap().to_owned();
        let put = self.0.http.put(created["upload_url"].as_str().unwrap()).body("hello");
        assert_eq!(put.send().await.unwrap().status(), 200);
        let confirmed = self.send(key, Method::PUT, &format!("/asset/{id}")).await;
        assert_eq!(confirmed.status(), 202);
        let (status, found) = self.get(key, &format!("/asset/{id}")).await;
        assert_eq!(status, 202);
        let file = self.0.http.get(found["download_url"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(file.text().await.unwrap(), "hello");
        id
    }

    /// Waits until the key is refused; the time that this took.
    async fn refused(&self, key: &str) -> Duration {
        let begun = Instant::now();
        while self.send(key, Method::GET, "/me").await.status() != 401 {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is still let in");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        begun.elapsed()
    }
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn tenants_and_their_keys_from_the_first_command_to_the_audit() {
    let folder = TempDir::new().unwrap();
    let data = &folder.path().join("data");
    for tenant in ["acme", "acme-2"] {
        assert_eq!(done(data, &["tenant", "create", tenant]), "", "it says so on standard error");
    }
    let all = "read,write,delete,purge,audit,admin";
    let (ours, theirs) = (key(data, "acme", all), key(data, "acme-2", all));
    let reader = key(data, "acme", "read");

    let metrics = free_port();
    let mut command = program();
    command.env("ASSET_LEDGER_AUTH", "required").env("ASSET_LEDGER_METRICS_LISTEN", &metrics);
    let server = Guarded(ServeProcess::start_as(command, data));
    for path in ["/asset", "/me", "/events", "/nowhere"] {
        let answer = server.0.get(path).await;
        assert_eq!(answer.status(), 401, "{path}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"asset-ledger\"");
    }
    assert_eq!(server.0.get("/healthz").await.status(), 200);
    assert_eq!(server.0.get("/metrics").await.status(), 404, "it is of all tenants");
    let figures = server.0.http.get(format!("http://{metrics}/metrics")).send().await.unwrap();
    let figures = figures.text().await.unwrap();
    assert!(figures.contains("asset_ledger_arrivals_behind"), "{figures}");

    let asset = server.keep(&ours).await;
    let refused = server.send(&reader, Method::DELETE, &format!("/asset/{asset}")).await;
    assert_eq!(refused.status(), 403);
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains("\"delete\""));
    assert_eq!(server.get(&reader, &format!("/asset/{asset}")).await.0, 202);
    let (_, history) = server.get(&ours, &format!("/asset/{asset}/history")).await;
    assert_eq!(history["events"][0]["actor"], format!("key:{}/1", id(&ours)));

    let none = "019aaf6b-5a00-7123-8456-0123456789ab";
    for (method, tail) in [
        (Method::GET, ""),
        (Method::PUT, ""),
        (Method::DELETE, ""),
        (Method::GET, "/state"),
        (Method::GET, "/history"),
        (Method::GET, "/proof"),
        (Method::POST, "/restore"),
        (Method::POST, "/purge"),
        (Method::POST, "/upload-url"),
    ] {
        let mut told = Vec::new();
        for id in [&asset, none] {
            let answer = server.send(&theirs, method.clone(), &format!("/asset/{id}{tail}")).await;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let headers: Vec<_> =
                headers.iter().map(|(name, it)| (name.clone(), it.clone())).collect();
            let headers: Vec<_> = headers.into_iter().filter(|(name, _)| name != "date").collect();
            told.push((status, headers, answer.text().await.unwrap().replace(id, "ID")));
        }
        assert_eq!(told[0], told[1], "{method} {tail}");
        assert_eq!(told[0].0, 404);
    }
    let (_, feed) = server.get(&theirs, "/events").await;
    assert_eq!((feed["events"].as_array().unwrap().len(), &feed["more"]), (0, &false.into()));

    // A key made beside the server is accepted, and one revoked there ends.
    let late = key(data, "acme", "read");
    let begun = Instant::now();
    while server.get(&late, "/me").await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(12), "it is not let in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    done(data, &["key", "revoke", id(&late), "--tenant", "acme", "--reason", "lost"]);
    let took = server.refused(&late).await;
    assert!(took < Duration::from_secs(11), "it was let in for {took:?}");
    let revoked = server.send(&ours, Method::DELETE, &format!("/keys/{}", id(&reader))).await;
    assert_eq!(revoked.status(), 204);
    assert_eq!(server.send(&reader, Method::GET, "/me").await.status(), 401, "at once");
    let (_, access) = server.get(&ours, "/access").await;
    let kinds = access["events"].as_array().unwrap().iter().map(|it| it["type"].as_str().unwrap());
    let expected = ["tenant_created", "key_created", "key_created", "key_created", "key_revoked"];
    assert!(kinds.eq(expected.into_iter().chain(["key_revoked"])), "{access}");
    let by: Vec<_> = access["events"].as_array().unwrap().iter().map(|it| &it["actor"]).collect();
    assert_eq!((by[4], by[5]), (&"cli:ann".into(), &format!("key:{}/1", id(&ours)).into()));

    let log = server.0.stopped_log();
    for key in [&ours, &theirs, &reader, &late] {
        assert!(!log.contains(secret(key)), "a key is in the log");
    }
    let list = program().args(["tenant", "list", "--data"]).arg(data).output().unwrap();
    let told = String::from_utf8(list.stdout).unwrap();
    assert!(told.contains("acme-2") && told.contains("active"), "{told}");
    assert!(check(data, &ours).0 && !check(data, &reader).0);
    let (_, told) = check(data, &ours[..ours.len() - 1]);
    assert!(told.starts_with("refused: ") && !told.contains(secret(&ours)), "{told}");

    let verify = program().arg("verify").arg("--data").arg(data).output().unwrap();
    let told = String::from_utf8(verify.stdout).unwrap();
    assert!(told.contains("checked 1 asset, 2 streams"), "{told}");
    let out = folder.path().join("export");
    let export = program().args(["export", "--data"]).arg(data).arg("--out").arg(&out).status();
    assert!(export.unwrap().success());
    let stream = std::fs::read_to_string(out.join("streams/acme/access.jsonl")).unwrap();
    assert_eq!(stream.lines().count(), 6);
    for key in [&ours, &reader, &late] {
        assert!(!stream.contains(secret(key)), "a key is in the journal");
    }
}

#[tokio::test]
async fn a_key_of_its_own_assets_and_a_request_for_a_key_whose_answer_was_lost() {
    let folder = TempDir::new().unwrap();
    let data = &folder.path().join("data");
    done(data, &["tenant", "create", "acme"]);
    let all = key(data, "acme", "read,write,admin");
    let own = ["key", "create", "--tenant", "acme", "--name", "kiosk", "--own-only"];
    let own = done(data, &[&own[..], &["--scope", "read,write,audit"]].concat()).trim().to_owned();
    let serve = || {
        let mut command = program();
        command.env("ASSET_LEDGER_AUTH", "required");
        Guarded(ServeProcess::start_as(command, data))
    };
    let server = serve();
    let (theirs, mine) = (server.keep(&all).await, server.keep(&own).await);
    let listed = async |key: &str| {
        let (status, list) = server.get(key, "/asset").await;
        assert_eq!(status, 200);
        list["items"].as_array().unwrap().iter().map(|it| it["asset_id"].clone()).collect()
    };
    let begun = Instant::now();
    let mut rows: Vec<Value> = listed(&all).await;
    while rows.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the rows are late");
        rows = listed(&all).await;
    }
    assert_eq!(listed(&own).await, [Value::from(mine.clone())]);
    for (id, status) in [(&mine, 200), (&theirs, 404)] {
        for path in ["state", "history", "proof"] {
            let path = format!("/asset/{id}/{path}");
            assert_eq!(server.get(&own, &path).await.0, status, "{path}");
        }
    }
    for path in ["/usage", "/events", "/access"] {
        let (status, refused) = server.get(&own, path).await;
        assert_eq!((status, &refused["code"]), (403, &"own_only.forbidden".into()), "{path}");
    }

    let asked = async |server: &Guarded| {
        let request = server.0.request(Method::POST, "/keys").bearer_auth(&all);
        let body = r#"{"name":"late","scopes":["read"]}"#;
        let request = request.header("idempotency-key", "one").body(body);
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, made) = asked(&server).await;
    assert_eq!(status, 201, "{made}");
    server.0.kill();
    let server = serve();
    let (status, again) = asked(&server).await;
    assert_eq!((status, &again["code"]), (409, &"key.shown_once".into()));
    let made = made["id"].as_str().unwrap();
    assert!(again["detail"].as_str().unwrap().contains(made), "{again}");
    let (_, keys) = server.get(&all, "/keys").await;
    let keys = keys["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    let used = |wanted: &str| {
        let found = keys.iter().find(|it| it["id"] == wanted).unwrap();
        (found["own_only"].clone(), found["last_used"].is_string())
    };
    assert_eq!(used(id(&own)), (true.into(), true), "it was used before the server was killed");
    assert_eq!(used(made), (false.into(), false));
    assert!(server.0.stop());
    let list = program().args(["key", "list", "--tenant", "acme", "--data"]).arg(data).output();
    let list = String::from_utf8(list.unwrap().stdout).unwrap();
    assert!(list.contains("last used (UTC)") && list.contains("(own_only)"), "{list}");
}

/// Whether `key check` accepts a key, and what it says.
fn check(data: &Path, key: &str) -> (bool, String) {
    let mut command = program();
    command.args(["key", "check", "--data"]).arg(data).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), key.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_command_on_a_tenant_that_is_not_there_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let data = &folder.path().join("data");
    let (code, _, error) = run(data, &["key", "create", "--name", "a", "--scope", "read"]);
    assert!(code == 1 && error.contains("--data"), "{error}");
    done(data, &["tenant", "create"]);
    let create = ["key", "create", "--tenant", "x", "--name", "a", "--scope", "read"];
    let (code, out, error) = run(data, &create);
    assert!(code == 1 && out.is_empty() && error.contains("tenant create x"), "{error}");
    let (code, _, error) = run(data, &["key", "revoke", "0123456789abcdef"]);
    assert!(code == 1 && error.contains("no key 0123456789abcdef"), "{error}");
    let (code, _, error) = run(data, &["key", "create", "--name", "a", "--scope", "fly"]);
    assert!(code == 2 && error.contains("a scope is one of read, write"), "{error}");
    let (_, _, error) = run(data, &["tenant", "create"]);
    assert!(error.contains("exists already"), "{error}");
}

#[test]
fn a_server_that_anybody_can_reach_needs_keys_and_tls() {
    let serve = |arguments: &[&str]| {
        let output = program().args(["serve", "--data", "/nowhere"]).args(arguments).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let open = ["--listen", "0.0.0.0:0"];
    for (arguments, told) in [
        (&["--auth", "none"][..], "--insecure-no-auth"),
        (&["--auth", "required"], "--behind-tls"),
        (&["--auth", "required", "--behind-tls"], "--public-url"),
        (&["--auth", "required", "--insecure-no-auth"], "contradict"),
        (&["--auth", "gateway"], "API Gateway"),
        (&["--insecure-no-auth", "--metrics-listen", "9"], "--auth required"),
    ] {
        let error = serve(&[&open[..], arguments].concat());
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
    let error = serve(&["--auth", "required", "--metrics-listen", "0.0.0.0:0"]);
    assert!(error.contains("not a loopback address"), "{error}");
}

#[tokio::test]
async fn a_tenant_has_quotas_and_a_caller_a_rate() {
    let folder = TempDir::new().unwrap();
    let data = &folder.path().join("data");
    done(data, &["tenant", "create", "acme"]);
    let (one, other) = (key(data, "acme", "read,write"), key(data, "acme", "read,write"));
    done(data, &["tenant", "limit", "acme", "--assets", "2", "--object-bytes", "9"]);
    assert!(done(data, &["tenant", "show", "acme"]).contains("2 assets in all, 9 bytes an object"));
    let mut command = program();
    for (name, value) in [("AUTH", "required"), ("RATE", "1"), ("BURST", "4")] {
        command.env(format!("ASSET_LEDGER_{name}"), value);
    }
    let server = Guarded(ServeProcess::start_as(command, data));
    let create = async |size: u64| {
        let request = server.0.request(Method::POST, "/asset").bearer_auth(&one);
        let answer = request.json(&serde_json::json!({"size": size})).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["code"].clone())
    };
    assert_eq!(create(10).await, (403, "quota.exceeded".into()));
    assert_eq!((create(9).await.0, create(9).await.0), (201, 201));
    assert_eq!(create(9).await, (403, "quota.exceeded".into()));
    let mut asked = server.send(&one, Method::GET, "/me").await;
    while asked.status() == 200 {
        asked = server.send(&one, Method::GET, "/me").await;
    }
    assert_eq!(
        (asked.status().as_u16(), &asked.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    assert_eq!(server.get(&other, "/me").await.0, 200);
    let (_, usage) = server.get(&other, "/usage").await;
    assert!(usage["assets"].as_u64().is_some_and(|assets| assets <= 2), "{usage}");
    assert!(server.0.stop());
}
