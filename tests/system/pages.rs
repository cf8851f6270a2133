//! Origins whose pages may send changes and may read the answers: one rule for both, on the API and
//! on the S3 endpoint, and the setting behind a proxy.

use reqwest::header::{ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HeaderMap};
use reqwest::{Method, Response};
use tempfile::TempDir;

use crate::server::{ServeProcess, program};

/// Origins, and whether their pages may call a server with `--public-url https://ledger.example`.
const ORIGINS: [(&str, bool); 20] = [
    ("http://localhost", true),
    ("http://localhost:5173", true),
    ("https://localhost", true),
    ("https://localhost:5173", true),
    ("http://127.0.0.1:3000", true),
    ("https://127.0.0.1", true),
    ("http://127.8.9.10:3000", true),
    ("http://[::1]:3000", true),
    ("https://[::1]", true),
    ("https://ledger.example", true),
    ("https://ledger.example:8443", false),
    ("http://ledger.example", false),
    ("https://localhost.evil.com", false),
    ("http://localhost:80.evil.com", false),
    ("http://evil.com:5173", false),
    ("http://localhost@evil.com", false),
    ("http://localhost/", false),
    ("ftp://localhost", false),
    ("localhost:5173", false),
    ("null", false),
];

fn shown(headers: &HeaderMap) -> Option<&str> {
    headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap())
}

fn public(url: &str) -> (TempDir, ServeProcess) {
    let folder = TempDir::new().unwrap();
    let mut command = program();
    command.env("ASSET_LEDGER_PUBLIC_URL", url);
    let server = ServeProcess::start_as(command, &folder.path().join("data"));
    (folder, server)
}

async fn preflight(server: &ServeProcess, url: &str, origin: &str) -> Response {
    let asked = server.http.request(Method::OPTIONS, url).header("origin", origin);
    asked.header("access-control-request-method", "PUT").send().await.unwrap()
}

#[tokio::test]
async fn a_page_that_may_change_something_is_shown_it_and_no_other() {
    let (_folder, server) = public("https://ledger.example");
    for (origin, may) in ORIGINS {
        let created = server.request(Method::POST, "/asset").header("origin", origin);
        let created = created.send().await.unwrap();
        let expected = may.then_some(origin);
        assert_eq!(created.status(), if may { 201 } else { 403 }, "{origin}");
        assert_eq!(shown(created.headers()), expected, "{origin}");
        let asked = preflight(&server, &format!("{}/asset", server.api), origin).await;
        assert_eq!(shown(asked.headers()), expected, "{origin}: preflight");
        let methods = asked.headers()[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap();
        for method in ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"] {
            assert!(methods.split(',').any(|it| it == method), "{method}: {methods}");
        }
        // A signed URL works for all origins; scripts see the answer by the same rule.
        let url = server.create().await["upload_url"].as_str().unwrap().to_owned();
        let asked = preflight(&server, &url, origin).await;
        assert_eq!(shown(asked.headers()), expected, "{origin}: S3, preflight");
        let put = server.http.put(&url).header("origin", origin).body("x").send().await.unwrap();
        assert_eq!((put.status().as_u16(), shown(put.headers())), (200, expected), "{origin}: S3");
    }
    assert!(server.stop());
}

async fn called(server: &ServeProcess, host: &str) -> (u16, String) {
    let answer = server.request(Method::POST, "/asset").header("host", host).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_proxy_that_keeps_host_is_answered_where_its_url_is_known_and_told_where_not() {
    let (_folder, server) = public("https://Ledger.Example:443/,http://10.0.0.7:8080");
    for host in ["ledger.example", "LEDGER.example:443", "10.0.0.7:8080", "localhost"] {
        assert_eq!(called(&server, host).await.0, 201, "{host}");
    }
    assert_eq!(called(&server, "ledger.example.evil.com").await.0, 403);
    assert!(server.stop());

    let folder = TempDir::new().unwrap();
    let server = ServeProcess::start(&folder.path().join("data"));
    let (status, said) = called(&server, "ledger.example").await;
    assert!(status == 403 && said.contains("host.forbidden"), "{status}: {said}");
    assert!(said.contains("--public-url"), "{said}");
    assert!(server.stop());
}

/// As in DEPLOY.md: requests of pages are then executed; which scripts see the answer does not
/// change.
#[tokio::test]
async fn without_the_guard_pages_are_still_shown_no_more_than_cors_lets_them_see() {
    let folder = TempDir::new().unwrap();
    let mut command = program();
    command.env("ASSET_LEDGER_INSECURE_NO_AUTH", "true");
    let server = ServeProcess::start_as(command, &folder.path().join("data"));
    assert_eq!(called(&server, "evil.example").await.0, 201);
    for (origin, sees) in [("https://evil.example", false), ("http://localhost:5173", true)] {
        let created = server.request(Method::POST, "/asset").header("origin", origin);
        let created = created.send().await.unwrap();
        let expected = sees.then_some(origin);
        assert_eq!((created.status().as_u16(), shown(created.headers())), (201, expected));
        let asked = preflight(&server, &format!("{}/asset", server.api), origin).await;
        assert_eq!(shown(asked.headers()), expected, "{origin}: preflight");
    }
    assert!(server.stop());
}

#[test]
fn a_public_url_is_a_scheme_and_a_host_or_is_refused_at_the_start() {
    for url in [
        "ledger.example",
        "ftp://ledger.example",
        "https://",
        "https://ledger.example/api",
        "https://ledger.example?x=1",
        "https://ledger.example#x",
        "https://me@ledger.example",
    ] {
        for store in [&["--data", "x"][..], &["--store", "dynamodb"]] {
            let run = program().args(["serve", "--public-url", url]).args(store).output().unwrap();
            let said = String::from_utf8(run.stderr).unwrap();
            assert_eq!(run.status.code(), Some(2), "{url}: {said}");
            let first = said.lines().next().unwrap_or_default();
            assert!(first.contains("--public-url"), "{said}");
            assert!(first.contains("such as https://ledger.example"), "{said}");
        }
    }
    let help = program().args(["serve", "--help"]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("--public-url"));
}
