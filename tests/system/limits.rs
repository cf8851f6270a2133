//! Limits for hostile and unlucky clients, over real sockets: bytes of a head, unwanted bodies,
//! idle connections, unread answers, and the shutdown.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::server::{PATIENCE, ServeProcess};

/// Memory that a server with a crowd has allocated, in KiB.
const MEMORY: u64 = 96 << 10;

fn served() -> (TempDir, ServeProcess) {
    let folder = tempfile::tempdir().unwrap();
    let server = ServeProcess::start(&folder.path().join("data"));
    (folder, server)
}

/// Host and port of a URL, and its path and query.
fn parts(url: &str) -> (SocketAddr, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (host.parse().unwrap(), format!("/{path}"))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a whole request, like simple clients, and only then reads the answer's head.
fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> std::io::Result<String> {
    let mut stream = connect(address);
    stream.write_all(format!("{head}host: {address}\r\n").as_bytes())?;
    stream.write_all(format!("content-length: {}\r\n\r\n", body.len()).as_bytes())?;
    stream.write_all(body)?;
    head_of(&mut stream)
}

fn head_of(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        seen.push(byte[0]);
    }
    Ok(String::from_utf8(seen).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_while_still_sending_hears_the_answer() {
    let (_folder, server) = served();
    let created = server.create().await;
    let (s3, put) = parts(created["upload_url"].as_str().unwrap());
    let (signed, _) = put.split_once("X-Amz-Signature=").unwrap();
    let forged = format!("{signed}X-Amz-Signature={}", "0".repeat(64));
    let (api, _) = parts(&server.api);
    assert!(exchange(s3, &format!("PUT {put} HTTP/1.1\r\n"), b"first").unwrap().contains(" 200 "));
    let body = vec![7; 8 << 20];
    for round in 0..20 {
        for (address, head, status) in [
            (s3, format!("PUT {forged} HTTP/1.1\r\n"), "403"),
            (s3, format!("PUT {put} HTTP/1.1\r\nif-none-match: *\r\n"), "412"),
            (api, "POST /asset HTTP/1.1\r\n".to_owned(), "413"),
            (api, "POST /nothing HTTP/1.1\r\n".to_owned(), "404"),
            (api, "PATCH /asset HTTP/1.1\r\n".to_owned(), "405"),
        ] {
            let answer = exchange(address, &head, &body);
            let answer = answer.unwrap_or_else(|error| panic!("round {round}, {head}: {error}"));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
        }
    }
}

/// A refused client keeps its connection, even if it was still sending.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_leaves_its_connection_usable() {
    let (_folder, server) = served();
    let body = vec![7; 8 << 20];
    for (address, status) in [(parts(&server.s3).0, "403"), (parts(&server.api).0, "404")] {
        let mut stream = connect(address);
        for round in 0..5 {
            let head = format!("PUT /nothing HTTP/1.1\r\nhost: {address}\r\ncontent-length: ");
            stream.write_all(format!("{head}{}\r\n\r\n", body.len()).as_bytes()).unwrap();
            stream.write_all(&body).unwrap_or_else(|error| panic!("round {round}: {error}"));
            let answer = head_of(&mut stream)
                .unwrap_or_else(|error| panic!("{address}, round {round}: {error}"))
                .to_lowercase();
            assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
            let (_, length) = answer.split_once("content-length: ").expect("an answer's length");
            let (length, _) = length.split_once('\r').unwrap();
            stream.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_before_sending_is_refused_before_sending() {
    let (_folder, server) = served();
    let (api, _) = parts(&server.api);
    let mut stream = connect(api);
    let head = "POST /nothing HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\n\
                content-length: 9999999\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = head_of(&mut stream).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_may_be_32_kib() {
    let (_folder, server) = served();
    for address in [parts(&server.api).0, parts(&server.s3).0] {
        for (length, refused) in [(30 << 10, false), (34 << 10, true), (400 << 10, true)] {
            let head = format!("GET /healthz HTTP/1.1\r\nx-long: {}\r\n", "x".repeat(length));
            let answer = exchange(address, &head, &[]).unwrap();
            assert_eq!(answer.starts_with("HTTP/1.1 431"), refused, "{length}: {answer}");
        }
    }
}

/// The lifecycle of a small file: API, bucket, and the ledger's own reads of the bucket.
async fn works(server: &ServeProcess) -> Result<(), String> {
    let told = |error: reqwest::Error| format!("{error:?}");
    let client = reqwest::Client::new();
    let answer = client.post(format!("{}/asset", server.api)).send().await.map_err(told)?;
    let created: serde_json::Value = answer.json().await.map_err(told)?;
    let put = client.put(created["upload_url"].as_str().ok_or("no URL")?).body("bytes");
    let status = put.send().await.map_err(told)?.status();
    if status != 200 {
        return Err(format!("the upload answered {status}"));
    }
    let path = format!("{}/asset/{}", server.api, created["id"].as_str().unwrap_or_default());
    for (request, expected) in [(client.put(&path), 202), (client.get(&path), 202)] {
        let answer = request.send().await.map_err(told)?;
        let (status, text) = (answer.status(), answer.text().await.map_err(told)?);
        if status != expected {
            return Err(format!("{status}: {text}"));
        }
    }
    Ok(())
}

fn with_descriptors(number: u32) -> Command {
    let mut command = Command::new("sh");
    let line = format!("ulimit -n {number}; exec \"$0\" \"$@\"");
    command.args(["-c", &line, env!("CARGO_BIN_EXE_asset-ledger")]);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_never_keep_out_who_works() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServeProcess::start_as(with_descriptors(256), &folder.path().join("data"));
    let (mut idle, began) = (Vec::new(), Instant::now());
    for _ in 0..20 {
        for address in [parts(&server.api).0, parts(&server.s3).0] {
            // Some have sent a part of a head.
            for begun in [&b""[..], b"G", b"GET /healthz HTTP/1.1\r\nhost:"] {
                idle.extend((0..5).map(|_| {
                    let mut stream = connect(address);
                    stream.write_all(begun).unwrap();
                    stream
                }));
            }
        }
        works(&server).await.unwrap();
    }
    // An idle connection times out after a minute; clients must not wait for that.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(45), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_room_is_told_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServeProcess::start_as(with_descriptors(256), &folder.path().join("data"));
    let upload = server.create().await["upload_url"].as_str().unwrap().to_owned();
    for (address, line, word, form) in [
        (parts(&server.api).0, "POST /asset".to_owned(), "server.busy", "application/problem+json"),
        // Signed: an unsigned request is refused at once, and is not busy.
        (parts(&upload).0, format!("PUT {}", parts(&upload).1), "SlowDown", "application/xml"),
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 9\r\n\r\n");
        let busy: Vec<_> = (0..40)
            .map(|_| {
                let mut stream = connect(address);
                stream.write_all(head.as_bytes()).map(|()| stream)
            })
            .collect();
        let mut answer = String::new();
        let mut stream = connect(address);
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(word), "{answer}");
        assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
        assert!(answer.contains(&format!("content-type: {form}\r\n")), "{answer}");
        drop(busy);
    }
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = works(&server).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_listeners_share_one_deadline_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = crate::server::program();
    command.env("ASSET_LEDGER_DRAIN_TIMEOUT", "2");
    let server = ServeProcess::start_as(command, &folder.path().join("data"));
    let created = server.create().await;
    let (s3, put) = parts(created["upload_url"].as_str().unwrap());
    let mut upload = connect(s3);
    let head = format!("PUT {put} HTTP/1.1\r\nhost: {s3}\r\ncontent-length: 999\r\n\r\nx");
    upload.write_all(head.as_bytes()).unwrap();
    let mut call = connect(parts(&server.api).0);
    let head = b"POST /asset HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n{";
    call.write_all(head).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    assert!(server.stop());
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_900), "it did not wait: {took:?}");
    assert!(took < Duration::from_secs(8), "one after the other: {took:?}");
}

/// The memory that a process has allocated, in KiB: without its program, which is large in a debug
/// build and grows with every feature.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_is_idle_or_reads_nothing_costs_little_and_stops_nobody() {
    rlimit::increase_nofile_limit(8_192).unwrap();
    let (_folder, server) = served();
    let file = server.create().await;
    let big = reqwest::Client::new().put(file["upload_url"].as_str().unwrap());
    assert_eq!(big.body(vec![7; 32 << 20]).send().await.unwrap().status(), 200);
    let path = format!("/asset/{}", file["id"].as_str().unwrap());
    assert_eq!(server.request(reqwest::Method::PUT, &path).send().await.unwrap().status(), 202);
    let download: serde_json::Value = server.get(&path).await.json().await.unwrap();
    let (s3, download) = parts(download["download_url"].as_str().unwrap());
    for _ in 0..1_000 {
        server.create().await;
    }
    let (api, _) = parts(&server.api);
    let before = resident(server.pid());
    let idle: Vec<_> = (0..2_000).map(|_| connect(api)).collect();
    let mut unread = Vec::new();
    for _ in 0..100 {
        for (address, path) in [(s3, download.as_str()), (api, "/asset?limit=1000")] {
            let mut stream = connect(address);
            let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            unread.push(stream);
        }
    }
    let (mut most, mut slowest) = (0, Duration::ZERO);
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        let began = Instant::now();
        works(&server).await.unwrap();
        slowest = slowest.max(began.elapsed());
        most = most.max(resident(server.pid()));
    }
    let (held, open) = (unread.len(), idle.len());
    println!("{open} idle, {held} unread: {before} KiB, then {most}; slowest round {slowest:?}");
    assert!(most < MEMORY, "{most} KiB");
}
