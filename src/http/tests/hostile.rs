//! Hostile input on every route: a precise refusal, and nothing written.

use super::world::{HttpFixture, request};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Sends a request that must be refused, and asserts that the journal is unchanged.
async fn refused(
    world: &HttpFixture,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let before = world.events().await;
    let answer = world.send(request(line, headers, body)).await;
    assert_eq!(world.events().await, before, "{line} wrote something");
    let shown: String = body.chars().take(99).collect();
    let form = answer.headers.get("content-type").map(|form| form.to_str().unwrap());
    assert_eq!(form, Some("application/problem+json"), "{line} {shown}: {}", answer.body);
    assert_eq!(answer.json()["status"], answer.status.as_u16());
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn ids_that_are_none() {
    let world = HttpFixture::new();
    let long = "a".repeat(5_000);
    let ids = [
        "x",
        "0",
        "019aaf6b5a00712384560123456789ab",
        "%7B019aaf6b-5a00-7123-8456-0123456789ab%7D",
        "019aaf6b-5a00-7123-8456-0123456789ab",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..",
        "a%00b",
        "%22%3E%3Cscript%3E",
        "%0d%0aSet-Cookie:%20a=b",
        "%F0%9F%A6%80",
        "%E2%80%AEfdp",
        "%zz",
        "*",
        &long,
    ];
    for id in ids {
        for line in [
            "GET /asset/{id}",
            "PUT /asset/{id}",
            "DELETE /asset/{id}",
            "GET /asset/{id}/state",
            "GET /asset/{id}/state?version=1",
            "GET /asset/{id}/state?as_of=2026-01-01T00:00:00Z",
            "GET /asset/{id}/history",
            "GET /asset/{id}/proof",
            "POST /asset/{id}/restore",
            "POST /asset/{id}/purge",
            "POST /asset/{id}/upload-url",
        ] {
            let line = line.replace("{id}", id);
            let told = refused(&world, &line, &[], "").await;
            assert_eq!(told, (404, "asset.not_found".to_owned()), "{line}");
        }
    }
    let told = refused(&world, "GET /asset/%FF%FE", &[], "").await;
    assert_eq!(told, (404, "asset.not_found".to_owned()));
}

#[tokio::test]
async fn an_id_in_upper_case_is_the_same_id() {
    let world = HttpFixture::new();
    let id = world.uploaded().await;
    let upper = id.to_uppercase();
    assert_ne!(id, upper);
    for (line, status) in [
        ("GET /asset/{id}", 202),
        ("PUT /asset/{id}", 202),
        ("GET /asset/{id}/state", 200),
        ("GET /asset/{id}/history", 200),
        ("GET /asset/{id}/proof", 200),
        ("GET /asset?cursor={id}", 200),
        ("DELETE /asset/{id}", 204),
        ("POST /asset/{id}/restore", 200),
    ] {
        let answer = world.call(&line.replace("{id}", &upper)).await;
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
        assert!(!answer.body.contains(&upper), "{line}: {}", answer.body);
    }
}

#[tokio::test]
async fn lists_refuse_parameters_that_they_do_not_know_and_take_an_empty_cursor() {
    let world = HttpFixture::new();
    let id = world.created().await;
    for line in ["GET /asset?lmit=3", "GET /events?lmit=3", "GET /asset/{id}/history?lmit=3"] {
        let answer = world.call(&line.replace("{id}", &id)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "query.invalid"));
        assert!(answer.body.contains("lmit"), "{line}: {}", answer.body);
    }
    for (line, list) in [
        ("GET /asset?cursor=", "items"),
        ("GET /events?after=", "events"),
        ("GET /asset/{id}/history?cursor=", "events"),
    ] {
        let answer = world.call(&line.replace("{id}", &id)).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.body);
        assert_eq!(answer.json()[list].as_array().unwrap().len(), 1, "{line}");
    }
}

#[tokio::test]
async fn an_id_is_shown_back_as_text_and_no_longer_than_an_id() {
    let world = HttpFixture::new();
    let id = format!("%22%0a{}", "a".repeat(5_000));
    let answer = world.call(&format!("GET /asset/{id}")).await;
    let shown = format!("ASSET \"\n{} not found", "a".repeat(126));
    assert_eq!(answer.json()["error_message"], shown);
}

