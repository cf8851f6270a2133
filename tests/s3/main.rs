//! The local S3 endpoint as clients use it: over a socket, with the AWS SDK and with plain HTTP.
#![allow(clippy::disallowed_methods, reason = "the clock of this test is the machine's")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use asset_ledger::http::AllowedOrigins;
use asset_ledger::objects::{Connection, S3Objects};
use asset_ledger::presign::{Presigned, Presigner};
use asset_ledger::s3::{Backlog, Credentials, DeliveryOutcome, LocalS3, Outbox, REGION, Receiver};
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::BehaviorVersion;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm as A, EncodingType};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use ledger::Effects;
use ledger::asset::{Declaration, UploadKind};
use ledger::error::StoreErrorKind;
use ledger::id::{AssetId, Key};
use ledger::objects::{CurrentObject, ObjectInventory, Objects};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod reading;
mod refusing;

const BUCKET: &str = "files";
const MINUTE: Duration = Duration::from_mins(1);

/// The system clock, shifted.
struct Clock(TimeDelta);

impl Effects for Clock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.0
    }

    fn random(&self) -> u128 {
        u128::from(getrandom::u64().unwrap()) << 64 | u128::from(getrandom::u64().unwrap())
    }
}

/// A bucket with its server.
struct World {
    url: String,
    credentials: Credentials,
    outbox: Outbox,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl World {
    async fn start(dir: &Path) -> Self {
        let effects: Arc<dyn Effects> = Arc::new(Clock(TimeDelta::zero()));
        let local = LocalS3::open(dir, BUCKET, Arc::clone(&effects)).await.unwrap();
        let credentials = Credentials::load_or_create(dir, &*effects).unwrap();
        let router =
            local.router(&credentials, AllowedOrigins::of(["https://ours.example".to_owned()]));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let outbox = local.outbox();
        let serving = tokio::spawn(async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).with_graceful_shutdown(stopped).await.unwrap();
        });
        Self { url, credentials, outbox, stop, serving }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }

    fn objects(&self) -> S3Objects {
        self.objects_at(TimeDelta::zero())
    }

    /// The adapter with a clock that is off by this.
    fn objects_at(&self, off: TimeDelta) -> S3Objects {
        let Credentials { access_key, secret_key } = &self.credentials;
        let connection = Connection::local(&self.url, REGION, access_key, secret_key);
        S3Objects::new(connection, BUCKET, Arc::new(Clock(off)))
    }

    /// The SDK with its default settings and automatic behaviour.
    fn sdk(&self) -> Client {
        let Credentials { access_key, secret_key } = &self.credentials;
        let key = aws_sdk_s3::config::Credentials::new(access_key, secret_key, None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(aws_sdk_s3::config::Region::new(REGION))
            .credentials_provider(key)
            .endpoint_url(&self.url)
            .force_path_style(true);
        Client::from_conf(config.build())
    }

    async fn upload_url(&self, key: &Key, declared: &Declaration) -> Presigned {
        self.objects().upload(key, declared, MINUTE).await.unwrap()
    }

    async fn put(&self, key: &Key, bytes: &'static str) -> reqwest::Response {
        let signed = self.upload_url(key, &Declaration::plain()).await;
        send(&signed, bytes).await
    }

    /// A URL for HEAD, which the API never returns.
    async fn head_url(&self, key: &Key) -> String {
        let life = aws_sdk_s3::presigning::PresigningConfig::expires_in(MINUTE).unwrap();
        let head = self.sdk().head_object().bucket(BUCKET).key(key.object());
        head.presigned(life).await.unwrap().uri().to_owned()
    }

    async fn waiting(&self) -> u64 {
        let Backlog { waiting, dead } = self.outbox.backlog().await.unwrap();
        assert_eq!(dead, 0);
        waiting
    }

    async fn versions(&self) -> Vec<String> {
        let page = self.sdk().list_object_versions().bucket(BUCKET).send().await.unwrap();
        page.versions().iter().map(|v| v.key().unwrap().to_owned()).collect()
    }
}

