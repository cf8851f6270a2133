//! Refusals, in S3's words, and the accepted names of hosts and keys.

use super::*;

/// The text of an XML element.
fn field(text: &str, tag: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    let (value, _) = rest.split_once(&format!("</{tag}>"))?;
    Some(value.replace("&apos;", "'").replace("&lt;", "<").replace("&amp;", "&"))
}

#[tokio::test]
async fn an_error_says_what_where_and_which_request() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let get = world.objects().download(&key, "no-such", None, None, MINUTE).await.unwrap();
    let other = world.url.clone() + "/files/main/none";
    for (url, code, message) in [
        (get.url.as_str(), "NoSuchVersion", "The specified version does not exist."),
        (other.as_str(), "AccessDenied", "Access Denied"),
    ] {
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/xml");
        let id = answer.headers()["x-amz-request-id"].to_str().unwrap().to_owned();
        let path = answer.url().path().to_owned();
        let text = answer.text().await.unwrap();
        assert_eq!(field(&text, "Code").as_deref(), Some(code), "{text}");
        assert_eq!(field(&text, "Message").as_deref(), Some(message), "{text}");
        assert_eq!(field(&text, "Resource"), Some(path), "{text}");
        assert_eq!(field(&text, "RequestId"), Some(id), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_signature_is_told_what_was_signed() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let declared = declared_as(Some(5), Some("text/plain"), None);
    let mut signed = world.upload_url(&key, &declared).await;
    signed.headers.insert("content-type".to_owned(), "text/html".to_owned());
    let text = send(&signed, "hello").await.text().await.unwrap();
    assert_eq!(field(&text, "Code").as_deref(), Some("SignatureDoesNotMatch"), "{text}");
    let told = field(&text, "Message").unwrap();
    assert!(told.starts_with("The request signature we calculated does not match"), "{told}");
    let request = field(&text, "CanonicalRequest").unwrap();
    let lines: Vec<_> = request.lines().collect();
    assert_eq!(lines[..2], ["PUT", &format!("/files/{}", key.object())]);
    assert!(lines[2].starts_with("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="));
    assert!(!lines[2].contains("X-Amz-Signature"), "{request}");
    assert!(request.contains("\ncontent-type:text/html\n"), "what was sent: {request}");
    assert_eq!(lines.last(), Some(&"UNSIGNED-PAYLOAD"));
    let to_sign = field(&text, "StringToSign").unwrap();
    assert!(to_sign.starts_with("AWS4-HMAC-SHA256\n"), "{to_sign}");
    assert!(to_sign.ends_with(&sha256(&request)), "{to_sign}");
    let Credentials { access_key, secret_key } = &world.credentials;
    assert_eq!(field(&text, "AWSAccessKeyId").as_ref(), Some(access_key));
    assert!(!text.contains(secret_key.as_str()));
}

#[tokio::test]
async fn strangers_keys_and_regions_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let Credentials { access_key, secret_key } = &world.credentials;
    let seen_as = |region: &str, access_key: &str| {
        let connection = Connection::local(&world.url, region, access_key, secret_key);
        S3Objects::new(connection, BUCKET, Arc::new(Clock(TimeDelta::zero())))
    };
    let url = async |objects: S3Objects| {
        objects.upload(&key, &Declaration::plain(), MINUTE).await.unwrap()
    };
    let stranger = send(&url(seen_as(REGION, "AKIASTRANGER")).await, "x").await;
    let text =
        "InvalidAccessKeyId The AWS Access Key Id you provided does not exist in our records.";
    assert_eq!(refusal(stranger).await, (403, text.to_owned()));
    let elsewhere = send(&url(seen_as("eu-west-1", access_key)).await, "x").await;
    let text = elsewhere.text().await.unwrap();
    let code = field(&text, "Code");
    assert_eq!(code.as_deref(), Some("AuthorizationQueryParametersError"), "{text}");
    assert_eq!(field(&text, "Region").as_deref(), Some(REGION), "{text}");
    let told = format!("the region 'eu-west-1' is wrong; expecting '{REGION}'");
    assert!(field(&text, "Message").unwrap().contains(&told), "{text}");

    let mut config = world.sdk().config().to_builder();
    config.set_region(Some(aws_sdk_s3::config::Region::new("eu-west-1")));
    let sdk = Client::from_conf(config.build());
    let refused = sdk.get_object().bucket(BUCKET).key("k").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AuthorizationHeaderMalformed"));
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 400);
    assert_eq!(world.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_posted_to_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let signed = world.upload_url(&key, &Declaration::plain()).await;
    let client = reqwest::Client::new();
    let posted = client.post(&signed.url).body("x").send().await.unwrap();
    assert_eq!(posted.headers()["allow"], "GET, HEAD, PUT, DELETE");
    let told = refusal(posted).await;
    let text = "MethodNotAllowed The specified method is not allowed against this resource.";
    assert_eq!(told, (405, text.to_owned()));
    let parts = format!("{}&uploads", signed.url);
    let told = refusal(client.post(parts).body("x").send().await.unwrap()).await;
    assert_eq!((told.0, told.1.starts_with("NotImplemented ")), (501, true), "{}", told.1);
}