#[tokio::test]
async fn declarations_that_cannot_be_taken() {
    let world = HttpFixture::new();
    let deep = format!("{{\"tags\":{}{}}}", "[".repeat(500), "]".repeat(500));
    let many: Vec<_> = (0..51).map(|i| format!("\"t{i}\":\"\"")).collect();
    let many = format!("{{\"tags\":{{{}}}}}", many.join(","));
    let long = format!("{{\"filename\":\"{}\"}}", "x".repeat(256));
    let reason = |body: &'static str, named: &'static str| (body.to_owned(), 400, named);
    let mut table = vec![
        reason("{", "the body"),
        reason("null", "the body"),
        reason("[]", "the body"),
        reason("\"text\"", "the body"),
        reason("{} {}", "the body"),
        reason("\u{feff}{}", "the body"),
        reason(" ", "the body"),
        reason("{\"name\":\"x\"}", "\"name\""),
        reason("{\"a\\r\\nb\":1}", "\"a\\r\\nb\""),
        reason("{\"filename\":1}", "filename"),
        reason("{\"filename\":\"../x\"}", "filename"),
        reason("{\"filename\":\"..\"}", "filename"),
        reason("{\"filename\":\"\"}", "filename"),
        reason("{\"filename\":\"a\\\\b\"}", "filename"),
        reason("{\"filename\":\"a\\r\\nSet-Cookie: a\"}", "filename"),
        reason("{\"filename\":\"a\\u0000\"}", "filename"),
        reason("{\"filename\":\"a\\u202efdp.exe\"}", "filename"),
        reason("{\"filename\":\"\\u2066a\"}", "filename"),
        reason("{\"filename\":\"\\ud800\"}", "filename"),
        reason("{\"filename\":\"a\",\"filename\":\"b\"}", "\"filename\""),
        reason("{\"content_type\":\"png\"}", "content_type"),
        reason("{\"content_type\":\"text/html\\r\\nx: y\"}", "content_type"),
        reason("{\"size\":-1}", "size"),
        reason("{\"size\":1.5}", "size"),
        reason("{\"size\":1e999}", "size"),
        reason("{\"size\":\"11\"}", "size"),
        reason("{\"size\":true}", "size"),
        reason("{\"sha256\":\"abc\"}", "sha256"),
        reason("{\"sha256\":[1]}", "sha256"),
        reason("{\"tags\":[]}", "tags"),
        reason("{\"tags\":{\"a\":1}}", "tags"),
        reason("{\"tags\":{\"a\":\"1\",\"a\":\"2\"}}", "\"a\""),
        reason("{\"tags\":{\"\":\"\"}}", "tags"),
        reason("{\"tags\":{\"a\":\"b\\nc\"}}", "tags"),
        (deep, 400, "tags"),
        (many, 400, "tags"),
        (long, 400, "filename"),
    ];
    for size in ["5368709121", "18446744073709551615", "99999999999999999999999999"] {
        table.push((format!("{{\"size\":{size}}}"), 413, "size"));
    }
    for (body, status, named) in table {
        let (told, code) = refused(&world, "POST /asset", &[JSON], &body).await;
        let expected = if status == 413 { "upload.too_large" } else { "body.invalid" };
        assert_eq!((told, code.as_str()), (status, expected), "{body}");
        let detail = world.send(request("POST /asset", &[JSON], &body)).await.json();
        let detail = detail["detail"].as_str().unwrap();
        assert!(detail.starts_with(named), "{body}: {detail}");
    }
    assert_eq!(world.events().await, 0);
}