fn declared_as(
    size: Option<u64>,
    content_type: Option<&str>,
    sha256: Option<String>,
) -> Declaration {
    let content_type = content_type.map(str::to_owned);
    let upload = UploadKind::Declared;
    Declaration { upload, size, content_type, sha256, ..Declaration::plain() }
}

async fn send(signed: &Presigned, bytes: &'static str) -> reqwest::Response {
    let method: Method = signed.method.parse().unwrap();
    let mut request = reqwest::Client::new().request(method, &signed.url);
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    request.body(bytes).send().await.unwrap()
}

fn key() -> Key {
    let effects = Clock(TimeDelta::zero());
    let asset = AssetId::new(effects.now(), effects.random());
    Key { tenant: "main".parse().unwrap(), asset }
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn sha256(bytes: &str) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Polls until true, for ten seconds.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.expect(what);
}

/// The status and the code of an XML error.
async fn refusal(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert!(response.headers().contains_key("x-amz-request-id"));
    let text = response.text().await.unwrap();
    let field = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once('<').map(|(value, _)| value.to_owned())
    };
    let (code, message) = (field("Code"), field("Message").unwrap_or_default());
    (status, format!("{} {message}", code.unwrap_or(text.clone())).trim().to_owned())
}

/// The code of a refusal.
fn first(refusal: &str) -> &str {
    refusal.split(' ').next().unwrap()
}

#[tokio::test]
async fn an_object_is_put_seen_fetched_and_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let objects = world.objects();
    objects.ready().await.unwrap();
    assert_eq!(objects.current(&key).await.unwrap(), CurrentObject::Absent);

    let put = world.put(&key, "hello").await;
    assert_eq!(put.status(), StatusCode::OK);
    assert_eq!(put.headers()["etag"], "\"5d41402abc4b2a76b9719d911017c592\"");
    let CurrentObject::Object(seen) = objects.current(&key).await.unwrap() else {
        panic!("no object")
    };
    assert_eq!(put.headers()["x-amz-version-id"], seen.version_id.as_str());
    assert_eq!(seen.sha256, Some(sha256("hello")));
    assert_eq!((seen.size, seen.etag.as_str()), (5, "5d41402abc4b2a76b9719d911017c592"));
    assert!(objects.exists(&key, &seen.version_id).await.unwrap());

    world.put(&key, "newer").await;
    let name = Some("Grüße.txt");
    let get = objects.download(&key, &seen.version_id, name, Some("text/plain"), MINUTE);
    let got = send(&get.await.unwrap(), "").await;
    assert_eq!(got.headers()["content-type"], "text/plain");
    assert_eq!(got.headers()["x-content-type-options"], "nosniff");
    let disposition = "attachment; filename=\"Gr__e.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt";
    assert_eq!(got.headers()["content-disposition"], disposition);
    assert_eq!(got.text().await.unwrap(), "hello", "the version that was signed for");

    assert_eq!(objects.versions(&key).await.unwrap().len(), 2);
    for version in objects.versions(&key).await.unwrap() {
        objects.delete(&key, &version).await.unwrap();
        objects.delete(&key, &version).await.unwrap();
        assert!(!objects.exists(&key, &version).await.unwrap());
    }
    assert_eq!(objects.current(&key).await.unwrap(), CurrentObject::Absent);
    assert_eq!(files(&dir.path().join("objects")), 0, "deleted means gone from disk");
    assert_eq!(world.waiting().await, 4, "two uploads and two deletions");
}

#[tokio::test]
async fn a_range_is_a_part() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    world.put(&key, "0123456789").await;
    let sdk = world.sdk();
    let get = || sdk.get_object().bucket(BUCKET).key(key.object());
    for (range, part, shown) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=8-", "89", "bytes 8-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
    ] {
        let got = get().range(range).send().await.unwrap();
        assert_eq!(got.content_range(), Some(shown));
        assert_eq!(got.content_length(), Some(i64::try_from(part.len()).unwrap()));
        assert_eq!(got.body.collect().await.unwrap().into_bytes(), part);
    }
    let beyond = get().range("bytes=10-").send().await.unwrap_err();
    assert_eq!(beyond.raw_response().unwrap().status().as_u16(), 416);
    let known = get().if_none_match("\"781e5e245d69b566979b86e28d23f2c7\"").send().await;
    assert_eq!(known.unwrap_err().raw_response().unwrap().status().as_u16(), 304);
}

