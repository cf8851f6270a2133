//! Ranges, conditions and headers of reads, answered like S3: with plain HTTP.

use super::*;

const ETAG: &str = "\"781e5e245d69b566979b86e28d23f2c7\"";
const OTHER: &str = "\"00000000000000000000000000000000\"";

/// One object of ten bytes, and its URL.
async fn object(world: &World) -> (Key, String) {
    let key = key();
    world.put(&key, "0123456789").await;
    let CurrentObject::Object(seen) = world.objects().current(&key).await.unwrap() else {
        panic!()
    };
    let get = world.objects().download(&key, &seen.version_id, None, None, MINUTE).await;
    (key, get.unwrap().url)
}

async fn get(url: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn a_range_that_is_none_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (key, url) = object(&world).await;
    for range in [
        "bytes=abc",
        "bytes=0-1,3-4",
        "bytes=5-2",
        "bytes=-",
        "bytes=",
        "bytes 0-1",
        "lines=0-1",
        "",
    ] {
        let got = get(&url, &[("range", range)]).await;
        assert_eq!(got.status(), 200, "{range}");
        assert!(!got.headers().contains_key("content-range"), "{range}");
        assert_eq!(got.text().await.unwrap(), "0123456789", "{range}");
    }
    // Also if it is in the signature.
    let signed = world.sdk().get_object().bucket(BUCKET).key(key.object()).range("bytes=abc");
    assert_eq!(signed.send().await.unwrap().content_length(), Some(10));
    for (range, part) in [("bytes=2-3", "23"), ("BYTES=2-3", "23"), ("bytes= 8-", "89")] {
        let got = get(&url, &[("range", range)]).await;
        assert_eq!((got.status().as_u16(), got.text().await.unwrap().as_str()), (206, part));
    }
    for (validator, status) in [(ETAG, 206), (OTHER, 200), ("Thu, 01 Jan 1970 00:00:00 GMT", 200)] {
        let got = get(&url, &[("range", "bytes=0-1"), ("if-range", validator)]).await;
        assert_eq!(got.status(), status, "{validator}");
    }
}

#[tokio::test]
async fn a_range_beyond_the_end_says_where_the_end_is() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (_, url) = object(&world).await;
    for range in ["bytes=10-", "bytes=-0", "bytes=99-100", "bytes=99999999999999999999-"] {
        let got = get(&url, &[("range", range)]).await;
        assert_eq!(got.headers()["content-range"], "bytes */10", "{range}");
        assert_eq!(got.headers()["content-type"], "application/xml", "{range}");
        let (status, text) = refusal(got).await;
        assert_eq!((status, text.starts_with("InvalidRange ")), (416, true), "{text}");
    }
}

#[tokio::test]
async fn a_head_has_a_range_too() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (key, _) = object(&world).await;
    let head = world.sdk().head_object().bucket(BUCKET).key(key.object()).range("bytes=2-5");
    assert_eq!(head.send().await.unwrap().content_length(), Some(4));
    let url = world.head_url(&key).await;
    let got = reqwest::Client::new().head(&url).header("range", "bytes=2-5").send().await.unwrap();
    assert_eq!(got.status(), 206);
    assert_eq!(got.headers()["content-range"], "bytes 2-5/10");
    let got = reqwest::Client::new().head(&url).header("range", "bytes=10-").send().await.unwrap();
    assert_eq!(got.status(), 416);
    assert_eq!(got.headers()["content-range"], "bytes */10");
}

#[tokio::test]
async fn what_did_not_change_is_told_by_its_tag_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (_, url) = object(&world).await;
    let got = get(&url, &[("if-none-match", ETAG)]).await;
    assert_eq!(got.status(), 304);
    assert_eq!(got.headers()["etag"], ETAG);
    for name in ["last-modified", "cache-control", "expires", "x-amz-version-id"] {
        assert!(got.headers().contains_key(name), "{name}");
    }
    for name in ["content-type", "content-length", "content-encoding", "content-disposition"] {
        assert!(!got.headers().contains_key(name), "{name}: {:?}", got.headers().get(name));
    }
    assert_eq!(got.text().await.unwrap(), "");
}