#[tokio::test]
async fn a_fault_of_a_body_names_its_field_and_never_its_value() {
    let world = HttpFixture::new();
    let long = format!("{{\"{}\":1}}", "k".repeat(300));
    let known = "is not a known field; known are filename, content_type, size, sha256 and tags";
    for (body, told) in [
        ("[]", "the body is not a JSON object".to_owned()),
        ("{\"name\":\"x\"}", format!("\"name\": {known}")),
        (&long, format!("{:?}: {known}", "k".repeat(64))),
        ("{\"filename\":{\"a\":1}}", "filename: must be a string".to_owned()),
        ("{\"filename\":[\", expected b\"]}", "filename: must be a string".to_owned()),
        ("{\"size\":\"secret\"}", "size: must be a whole number of bytes".to_owned()),
        ("{\"tags\":\"secret\"}", "tags: must be an object whose values are strings".to_owned()),
        ("{\"tags\":{\"a\\n\":1}}", "tags.a\\n: must be a string".to_owned()),
        ("{\"tags\":{\"a`\":\"\",\"a`\":\"\"}}", "\"a`\": is in tags twice".to_owned()),
        ("{\"size\":1,\"size\":1}", "\"size\": is in the body twice".to_owned()),
    ] {
        let answer = world.send(request("POST /asset", &[JSON], body)).await;
        assert_eq!(answer.json()["detail"], told, "{body}");
    }
}

#[tokio::test]
async fn bodies_of_other_types_and_too_large_ones() {
    let world = HttpFixture::new();
    for form in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let told = refused(&world, "POST /asset", &[("content-type", form)], "{}").await;
        assert_eq!(told, (415, "body.unsupported".to_owned()), "{form}");
    }
    assert_eq!(refused(&world, "POST /asset", &[], "{}").await.0, 415);
    let large = format!("{{\"filename\":\"{}\"}}", "x".repeat(64 << 10));
    let id = world.deleted().await;
    for line in [
        "POST /asset".to_owned(),
        format!("POST /asset/{id}/restore"),
        format!("POST /asset/{id}/purge"),
        format!("POST /asset/{id}/upload-url"),
    ] {
        let told = refused(&world, &line, &[JSON], &large).await;
        assert_eq!(told, (413, "body.too_large".to_owned()), "{line}");
        if line != "POST /asset" {
            let told = refused(&world, &line, &[JSON], "{}").await;
            assert_eq!(told, (400, "body.invalid".to_owned()), "{line}");
        }
    }
}

#[tokio::test]
async fn a_body_that_never_says_its_length_is_too_large_where_it_gets_too_large() {
    let world = HttpFixture::new();
    let chunks = (0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1_024]));
    let body = axum::body::Body::from_stream(futures::stream::iter(chunks));
    let mut request = request("POST /asset", &[JSON], "");
    *request.body_mut() = body;
    assert_eq!(world.send(request).await.status, 413);

    let broken = [Ok(b"{".to_vec()), Err(std::io::Error::other("secret"))];
    let mut request = super::world::request("POST /asset", &[JSON], "");
    *request.body_mut() = axum::body::Body::from_stream(futures::stream::iter(broken));
    let answer = world.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "body.invalid"));
    assert!(!answer.body.contains("secret"));
    assert_eq!(world.events().await, 0);
}