#[tokio::test]
async fn what_was_said_of_the_bytes_comes_back_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let (world, sdk_key) = (World::start(dir.path()).await, "a key/with spaces+plus ünï");
    let sdk = world.sdk();
    let put = sdk.put_object().bucket(BUCKET).key(sdk_key).content_type("text/x-test");
    let put = put.metadata("colour", "blue").body(ByteStream::from_static(b"abc"));
    put.send().await.unwrap();
    let got = sdk.get_object().bucket(BUCKET).key(sdk_key).send().await.unwrap();
    assert_eq!(got.content_type(), Some("text/x-test"));
    assert_eq!(got.content_encoding(), None, "aws-chunked is how it travelled");
    assert_eq!(got.metadata().unwrap()["colour"], "blue");
    assert_eq!(world.versions().await, [sdk_key]);
    let private = sdk.put_object().bucket(BUCKET).key("private");
    private.acl(aws_sdk_s3::types::ObjectCannedAcl::Private).send().await.unwrap();
    let acl = sdk.put_object().bucket(BUCKET).key("k");
    let acl = acl.acl(aws_sdk_s3::types::ObjectCannedAcl::PublicRead).send().await;
    assert_eq!(acl.unwrap_err().code(), Some("NotImplemented"));
    let other = sdk.head_bucket().bucket("another").send().await.unwrap_err();
    assert_eq!(other.raw_response().unwrap().status().as_u16(), 404);
}

#[tokio::test]
async fn a_streamed_upload_carries_its_checksum_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (world, sdk_key) = (World::start(dir.path()).await, "streamed");
    let source = dir.path().join("source");
    std::fs::write(&source, vec![7; 3_000_000]).unwrap();
    for algorithm in [A::Crc32, A::Crc32C, A::Crc64Nvme, A::Sha1, A::Sha256] {
        let body = ByteStream::from_path(&source).await.unwrap();
        let put = world.sdk().put_object().bucket(BUCKET).key(sdk_key);
        let put = put.checksum_algorithm(algorithm.clone()).body(body).send().await;
        assert!(put.is_ok(), "{algorithm}: {put:?}");
    }
    let head = world.sdk().head_object().bucket(BUCKET).key(sdk_key).send().await.unwrap();
    assert_eq!(head.content_length(), Some(3_000_000));
}

#[tokio::test]
async fn a_delete_marker_hides_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let (objects, sdk) = (world.objects(), world.sdk());
    world.put(&key, "hello").await;
    let deleted = sdk.delete_object().bucket(BUCKET).key(key.object()).send().await.unwrap();
    let marker = deleted.version_id().unwrap().to_owned();
    assert_eq!(deleted.delete_marker(), Some(true));
    let hidden = CurrentObject::DeleteMarker { version_id: marker.clone() };
    assert_eq!(objects.current(&key).await.unwrap(), hidden);

    let get = || sdk.get_object().bucket(BUCKET).key(key.object());
    let refused = get().send().await.unwrap_err();
    assert_eq!(refused.code(), Some("NoSuchKey"));
    let headers = refused.raw_response().unwrap().headers();
    assert_eq!(headers.get("x-amz-delete-marker"), Some("true"));
    assert_eq!(headers.get("x-amz-version-id"), Some(marker.as_str()));
    let named = get().version_id(&marker).send().await.unwrap_err();
    assert_eq!(named.code(), Some("MethodNotAllowed"));
    let headers = named.raw_response().unwrap().headers();
    assert_eq!(headers.get("x-amz-delete-marker"), Some("true"));
    assert_eq!(headers.get("x-amz-version-id"), Some(marker.as_str()));
    assert_eq!(headers.get("allow"), Some("DELETE"));
    assert!(!objects.exists(&key, &marker).await.unwrap());
    assert_eq!(objects.versions(&key).await.unwrap().len(), 2);

    let removed = sdk.delete_object().bucket(BUCKET).key(key.object()).version_id(&marker);
    assert_eq!(removed.send().await.unwrap().delete_marker(), Some(true));
    assert!(matches!(objects.current(&key).await.unwrap(), CurrentObject::Object(_)));
}