/// Sends `head` over a plain socket, since HTTP clients set their own `Host`.
async fn status(world: &World, path: &str, host: &str) -> String {
    let address = world.url.strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_host_is_the_same_in_other_case_and_with_its_default_port() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    world.put(&key, "hello").await;
    let CurrentObject::Object(seen) = world.objects().current(&key).await.unwrap() else {
        panic!()
    };
    let Credentials { access_key, secret_key } = &world.credentials;
    for (signed_for, sent, answer) in [
        ("http://files.example", "files.example:80", "HTTP/1.1 200 OK"),
        ("http://files.example", "FILES.Example", "HTTP/1.1 200 OK"),
        ("http://files.example:80", "files.example", "HTTP/1.1 200 OK"),
        ("https://files.example:443", "files.example", "HTTP/1.1 200 OK"),
        ("https://files.example", "files.example:443", "HTTP/1.1 200 OK"),
        ("http://files.example:9000", "FILES.example:9000", "HTTP/1.1 200 OK"),
        ("http://files.example", "files.example:81", "HTTP/1.1 403 Forbidden"),
        ("http://files.example:81", "files.example", "HTTP/1.1 403 Forbidden"),
        ("http://files.example", "other.example", "HTTP/1.1 403 Forbidden"),
    ] {
        let connection = Connection::local(&world.url, REGION, access_key, secret_key);
        let connection = connection.signing_for(signed_for);
        let objects = S3Objects::new(connection, BUCKET, Arc::new(Clock(TimeDelta::zero())));
        let get = objects.download(&key, &seen.version_id, None, None, MINUTE).await.unwrap();
        let path = &get.url[get.url.find("/files/").unwrap()..];
        assert_eq!(status(&world, path, sent).await, answer, "{signed_for} as {sent}");
    }
}

#[tokio::test]
async fn a_neighbour_whose_name_xml_cannot_hold_stops_no_purge() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let (objects, sdk) = (world.objects(), world.sdk());
    world.put(&key, "hello").await;
    let neighbours = ["\u{1}", "\u{b}", " +%2b", "&<", "\u{ffff}"];
    for end in neighbours {
        let put = sdk.put_object().bucket(BUCKET).key(key.object() + end);
        put.body(ByteStream::from_static(b"other")).send().await.unwrap();
    }
    let versions = objects.versions(&key).await.unwrap();
    assert_eq!(versions.len(), 1, "the asset's own and no other");
    objects.delete(&key, &versions[0]).await.unwrap();
    assert_eq!(objects.versions(&key).await.unwrap(), Vec::<String>::new());
    let mut names = objects.names("main/", None).await.unwrap();
    names.sort();
    let mut expected = neighbours.map(|end| key.object() + end);
    expected.sort();
    assert_eq!(names, expected);
}