#[tokio::test]
async fn names_that_look_hostile_but_are_not() {
    let world = HttpFixture::new();
    for name in ["a \\\"quoted\\\" name", "🦀.txt", "%2e%2e%2f", "<script>", "a;b=c", ".hidden"] {
        let body = format!("{{\"filename\":\"{name}\"}}");
        let answer = world.send(request("POST /asset", &[JSON], &body)).await;
        assert_eq!(answer.status, 201, "{name}");
        let expected: serde_json::Value = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        assert_eq!(answer.json()["filename"], expected);
    }
    let form = ("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(world.send(request("POST /asset", &[form], "{}")).await.status, 201);
    let nulls = "{\"filename\":null,\"size\":null,\"tags\":null}";
    assert_eq!(world.send(request("POST /asset", &[JSON], nulls)).await.status, 201);
}

#[tokio::test]
async fn absurd_timeouts() {
    let world = HttpFixture::new();
    let id = world.uploaded().await;
    for timeout in [
        "", "0", "00", "-5", "%2B5", "+5", "%205", "5%20", "5.0", "1e309", "1e3", "0x10", "%D9%A3",
        "five", "NaN", "inf", "5;6", "%00",
    ] {
        let told = refused(&world, &format!("GET /asset/{id}?timeout={timeout}"), &[], "").await;
        assert_eq!(told, (400, "timeout.invalid".to_owned()), "{timeout}");
    }
    for (timeout, cut) in [
        ("1", 1),
        ("007", 7),
        ("3600", 3600),
        ("3601", 3600),
        ("18446744073709551616", 3600),
        ("999999999999999999999999999999999999999999", 3600),
    ] {
        let answer = world.call(&format!("GET /asset/{id}?timeout={timeout}")).await;
        assert_eq!(answer.json()["expires_in"], cut, "{timeout}");
    }
}

#[tokio::test]
async fn queries_that_cannot_be_taken() {
    let world = HttpFixture::new();
    let id = world.deleted().await;
    let long = "x".repeat(257);
    for (query, code) in [
        ("GET /asset?limit=0", "limit.invalid"),
        ("GET /asset?limit=1001", "limit.invalid"),
        ("GET /asset?limit=-1", "limit.invalid"),
        ("GET /asset?limit=", "limit.invalid"),
        ("GET /asset?limit=99999999999999999999", "limit.invalid"),
        ("GET /asset?limit=1&limit=2", "query.invalid"),
        ("GET /asset?cursor=../..", "cursor.invalid"),
        ("GET /asset?cursor=%0d%0a", "cursor.invalid"),
        ("GET /asset?state=PURGED", "state.invalid"),
        ("GET /asset?state=uploaded", "state.invalid"),
        ("GET /asset?state=", "state.invalid"),
        ("GET /asset?limit=%", "query.invalid"),
        ("GET /asset?limit=%4", "query.invalid"),
        ("GET /asset?cursor=%gg", "query.invalid"),
        ("GET /asset/{id}?timeout=%ff", "query.invalid"),
        ("GET /asset/{id}?timeout=1&timeout=1", "query.invalid"),
        ("GET /asset/{id}/state?%ff=1", "query.invalid"),
        ("GET /asset/{id}/state?x=%ff", "query.invalid"),
        ("DELETE /asset/{id}?reason={long}", "query.invalid"),
        ("DELETE /asset/{id}?reason=a%0d%0ab", "query.invalid"),
        ("DELETE /asset/{id}?reason=%E2%80%AE", "query.invalid"),
        ("DELETE /asset/{id}?reason=a&reason=b", "query.invalid"),
        ("GET /asset/{id}/state?version=0", "version.invalid"),
        ("GET /asset/{id}/state?version=-1", "version.invalid"),
        ("GET /asset/{id}/state?version=", "version.invalid"),
        ("GET /asset/{id}/state?as_of=yesterday", "as_of.invalid"),
        ("GET /asset/{id}/state?as_of=2026-11-23", "as_of.invalid"),
        ("GET /asset/{id}/state?as_of=2026-11-23T08:00:00", "as_of.invalid"),
        ("GET /asset/{id}/state?as_of=9999-12-31T23:59:59Z", "as_of.invalid"),
        ("GET /asset/{id}/state?as_of=", "as_of.invalid"),
        ("GET /asset/{id}/state?version=1&as_of=2026-11-23T08:00:00Z", "query.invalid"),
        ("GET /asset/{id}/state?versoin=1", "query.invalid"),
        ("GET /asset/{id}/proof?version=0", "version.invalid"),
        ("GET /asset/{id}/proof?version=x", "version.invalid"),
        ("GET /asset/{id}/proof?at=1", "query.invalid"),
        ("GET /asset/{id}/history?limit=1001", "limit.invalid"),
        ("GET /asset/{id}/history?cursor=0", "cursor.invalid"),
        ("GET /asset/{id}/history?cursor=x", "cursor.invalid"),
        ("GET /asset/{id}/history?cursor=18446744073709551616", "cursor.invalid"),
        ("GET /asset/{id}/history?page=2", "query.invalid"),
        ("GET /asset/{id}/history?type=", "type.invalid"),
        ("GET /asset/{id}/history?type=Created", "type.invalid"),
        ("GET /asset/{id}/history?type=created&type=uploaded", "query.invalid"),
        ("GET /asset/{id}/history?type=created,uploaded", "type.invalid"),
        ("GET /asset/{id}/history?actor=", "actor.invalid"),
        ("GET /asset/{id}/history?actor={long}", "actor.invalid"),
        ("GET /asset/{id}/history?since=", "since.invalid"),
        ("GET /asset/{id}/history?since=2026-11-23", "since.invalid"),
        ("GET /asset/{id}/history?until=1763884800", "until.invalid"),
        (
            "GET /asset/{id}/history?since=2026-11-23T08:00:00Z&until=2026-11-23T08:00:00Z",
            "until.invalid",
        ),
        ("GET /events?limit=0", "limit.invalid"),
        ("GET /events?limit=1001", "limit.invalid"),
        ("GET /events?after=a1", "after.invalid"),
        ("GET /events?after=a99-0123456789abcdef", "after.invalid"),
        ("GET /events?after=a-1-0123456789abcdef", "after.invalid"),
        ("GET /events?after=l0-0-0-0", "after.invalid"),
        ("GET /events?after=%F0%9F%A6%80", "after.invalid"),
        ("GET /events?after={long}{long}", "after.invalid"),
        ("GET /events?after=a0&after=a0", "query.invalid"),
        ("GET /events?type=nothing", "type.invalid"),
        ("GET /events?actor=", "actor.invalid"),
        ("GET /events?actor={long}", "actor.invalid"),
        ("GET /events?since=2026-11-23T08:00:00Z", "query.invalid"),
        ("GET /events?cursor=1", "query.invalid"),
        ("POST /asset/{id}/restore?x=1", "query.invalid"),
        ("POST /asset/{id}/purge?force=true", "query.invalid"),
        ("POST /asset/{id}/upload-url?timeout=1", "query.invalid"),
    ] {
        let line = query.replace("{id}", &id).replace("{long}", &long);
        let told = refused(&world, &line, &[], "").await;
        assert_eq!(told, (400, code.to_owned()), "{query}");
    }
    let jsonl = [("accept", "application/jsonl")];
    for query in ["limit=1", "type=created", "since=2026-11-23T08:00:00Z", "x=1"] {
        let line = format!("GET /asset/{id}/history?{query}");
        let told = refused(&world, &line, &jsonl, "").await;
        assert_eq!(told.1, "query.invalid", "{query}");
    }
}

#[tokio::test]
async fn the_original_routes_ignore_what_they_do_not_know() {
    let world = HttpFixture::new();
    let id = world.uploaded().await;
    assert_eq!(world.call(&format!("GET /asset/{id}?x=1")).await.status, 202);
    assert_eq!(world.call("POST /asset?x=1").await.status, 201);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let line = format!("PUT /asset/{id}?x=1");
    assert_eq!(world.send(request(&line, &[form], "status=UPLOADED")).await.status, 202);
    let line = format!("DELETE /asset/{id}?reason=&x=1");
    assert_eq!(world.send(request(&line, &[form], "anything")).await.status, 204);
}

#[tokio::test]
async fn an_offset_may_come_as_it_is_written() {
    let world = HttpFixture::new();
    let id = world.created().await;
    for at in ["2026-11-23T09:00:00.000+01:00", "2026-11-23T09:00:00.000%2B01:00"] {
        let answer = world.call(&format!("GET /asset/{id}/state?as_of={at}")).await;
        assert_eq!(answer.status, 200, "{at}");
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_none() {
    let world = HttpFixture::new();
    for path in [
        "/",
        "/asset/",
        "/assets",
        "/event",
        "/events/",
        "/asset/a/b",
        "/asset/a/history/1",
        "//asset",
        "/ASSET",
    ] {
        let told = refused(&world, &format!("GET {path}"), &[], "").await;
        assert_eq!(told, (404, "path.unknown".to_owned()), "{path}");
    }
    for (line, allow) in [
        ("PATCH /asset", "GET,HEAD,POST"),
        ("OPTIONS /asset", "GET,HEAD,POST"),
        ("POST /asset/a", "DELETE,GET,HEAD,PUT"),
        ("DELETE /asset/a/state", "GET,HEAD"),
        ("POST /events", "GET,HEAD"),
        ("GET /asset/a/purge", "POST"),
        ("BREW /healthz", "GET,HEAD"),
    ] {
        let answer = world.call(line).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (405, "method.not_allowed"));
        let mut allowed: Vec<_> = answer.headers["allow"].to_str().unwrap().split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), allow, "{line}");
    }
}