#[tokio::test]
async fn bytes_other_than_declared_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let declared = declared_as(Some(5), Some("text/plain"), Some(sha256("hello")));
    let signed = world.upload_url(&key, &declared).await;
    let (status, code) = refusal(send(&signed, "other").await).await;
    assert_eq!((status, code.starts_with("BadDigest")), (400, true), "{code}");
    let client = world.sdk();
    let wrong = client.put_object().bucket(BUCKET).key("k").content_md5(STANDARD.encode([0; 16]));
    let wrong = wrong.body(ByteStream::from_static(b"hello")).send().await;
    assert_eq!(wrong.unwrap_err().code(), Some("BadDigest"));

    assert_eq!(world.versions().await, Vec::<String>::new());
    assert_eq!(world.waiting().await, 0, "nothing happened, and nobody is told");
    assert_eq!(files(&dir.path().join("tmp")) + files(&dir.path().join("objects")), 0);
    assert_eq!(send(&signed, "hello").await.status(), StatusCode::OK);
    assert_eq!(world.waiting().await, 1);
}

#[tokio::test]
async fn what_was_signed_must_be_sent() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let declared = declared_as(Some(5), Some("text/plain"), Some(sha256("hello")));
    let signed = world.upload_url(&key, &declared).await;
    for name in ["if-none-match", "content-type", "x-amz-checksum-sha256"] {
        let mut less = signed.clone();
        less.headers.remove(name);
        let (status, code) = refusal(send(&less, "hello").await).await;
        assert_eq!((status, first(&code)), (403, "SignatureDoesNotMatch"), "without {name}");
    }
    assert_eq!(world.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let signed = world.upload_url(&key, &Declaration::plain()).await;
    let address = world.url.strip_prefix("http://").unwrap();
    let path = signed.url.strip_prefix(&world.url).unwrap();
    let drafts = dir.path().join("tmp");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("PUT {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1000000\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![7; 500_000]).await.unwrap();
    eventually("a draft appears", async || files(&drafts) == 1).await;
    drop(socket);
    eventually("the draft goes", async || files(&drafts) == 0).await;
    assert_eq!(world.versions().await, Vec::<String>::new());
    assert_eq!((world.waiting().await, files(&dir.path().join("objects"))), (0, 0));
}

#[tokio::test]
async fn an_upload_without_a_length_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let signed = world.upload_url(&key, &Declaration::plain()).await;
    let body = futures::stream::iter([Ok::<_, std::io::Error>("hello")]);
    let put = reqwest::Client::new().put(&signed.url).body(reqwest::Body::wrap_stream(body));
    let (status, code) = refusal(put.send().await.unwrap()).await;
    assert_eq!((status, first(&code)), (411, "MissingContentLength"));
    let put = reqwest::Client::new().put(&signed.url).header("content-length", "5368709121");
    let (status, code) = refusal(put.send().await.unwrap()).await;
    assert_eq!((status, first(&code)), (400, "EntityTooLarge"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_may_only_be_first_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let signed = Arc::new(world.upload_url(&key, &declared_as(None, None, None)).await);
    let one = |_| {
        let signed = Arc::clone(&signed);
        tokio::spawn(async move { send(&signed, "mine").await.status().as_u16() })
    };
    let answers = futures::future::join_all((0..64).map(one)).await;
    let mut counts = BTreeMap::<u16, usize>::new();
    for answer in answers {
        *counts.entry(answer.unwrap()).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([(200, 1), (412, 63)]));
    assert_eq!((world.versions().await.len(), world.waiting().await), (1, 1));
    assert_eq!(files(&dir.path().join("objects")), 1);

    // A delete marker counts as no object.
    world.sdk().delete_object().bucket(BUCKET).key(key.object()).send().await.unwrap();
    assert_eq!(send(&signed, "again").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_signature_lends_no_more_than_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let client = reqwest::Client::new();
    let Presigned { url, .. } = world.upload_url(&key, &Declaration::plain()).await;
    let put = |url: &str| client.put(url).body("x");
    let told =
        async |request: reqwest::RequestBuilder| refusal(request.send().await.unwrap()).await;

    let (status, text) = told(put(&url).header("x-amz-meta-a", "1")).await;
    let unsigned = "AccessDenied There were headers present in the request which were not signed";
    assert_eq!((status, text.as_str()), (403, unsigned));
    let years = url.replace("X-Amz-Expires=60", "X-Amz-Expires=691200");
    let (status, text) = told(put(&years)).await;
    assert_eq!(status, 400);
    assert!(text.starts_with("AuthorizationQueryParametersError"), "{text}");
    let longer = url.replace("X-Amz-Expires=60", "X-Amz-Expires=61");
    let (status, text) = told(put(&longer)).await;
    assert_eq!((status, first(&text)), (403, "SignatureDoesNotMatch"));
    let elsewhere = url.replace("/main/", "/mine/");
    let (status, text) = told(put(&elsewhere)).await;
    assert_eq!((status, first(&text)), (403, "SignatureDoesNotMatch"));
    let (status, text) = told(client.get(&url)).await;
    assert_eq!((status, first(&text)), (403, "SignatureDoesNotMatch"));
    let (plain, _) = url.split_once('?').unwrap();
    assert_eq!(told(put(plain)).await, (403, "AccessDenied Access Denied".to_owned()));
    let old = format!("{plain}?AWSAccessKeyId=A&Expires=9999999999&Signature=S");
    let (status, text) = told(put(&old)).await;
    assert_eq!((status, text.starts_with("InvalidRequest")), (400, true), "{text}");
    let old = put(plain).header("authorization", "AWS A:S");
    assert_eq!(told(old).await.0, 400);

    let past = world.objects_at(-TimeDelta::hours(1));
    let past = past.upload(&key, &Declaration::plain(), MINUTE).await.unwrap();
    let expired = (403, "AccessDenied Request has expired".to_owned());
    assert_eq!(told(put(&past.url)).await, expired);
    let future = world.objects_at(TimeDelta::minutes(16));
    let future = future.upload(&key, &Declaration::plain(), MINUTE).await.unwrap();
    let (status, text) = told(put(&future.url)).await;
    assert_eq!((status, text.starts_with("RequestTimeTooSkewed")), (403, true), "{text}");
    assert_eq!(world.versions().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_key_is_a_name_and_never_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let sdk = world.sdk();
    let keys = ["../../../tmp/evil", "..", "x", "x/y", "x/y/", "a\u{1F389}\"&<'", "%2e%2e/z"];
    for name in keys {
        let put = sdk.put_object().bucket(BUCKET).key(name);
        put.body(ByteStream::from(name.as_bytes().to_vec())).send().await.unwrap();
    }
    for name in keys {
        let got = sdk.get_object().bucket(BUCKET).key(name).send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().into_bytes(), name.as_bytes());
    }
    assert_eq!(files(&dir.path().join("objects")), keys.len());
    assert_eq!(world.versions().await.len(), keys.len());
}

#[tokio::test]
async fn versions_are_listed_page_by_page_even_while_they_go() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let sdk = world.sdk();
    for name in ["a", "b", "b", "b", "ba", "c"] {
        let put = sdk.put_object().bucket(BUCKET).key(name).body(ByteStream::from_static(b"1"));
        put.send().await.unwrap();
    }
    sdk.delete_object().bucket(BUCKET).key("b").send().await.unwrap();
    let list = || sdk.list_object_versions().bucket(BUCKET).prefix("b").max_keys(2);
    let (mut seen, mut markers) = (Vec::new(), (None, None));
    loop {
        let page = list().set_key_marker(markers.0).set_version_id_marker(markers.1);
        let page = page.send().await.unwrap();
        for version in page.versions() {
            let (name, id) = (version.key().unwrap(), version.version_id().unwrap());
            seen.push((name.to_owned(), version.is_latest().unwrap()));
            sdk.delete_object().bucket(BUCKET).key(name).version_id(id).send().await.unwrap();
        }
        seen.extend(
            page.delete_markers()
                .iter()
                .map(|m| (format!("{} marker", m.key().unwrap()), m.is_latest().unwrap())),
        );
        if page.is_truncated() != Some(true) {
            break;
        }
        markers = (page.next_key_marker, page.next_version_id_marker);
    }
    let expected = [("b", false), ("b marker", true), ("b", false), ("b", false), ("ba", true)];
    assert_eq!(seen, expected.map(|(name, latest)| (name.to_owned(), latest)));
    assert_eq!(world.versions().await, ["a", "c"]);
}

#[tokio::test]
async fn a_listing_is_encoded_for_who_asks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (sdk, name) = (world.sdk(), "a/b c+%~é");
    let put = sdk.put_object().bucket(BUCKET).key(name).body(ByteStream::from_static(b"1"));
    put.send().await.unwrap();
    let list = || sdk.list_object_versions().bucket(BUCKET);
    let plain = list().send().await.unwrap();
    assert_eq!(plain.versions()[0].key(), Some(name));
    let encoded = list().encoding_type(EncodingType::Url).send().await.unwrap();
    assert_eq!(encoded.versions()[0].key(), Some("a/b%20c%2B%25~%C3%A9"));
}

#[tokio::test]
async fn pages_on_this_machine_may_upload_from_a_browser() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let signed = world.upload_url(&key, &Declaration::plain()).await;
    let client = reqwest::Client::new();
    for (origin, allowed) in [
        ("http://localhost:5173", true),
        ("https://ours.example", true),
        ("https://evil.example", false),
    ] {
        let preflight = client
            .request(Method::OPTIONS, &signed.url)
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "content-type,range,x-amz-checksum-sha256")
            .send()
            .await
            .unwrap();
        let headers = preflight.headers();
        assert_eq!(preflight.status(), StatusCode::OK);
        let told = headers.get("access-control-allow-origin").map(|o| o.to_str().unwrap());
        assert_eq!(told, allowed.then_some(origin));
        let wanted = "content-type,range,x-amz-checksum-sha256";
        assert_eq!(headers["access-control-allow-headers"], wanted);
    }
    let put = client.put(&signed.url).header("origin", "http://127.0.0.1:1").body("x");
    let put = put.send().await.unwrap();
    assert_eq!(put.headers()["access-control-allow-origin"], "http://127.0.0.1:1");
    let exposed = put.headers()["access-control-expose-headers"].to_str().unwrap();
    for name in [
        "accept-ranges",
        "content-range",
        "content-disposition",
        "content-encoding",
        "etag",
        "x-amz-checksum-sha256",
        "x-amz-version-id",
        "x-amz-request-id",
    ] {
        assert!(exposed.split(',').any(|shown| shown == name), "{name} is not in {exposed}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_missing_or_away_is_not_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let bucket = |url: &str, name: &str| {
        let Credentials { access_key, secret_key } = &world.credentials;
        let connection = Connection::local(url, REGION, access_key, secret_key);
        S3Objects::new(connection, name, Arc::new(Clock(TimeDelta::zero())))
    };
    let other = bucket(&world.url, "another");
    assert_eq!(other.ready().await.unwrap_err().kind, StoreErrorKind::Misconfigured);
    assert_eq!(other.exists(&key, "v").await.unwrap_err().kind, StoreErrorKind::Misconfigured);
    assert_eq!(other.versions(&key).await.unwrap_err().kind, StoreErrorKind::Misconfigured);
    assert_eq!(other.delete(&key, "v").await.unwrap_err().kind, StoreErrorKind::Misconfigured);
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = bucket(&format!("http://{}", closed.local_addr().unwrap()), BUCKET);
    drop(closed);
    assert_eq!(away.current(&key).await.unwrap_err().kind, StoreErrorKind::Unavailable);
    let Credentials { access_key, .. } = &world.credentials;
    let stranger = Connection::local(&world.url, REGION, access_key, "guess");
    let stranger = S3Objects::new(stranger, BUCKET, Arc::new(Clock(TimeDelta::zero())));
    assert_eq!(stranger.current(&key).await.unwrap_err().kind, StoreErrorKind::Misconfigured);
}

