//! Signed URLs: a client uploads or downloads the bytes of one key, for a limited time.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use ledger::asset::{Declaration, UploadKind};
use ledger::error::{StoreError, StoreErrorKind};
use ledger::id::Key;

use super::S3Objects;
use super::disposition::attachment;
use super::url_signer::{ReadySigner, UnsignedRequest};
use crate::presign::{Presigned, Presigner};

/// A URL that is valid for less than a second is an error; S3 accepts 0, which expires at once.
const SHORTEST: Duration = Duration::from_secs(1);
/// The headers of a download, for any headers of the upload: an unsigned header of an upload must
/// not change the download. `identity`, because S3 ignores an empty value.
const ENCODING: &str = "identity";
/// An undetermined language.
const LANGUAGE: &str = "und";
/// With `Expires`, without an age to override it: cached by the reader only, until the URL expires.
const CACHE: &str = "private, must-revalidate";
/// S3's limit.
const LONGEST: Duration = Duration::from_hours(7 * 24);
/// The form of a date in HTTP.
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";
const CONTENT_LENGTH: &str = "content-length";

#[async_trait]
impl Presigner for S3Objects {
    async fn upload(
        &self,
        key: &Key,
        declared: &Declaration,
        expires_in: Duration,
    ) -> Result<Presigned, StoreError> {
        let mut headers = Vec::new();
        if declared.upload == UploadKind::Declared {
            let checksum = declared.sha256.as_deref().map(base64_of).transpose()?;
            headers.extend(declared.size.map(|size| (CONTENT_LENGTH, size.to_string())));
            headers.extend(declared.content_type.clone().map(|kind| ("content-type", kind)));
            headers.push(("if-none-match", "*".to_owned()));
            headers.extend(checksum.map(|checksum| ("x-amz-checksum-sha256", checksum)));
        }
        let query = vec![("x-id", "PutObject".to_owned())];
        let request = UnsignedRequest { method: "PUT", object: key.object(), query, headers };
        let window = SignatureWindow::new(self.effects.now(), expires_in)?;
        let signer = self.signer.ready(window.start).await?;
        Ok(signed(&signer, request, &window))
    }

    async fn download(
        &self,
        key: &Key,
        version_id: &str,
        filename: Option<&str>,
        content_type: Option<&str>,
        expires_in: Duration,
    ) -> Result<Presigned, StoreError> {
        let window = SignatureWindow::new(self.effects.now(), expires_in)?;
        let signer = self.signer.ready(window.start).await?;
        let expires = window.expires_at(&signer).format(HTTP_DATE).to_string();
        let kind = content_type.map(|kind| ("response-content-type", kind.to_owned()));
        let mut query = vec![
            ("x-id", "GetObject".to_owned()),
            ("response-cache-control", CACHE.to_owned()),
            // Never displayed inline: an upload must not run as a page of the bucket's origin.
            ("response-content-disposition", attachment(filename)),
            ("response-content-encoding", ENCODING.to_owned()),
            ("response-content-language", LANGUAGE.to_owned()),
        ];
        query.extend(kind);
        query.push(("response-expires", expires));
        query.push(("versionId", version_id.to_owned()));
        let object = key.object();
        let request = UnsignedRequest { method: "GET", object, query, headers: Vec::new() };
        Ok(signed(&signer, request, &window))
    }
}

/// The time in which a signature is valid. It counts whole seconds from the second of its creation.
struct SignatureWindow {
    start: DateTime<Utc>,
    length: Duration,
}

impl SignatureWindow {
    fn new(now: DateTime<Utc>, length: Duration) -> Result<Self, StoreError> {
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Err(refuse(format!("a URL lives 1 s to 7 days, not {length:?}")));
        }
        Ok(Self { start: now.trunc_subsecs(0), length })
    }

    /// A signature expires with its credentials at the latest.
    fn expires_at(&self, signer: &ReadySigner<'_>) -> DateTime<Utc> {
        let own = self.start + TimeDelta::seconds(self.length.as_secs().cast_signed());
        signer.expiry().map_or(own, |dies| own.min(DateTime::from(dies)))
    }
}

fn signed(
    signer: &ReadySigner<'_>,
    request: UnsignedRequest,
    window: &SignatureWindow,
) -> Presigned {
    let url = signer.url(&request, window.start, window.length);
    let expires_at = window.expires_at(signer);
    let left = (expires_at - window.start).num_seconds();
    // Every client sends its length by itself, and a browser's script cannot set it.
    let headers = request.headers.into_iter().filter(|(name, _)| *name != CONTENT_LENGTH);
    Presigned {
        method: request.method.to_owned(),
        url,
        headers: headers.map(|(name, value)| (name.to_owned(), value)).collect(),
        expires_at,
        expires_in: u64::try_from(left).unwrap_or(0),
    }
}

fn refuse(text: String) -> StoreError {
    StoreError::new(StoreErrorKind::Misconfigured, text)
}

fn base64_of(sha256: &str) -> Result<String, StoreError> {
    let bytes = hex::decode(sha256).ok().filter(|bytes| bytes.len() == 32);
    bytes.map(|b| STANDARD.encode(b)).ok_or_else(|| refuse("not a SHA-256 in hex".to_owned()))
}

#[cfg(test)]
mod as_the_sdk;

#[cfg(test)]
mod tests {
    use super::super::Connection;
    use super::*;
    use ledger::Effects;
    use ledger::id::AssetId;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    struct Still;

    impl Effects for Still {
        fn now(&self) -> DateTime<Utc> {
            DateTime::from_timestamp_micros(1_700_000_000_900_000).unwrap()
        }

        fn random(&self) -> u128 {
            0
        }
    }

