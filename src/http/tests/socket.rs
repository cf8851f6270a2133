//! The router behind a real socket, where a library enforces HTTP's own rules.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::world::HttpFixture;
use crate::http::{AllowedHosts, Limits};

async fn served(world: &HttpFixture) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = world.app.clone();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The complete response of a server to a request with these lines.
async fn answer(address: SocketAddr, lines: &[&str]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("{}\r\nconnection: close\r\n\r\n", lines.join("\r\n"));
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

fn head(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").unwrap()
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let world = HttpFixture::with(AllowedHosts::default(), Limits::default());
    let (address, id) = (served(&world).await, "019aaf6b-5a00-7123-8456-0123456789ab");
    let created = answer(address, &["POST /asset HTTP/1.1", "host: localhost"]).await;
    let (top, body) = head(&created);
    assert!(top.starts_with("HTTP/1.1 201 Created\r\n"), "{created}");
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    let asset = format!("/asset/{}", json["id"].as_str().unwrap());

    let line = format!("DELETE {asset} HTTP/1.1");
    let deleted = answer(address, &[&line, "host: localhost"]).await;
    assert!(deleted.starts_with("HTTP/1.1 204 ") && deleted.ends_with("\r\n\r\n"), "{deleted}");
    assert!(!deleted.to_lowercase().contains("content-length"), "{deleted}");

    let line = format!("HEAD {asset}/state HTTP/1.1");
    let known = answer(address, &[&line, "host: localhost"]).await;
    assert!(known.contains("etag: \"2\"") && head(&known).1.is_empty(), "{known}");
    let line = format!("HEAD /asset/{id} HTTP/1.1");
    let missing = answer(address, &[&line, "host: localhost"]).await;
    assert!(missing.starts_with("HTTP/1.1 404 ") && head(&missing).1.is_empty(), "{missing}");
}

#[tokio::test]
async fn what_comes_by_another_name_is_refused() {
    let world = HttpFixture::with(AllowedHosts::default(), Limits::default());
    let address = served(&world).await;
    for lines in [
        ["POST /asset HTTP/1.1", "host: evil.example"],
        ["POST http://evil.example/asset HTTP/1.1", "host: localhost"],
        ["POST /asset HTTP/1.0", "accept: */*"],
    ] {
        let refused = answer(address, &lines).await;
        assert!(refused.contains(" 403 Forbidden\r\n"), "{lines:?}: {refused}");
        assert!(refused.contains("host.forbidden"), "{refused}");
    }
    assert_eq!(world.events().await, 0);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_unread() {
    let world = HttpFixture::with(AllowedHosts::default(), Limits::default());
    let address = served(&world).await;
    let lines = ["POST /asset HTTP/1.1", "host: localhost", "content-length: 99999999999"];
    let refused = answer(address, &lines).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
}