/// Forwards each event.
struct Inbox(mpsc::UnboundedSender<Value>);

#[async_trait]
impl Receiver for Inbox {
    async fn receive(&self, event: &str) -> DeliveryOutcome {
        self.0.send(serde_json::from_str(event).unwrap()).unwrap();
        DeliveryOutcome::Done
    }
}

#[tokio::test]
async fn a_restart_keeps_objects_notifications_and_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    let put = world.put(&key, "hello").await;
    let request_id = put.headers()["x-amz-request-id"].to_str().unwrap().to_owned();
    let credentials = world.credentials.clone();
    let second = LocalS3::open(dir.path(), BUCKET, Arc::new(Clock(TimeDelta::zero()))).await;
    assert!(second.is_err(), "one process at a time");
    world.stop().await;
    let unwanted = "0123456789abcdef0123456789abcdef";
    let litter = ["tmp/.tmpdraft", &format!("tmp/{unwanted}"), &format!("tmp/{unwanted}.gone")];
    for litter in litter {
        std::fs::write(dir.path().join(litter), "left by a crash").unwrap();
    }
    std::fs::create_dir(dir.path().join("tmp/folder")).unwrap();
    std::fs::write(dir.path().join("tmp/notes.txt"), "somebody's").unwrap();

    let world = World::start(dir.path()).await;
    assert_eq!(world.credentials, credentials);
    assert_eq!((files(&dir.path().join("tmp")), files(&dir.path().join("objects"))), (2, 1));
    let CurrentObject::Object(seen) = world.objects().current(&key).await.unwrap() else {
        panic!()
    };
    let get = world.objects().download(&key, &seen.version_id, None, None, MINUTE).await;
    assert_eq!(send(&get.unwrap(), "").await.text().await.unwrap(), "hello");
    assert_eq!(world.waiting().await, 1);
    let (sender, mut given) = mpsc::unbounded_channel();
    let outbox = world.outbox.clone();
    let deliver = async move {
        let effects = Arc::new(Clock(TimeDelta::zero()));
        outbox.deliver(Arc::new(Inbox(sender)), effects, CancellationToken::new()).await;
    };
    let delivering = tokio::spawn(deliver);
    let event = given.recv().await.unwrap();
    assert_eq!(event["detail-type"], "Object Created");
    assert_eq!(event["detail"]["request-id"], request_id.as_str());
    assert_eq!(event["detail"]["source-ip-address"], "127.0.0.1");
    assert_eq!(event["detail"]["object"]["key"], key.object().as_str());
    assert_eq!(event["detail"]["object"]["version-id"], seen.version_id.as_str());

    world.objects().delete(&key, &seen.version_id).await.unwrap();
    let gone = given.recv().await.unwrap();
    assert_eq!(gone["detail"]["deletion-type"], "Permanently Deleted");
    let order = |event: &Value| event["detail"]["object"]["sequencer"].to_string();
    assert!(order(&event) < order(&gone));
    delivering.abort();
    world.stop().await;

    // Bytes without rows are not removed.
    std::fs::write(dir.path().join("objects/somebodys"), "precious").unwrap();
    std::fs::rename(dir.path().join("objects.sqlite"), dir.path().join("aside")).unwrap();
    let lost = LocalS3::open(dir.path(), BUCKET, Arc::new(Clock(TimeDelta::zero()))).await;
    assert!(lost.is_err());
    assert_eq!(files(&dir.path().join("objects")), 1);
}