    fn bucket() -> S3Objects {
        let connection = Connection::local("http://127.0.0.1:9", "us-east-1", "ALKEY", "secret")
            .signing_for("http://files.example:9000");
        S3Objects::new(connection, "files", Arc::new(Still))
    }

    fn key() -> Key {
        Key { tenant: "main".parse().unwrap(), asset: AssetId::new(DateTime::UNIX_EPOCH, 7) }
    }

    /// The parameters of a URL without those that a signature always has.
    fn parameters(url: &str) -> BTreeMap<String, String> {
        let uri: http::Uri = url.parse().unwrap();
        let axum::extract::Query(all) =
            axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(&uri).unwrap();
        let usual = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"];
        all.into_iter().filter(|(name, _)| !usual.contains(&name.as_str())).collect()
    }

    fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[tokio::test]
    async fn a_plain_upload_signs_the_host_only() {
        let life = Duration::from_mins(15);
        let signed = bucket().upload(&key(), &Declaration::plain(), life).await.unwrap();
        assert_eq!((signed.method.as_str(), signed.headers), ("PUT", map([])));
        let path = "http://files.example:9000/files/main/00000000-0000-7000-8000-000000000007?";
        assert!(signed.url.starts_with(path), "{}", signed.url);
        let expected = map([
            ("X-Amz-Date", "20231114T221320Z"),
            ("X-Amz-Expires", "900"),
            ("X-Amz-SignedHeaders", "host"),
            ("x-id", "PutObject"),
        ]);
        assert_eq!(parameters(&signed.url), expected);
        // From the second in which the signature starts.
        assert_eq!(signed.expires_at.timestamp_micros(), 1_700_000_900_000_000);
        assert_eq!(signed.expires_in, life.as_secs());
    }

    #[tokio::test]
    async fn a_declared_upload_signs_what_was_declared() {
        let nothing = Declaration { upload: UploadKind::Declared, ..Declaration::plain() };
        let all = Declaration {
            size: Some(0),
            content_type: Some("text/plain".to_owned()),
            sha256: Some("00".repeat(32)),
            ..nothing.clone()
        };
        let checksum = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for (declared, names, headers) in [
            (&nothing, "host;if-none-match", map([("if-none-match", "*")])),
            (
                &all,
                "content-length;content-type;host;if-none-match;x-amz-checksum-sha256",
                map([
                    ("content-type", "text/plain"),
                    ("if-none-match", "*"),
                    ("x-amz-checksum-sha256", checksum),
                ]),
            ),
        ] {
            let life = Duration::from_mins(1);
            let signed = bucket().upload(&key(), declared, life).await;
            let signed = signed.unwrap();
            assert_eq!(signed.headers, headers);
            assert_eq!(parameters(&signed.url)["X-Amz-SignedHeaders"], names);
            assert_eq!(parameters(&signed.url).len(), 4, "{}", signed.url);
        }
    }

    #[tokio::test]
    async fn a_download_is_of_one_version_and_under_its_name() {
        let life = Duration::from_mins(1);
        let named = Some("Grüße.txt");
        let signed = bucket().download(&key(), "v1", named, Some("text/plain"), life).await;
        let signed = signed.unwrap();
        assert_eq!((signed.method.as_str(), signed.headers), ("GET", map([])));
        let expected = map([
            ("X-Amz-Date", "20231114T221320Z"),
            ("X-Amz-Expires", "60"),
            ("X-Amz-SignedHeaders", "host"),
            ("response-cache-control", "private, must-revalidate"),
            ("response-content-encoding", "identity"),
            ("response-content-language", "und"),
            ("response-expires", "Tue, 14 Nov 2023 22:14:20 GMT"),
            (
                "response-content-disposition",
                "attachment; filename=\"Gr__e.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt",
            ),
            ("response-content-type", "text/plain"),
            ("versionId", "v1"),
            ("x-id", "GetObject"),
        ]);
        assert_eq!(parameters(&signed.url), expected);
    }

    #[tokio::test]
    async fn lifetimes_and_checksums_out_of_bounds_are_refused() {
        let week = 7 * 24 * 60 * 60;
        for (seconds, fits) in [(0, false), (1, true), (week, true), (week + 1, false)] {
            let life = Duration::from_secs(seconds);
            let signed = bucket().upload(&key(), &Declaration::plain(), life).await;
            assert_eq!(signed.is_ok(), fits, "{seconds}");
        }
        let (upload, sha256) = (UploadKind::Declared, Some("abc".to_owned()));
        let declared = Declaration { upload, sha256, ..Declaration::plain() };
        let life = Duration::from_mins(1);
        assert!(bucket().upload(&key(), &declared, life).await.is_err());
    }

    #[tokio::test]
    async fn a_url_dies_with_its_credentials() {
        let dies = std::time::SystemTime::from(Still.now()) + Duration::from_secs(30);
        let given = aws_sdk_s3::config::Credentials::new("A", "s", None, Some(dies), "test");
        let config = aws_config::SdkConfig::builder()
            .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(given))
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .build();
        let connection = Connection::from_config(&config, false);
        let bucket = S3Objects::new(connection, "files", Arc::new(Still));
        let life = Duration::from_mins(15);
        let signed = bucket.upload(&key(), &Declaration::plain(), life).await.unwrap();
        assert_eq!(signed.expires_at, DateTime::<Utc>::from(dies));
        assert_eq!(signed.expires_in, 30);
        let signed = bucket.download(&key(), "v1", None, None, life).await.unwrap();
        assert_eq!(signed.expires_at, DateTime::<Utc>::from(dies));
        assert_eq!(parameters(&signed.url)["response-expires"], "Tue, 14 Nov 2023 22:13:50 GMT");
    }
}
