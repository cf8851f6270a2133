//! Each signed URL is, byte for byte, the one that the SDK signs.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, Region, SharedCredentialsProvider};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::DateTime as Time;
use ledger::Effects;
use ledger::id::AssetId;
use proptest::prelude::*;

use super::super::Connection;
use super::*;

struct FixedTime(DateTime<Utc>);

impl Effects for FixedTime {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }

    fn random(&self) -> u128 {
        0
    }
}

#[derive(Debug, Clone)]
struct Setting {
    endpoint: Option<String>,
    other_endpoint: Option<String>,
    path_style: bool,
    region: String,
    bucket: String,
    access_key: String,
    secret: String,
    token: Option<String>,
    /// Seconds from the signature to the end of the credentials.
    dies: Option<u32>,
    now: DateTime<Utc>,
    life: Duration,
    key: Key,
}

impl Setting {
    fn connection(&self) -> Connection {
        let dies = self.dies.map(|after| (self.now + TimeDelta::seconds(after.into())).into());
        let (access_key, secret) = (&self.access_key, &self.secret);
        let key = Credentials::new(access_key, secret, self.token.clone(), dies, "test");
        let mut config = aws_types::SdkConfig::builder()
            .credentials_provider(SharedCredentialsProvider::new(key))
            .region(Region::new(self.region.clone()));
        config.set_endpoint_url(self.endpoint.clone());
        let connection = Connection::from_config(&config.build(), self.path_style);
        match &self.other_endpoint {
            Some(url) => connection.signing_for(url),
            None => connection,
        }
    }

    fn ours(&self) -> S3Objects {
        S3Objects::new(self.connection(), &self.bucket, Arc::new(FixedTime(self.now)))
    }

    fn theirs(&self) -> (Client, PresigningConfig) {
        let window = PresigningConfig::builder().start_time(self.now.into());
        (self.connection().signer, window.expires_in(self.life).build().unwrap())
    }

    fn ends(&self) -> DateTime<Utc> {
        let end = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let own = end(self.now.timestamp() + self.life.as_secs().cast_signed());
        let dies = self.dies.map(|after| self.now + TimeDelta::seconds(after.into()));
        dies.map_or(own, |dies| own.min(dies))
    }

    fn assert_same(&self, ours: &Presigned, theirs: &PresignedRequest) {
        assert_eq!(ours.url, theirs.uri());
        assert_eq!(ours.method, theirs.method());
        let unlisted = ["host", "content-length"];
        let headers = theirs.headers().filter(|(name, _)| !unlisted.contains(name));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(ours.headers, headers.collect::<BTreeMap<_, _>>());
        assert_eq!(ours.expires_at, self.ends());
    }

    async fn upload(&self, declared: &Declaration) {
        let (client, window) = self.theirs();
        let mut request = client.put_object().bucket(&self.bucket).key(self.key.object());
        if declared.upload == UploadKind::Declared {
            let checksum = declared.sha256.as_deref().map(|hash| base64_of(hash).unwrap());
            request = request
                .if_none_match("*")
                .set_content_length(declared.size.map(u64::cast_signed))
                .set_content_type(declared.content_type.clone())
                .set_checksum_sha256(checksum);
        }
        let theirs = request.presigned(window).await.unwrap();
        let ours = self.ours().upload(&self.key, declared, self.life).await.unwrap();
        self.assert_same(&ours, &theirs);
    }

    async fn download(&self, version: &str, name: Option<&str>, kind: Option<&str>) {
        let (client, window) = self.theirs();
        let request = client.get_object().bucket(&self.bucket).key(self.key.object());
        let request = request
            .version_id(version)
            .response_content_disposition(attachment(name))
            .set_response_content_type(kind.map(str::to_owned))
            .response_content_encoding(ENCODING)
            .response_content_language(LANGUAGE)
            .response_cache_control(CACHE)
            .response_expires(Time::from_secs(self.ends().timestamp()));
        let theirs = request.presigned(window).await.unwrap();
        let ours = self.ours().download(&self.key, version, name, kind, self.life).await.unwrap();
        self.assert_same(&ours, &theirs);
    }
}

fn endpoints() -> impl Strategy<Value = Option<String>> {
    let known = [
        "http://127.0.0.1:8081",
        "http://[::1]:9000",
        "http://files.example",
        "http://files.example:80",
        "http://files.example:443",
        "https://files.example:443",
        "https://Files.example:80/",
        "https://files.example/prefix/x",
        "https://s3.eu-west-1.amazonaws.com",
    ];
    prop::option::of(prop::sample::select(known.to_vec()).prop_map(str::to_owned))
}

prop_compose! {
    fn settings()(
        (endpoint, other_endpoint) in (endpoints(), endpoints()),
        path_style: bool,
        region in prop::sample::select(vec!["us-east-1", "eu-central-1", "cn-north-1", "local"]),
        bucket in prop::sample::select(vec!["files", "a.dotted.bucket", "files-2"]),
        access_key in "[A-Z0-9]{4,20}|[!-~]{1,20}",
        secret in "[!-~]{1,40}",
        token in prop::option::of("[A-Za-z0-9+/=]{1,200}|[ -~]{1,80}"),
        dies in prop::option::of(10..200_000_u32),
        // From 1970 to 2106, to the microsecond.
        now in 0..4_294_967_296_000_000_i64,
        life in 1..=LONGEST.as_secs(),
        (tenant, random) in ("[a-z][a-z0-9]{0,10}", any::<u128>()),
    ) -> Setting {
        let now = DateTime::from_timestamp_micros(now).unwrap();
        let key = Key { tenant: tenant.parse().unwrap(), asset: AssetId::new(now, random) };
        Setting {
            endpoint, other_endpoint, path_style, access_key, secret, token, dies, now, key,
            region: region.to_owned(),
            bucket: bucket.to_owned(),
            life: Duration::from_secs(life),
        }
    }
}

prop_compose! {
    fn declarations()(
        upload in prop::sample::select(vec![UploadKind::Plain, UploadKind::Declared]),
        content_type in prop::option::of("[a-z]{1,8}/[a-z0-9.+-]{1,12}( {0,3};[ -~]{0,20})?"),
        size in prop::option::of(0..=5_368_709_120_u64),
        sha256 in prop::option::of("[0-9a-f]{64}"),
    ) -> Declaration {
        Declaration { upload, content_type, size, sha256, ..Declaration::plain() }
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #[test]
    fn an_upload_is_signed_as_by_the_sdk(setting in settings(), declared in declarations()) {
        block_on(setting.upload(&declared));
    }

    #[test]
    fn a_download_is_signed_as_by_the_sdk(
        setting in settings(),
        version in "[A-Za-z0-9._-]{1,40}|\\PC{1,20}",
        name: Option<String>,
        kind in prop::option::of("[a-z]{1,8}/[a-z0-9.+-]{1,12}(;[ -~]{0,20})?"),
    ) {
        block_on(setting.download(&version, name.as_deref(), kind.as_deref()));
    }
}