/// Today's files with yesterday's rows: files without rows are kept.
#[tokio::test]
async fn bytes_that_the_rows_do_not_know_are_set_aside_and_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, lost) = (dir.path().join("objects"), dir.path().join("lost"));
    World::start(dir.path()).await.stop().await;
    for content in ["first", "second"] {
        std::fs::write(objects.join("nobodys"), content).unwrap();
        World::start(dir.path()).await.stop().await;
    }
    assert_eq!(files(&objects), 0);
    let read = |name: &str| std::fs::read_to_string(lost.join(name)).unwrap();
    assert_eq!((read("nobodys"), read("nobodys.1")), ("first".to_owned(), "second".to_owned()));
}

/// After a crash between two steps of an upload or a deletion, the rows decide the result.
#[tokio::test]
async fn a_version_is_what_its_row_says_wherever_a_crash_left_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    world.put(&key, "hello").await;
    let CurrentObject::Object(seen) = world.objects().current(&key).await.unwrap() else {
        panic!()
    };
    world.stop().await;
    let (objects, drafts) = (dir.path().join("objects"), dir.path().join("tmp"));
    std::fs::rename(objects.join(&seen.version_id), drafts.join(&seen.version_id)).unwrap();
    let world = World::start(dir.path()).await;
    assert_eq!((files(&objects), files(&drafts)), (1, 0));
    let going = drafts.join(format!("{}.gone", seen.version_id));
    std::fs::rename(objects.join(&seen.version_id), &going).unwrap();
    let get = world.objects().download(&key, &seen.version_id, None, None, MINUTE).await.unwrap();
    assert_eq!(send(&get, "").await.text().await.unwrap(), "hello", "also while it is on its way");
    world.objects().delete(&key, &seen.version_id).await.unwrap();
    assert_eq!((files(&objects), files(&drafts)), (0, 0));
    world.stop().await;
}