#[tokio::test]
async fn tags_are_compared_also_in_lists() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (_, url) = object(&world).await;
    let bare = ETAG.trim_matches('"');
    let list = format!("{OTHER}, {ETAG}");
    let weak = format!("W/{ETAG}");
    let others = format!("{OTHER}, \"a,b\"");
    for (name, value, status) in [
        ("if-match", ETAG, 200),
        ("if-match", "*", 200),
        ("if-match", bare, 200),
        ("if-match", &list, 200),
        ("if-match", &others, 412),
        ("if-match", &weak, 412),
        ("if-none-match", &list, 304),
        ("if-none-match", "*", 304),
        ("if-none-match", bare, 304),
        ("if-none-match", &weak, 304),
        ("if-none-match", &others, 200),
    ] {
        assert_eq!(get(&url, &[(name, value)]).await.status(), status, "{name}: {value}");
    }
    let refused = refusal(get(&url, &[("if-match", OTHER)]).await).await;
    let text = "PreconditionFailed At least one of the pre-conditions you specified did not hold";
    assert_eq!(refused, (412, text.to_owned()));
}

#[tokio::test]
async fn all_three_forms_of_a_date_are_read_and_others_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (_, url) = object(&world).await;
    let past = [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ];
    for date in past {
        assert_eq!(get(&url, &[("if-unmodified-since", date)]).await.status(), 412, "{date}");
        assert_eq!(get(&url, &[("if-modified-since", date)]).await.status(), 200, "{date}");
    }
    let last = get(&url, &[]).await.headers()["last-modified"].to_str().unwrap().to_owned();
    assert_eq!(get(&url, &[("if-modified-since", &last)]).await.status(), 304);
    assert_eq!(get(&url, &[("if-unmodified-since", &last)]).await.status(), 200);
    for unreadable in ["yesterday", "", "2027-01-01T00:00:00Z", "0"] {
        for name in ["if-unmodified-since", "if-modified-since"] {
            assert_eq!(get(&url, &[(name, unreadable)]).await.status(), 200, "{name} {unreadable}");
        }
    }
    // A tag overrides a time.
    let both = [("if-match", ETAG), ("if-unmodified-since", past[0])];
    assert_eq!(get(&url, &both).await.status(), 200);
    let both = [("if-none-match", OTHER), ("if-modified-since", last.as_str())];
    assert_eq!(get(&url, &both).await.status(), 200);
}

#[tokio::test]
async fn what_an_uploader_did_not_sign_changes_nothing_that_a_reader_gets() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let key = key();
    let signed = world.upload_url(&key, &Declaration::plain()).await;
    let put = reqwest::Client::new()
        .put(&signed.url)
        .header("content-encoding", "gzip")
        .header("content-language", "de")
        .header("content-disposition", "inline; filename=evil.html")
        .header("cache-control", "public, max-age=31536000")
        .header("expires", "Fri, 01 Jan 2100 00:00:00 GMT")
        .body("not gzip");
    assert_eq!(put.send().await.unwrap().status(), 200);
    let CurrentObject::Object(seen) = world.objects().current(&key).await.unwrap() else {
        panic!()
    };
    let get = world.objects().download(&key, &seen.version_id, None, None, MINUTE).await;
    let get = get.unwrap();
    for range in [None, Some("bytes=0-")] {
        let mut request = reqwest::Client::new().get(&get.url);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let got = request.send().await.unwrap();
        let told = |name: &str| got.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(told("content-encoding"), "identity");
        assert_eq!(told("content-language"), "und");
        assert_eq!(told("content-disposition"), "attachment");
        assert_eq!(told("cache-control"), "private, must-revalidate");
        let ends = httpdate::parse_http_date(&told("expires")).unwrap();
        assert_eq!(DateTime::<Utc>::from(ends), get.expires_at, "no longer than the URL");
        assert_eq!(got.text().await.unwrap(), "not gzip");
    }
}