/// A file is moved by a new name and the removal of the old one. After a crash between the two it
/// has both.
#[tokio::test]
async fn a_file_with_two_names_after_a_crash_has_one_after_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let [objects, drafts, lost] = ["objects", "tmp", "lost"].map(|name| dir.path().join(name));
    let (world, key) = (World::start(dir.path()).await, key());
    world.put(&key, "hello").await;
    let CurrentObject::Object(seen) = world.objects().current(&key).await.unwrap() else {
        panic!()
    };
    let (object, going) =
        (objects.join(&seen.version_id), drafts.join(format!("{}.gone", seen.version_id)));
    world.stop().await;
    for second in [drafts.join(&seen.version_id), going.clone()] {
        std::fs::hard_link(&object, second).unwrap();
        World::start(dir.path()).await.stop().await;
        assert_eq!((files(&objects), files(&drafts)), (1, 0));
    }
    // Another file of that name is neither replaced nor removed.
    std::fs::write(&going, "other").unwrap();
    World::start(dir.path()).await.stop().await;
    assert_eq!((files(&objects), files(&drafts)), (1, 1));
    std::fs::remove_file(&going).unwrap();

    let world = World::start(dir.path()).await;
    std::fs::hard_link(&object, &going).unwrap();
    world.objects().delete(&key, &seen.version_id).await.unwrap();
    assert_eq!((files(&objects), files(&drafts)), (0, 0));
    world.stop().await;

    std::fs::write(objects.join("nobodys"), "whose?").unwrap();
    std::fs::create_dir_all(&lost).unwrap();
    std::fs::hard_link(objects.join("nobodys"), lost.join("nobodys")).unwrap();
    World::start(dir.path()).await.stop().await;
    assert_eq!((files(&objects), files(&lost)), (0, 1));
}

#[tokio::test]
async fn a_file_that_was_altered_is_not_served_whole_under_its_old_hash() {
    let dir = tempfile::tempdir().unwrap();
    let (world, key) = (World::start(dir.path()).await, key());
    world.put(&key, "hello").await;
    let CurrentObject::Object(seen) = world.objects().current(&key).await.unwrap() else {
        panic!()
    };
    let get = world.objects().download(&key, &seen.version_id, None, None, MINUTE).await.unwrap();
    let file = dir.path().join("objects").join(&seen.version_id);
    std::fs::write(&file, "jello").unwrap();
    let client = reqwest::Client::new();
    for range in [None, Some("bytes=0-")] {
        let mut request = client.get(&get.url);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        // With so few bytes, possibly not even the response head was sent.
        let all = match request.send().await {
            Ok(answer) => answer.bytes().await,
            Err(cut) => Err(cut),
        };
        assert!(all.is_err(), "{range:?}: {all:?}");
    }
    let part = client.get(&get.url).header("range", "bytes=1-").send().await.unwrap();
    assert_eq!(part.text().await.unwrap(), "ello", "a part cannot be checked");
    std::fs::write(&file, "hell").unwrap();
    assert_eq!(send(&get, "").await.status(), 500, "of another length");
    std::fs::write(&file, "hello").unwrap();
    assert_eq!(send(&get, "").await.text().await.unwrap(), "hello");
    world.stop().await;
}
