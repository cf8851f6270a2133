//! Signs URLs by AWS's signature version 4, byte for byte as the SDK does, but without its
//! machinery for calls: a signature costs microseconds. The SDK is asked only where the bucket is,
//! and is given a placeholder for credentials then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::IdentityCache;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use chrono::{DateTime, NaiveDate, Utc};
use ledger::chain::Hash;
use ledger::error::{StoreError, StoreErrorKind};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::client::{Connection, OPERATION};
use super::failure::describe;
use crate::percent;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How long credentials without an expiry are used before the provider is asked again, as by the
/// SDK.
const UNTIL_ASKED_AGAIN: Duration = Duration::from_mins(15);
/// How long before their expiry credentials are replaced: longer than a client needs to use a URL.
const BEFORE_EXPIRY: Duration = Duration::from_secs(10);
/// The object and the credentials of the URL that shows where the bucket is.
const SAMPLE: &str = "sample";

/// A request to sign, without the parts that a signature adds.
pub(super) struct UnsignedRequest {
    pub(super) method: &'static str,
    /// The object's key.
    pub(super) object: String,
    /// The parameters, in their order in the URL.
    pub(super) query: Vec<(&'static str, String)>,
    /// The signed headers except `host`.
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Signs URLs of one bucket.
pub(super) struct UrlSigner {
    client: Client,
    bucket: String,
    credentials: Option<SharedCredentialsProvider>,
    place: OnceCell<BucketPlace>,
    key: Mutex<Option<Arc<SigningKey>>>,
    /// Held while credentials are requested: once for all waiting requests.
    loading: tokio::sync::Mutex<()>,
}

/// A signer with the place of its bucket, and credentials that are valid for a while.
pub(super) struct ReadySigner<'a> {
    place: &'a BucketPlace,
    key: Arc<SigningKey>,
}

impl UrlSigner {
    pub(super) fn new(connection: &Connection, bucket: &str) -> Self {
        Self {
            client: connection.signer.clone(),
            bucket: bucket.to_owned(),
            credentials: connection.credentials.clone(),
            place: OnceCell::new(),
            key: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// Prepares for signatures made at `now`.
    ///
    /// # Errors
    /// `Unavailable` without credentials; `Misconfigured` if the bucket has no place, or one whose
    /// requests are signed in another way.
    pub(super) async fn ready(&self, now: DateTime<Utc>) -> Result<ReadySigner<'_>, StoreError> {
        let place = self.place.get_or_try_init(|| BucketPlace::find(&self.client, &self.bucket));
        let place = place.await?;
        if let Some(key) = self.known_key(now) {
            return Ok(ReadySigner { place, key });
        }
        let _once = self.loading.lock().await;
        if let Some(key) = self.known_key(now) {
            return Ok(ReadySigner { place, key });
        }
        let credentials = self.request_credentials().await.map_err(|error| {
            let context = format!("credentials to sign URLs of bucket {}", self.bucket);
            StoreError::caused(StoreErrorKind::Unavailable, context, error)
        })?;
        let key = Arc::new(SigningKey::new(credentials, place, now));
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&key));
        Ok(ReadySigner { place, key })
    }

    fn known_key(&self, now: DateTime<Utc>) -> Option<Arc<SigningKey>> {
        let known = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|key| key.day == now.date_naive() && now < key.until).cloned()
    }

    async fn request_credentials(&self) -> Result<Credentials, CredentialsError> {
        let provider = self.credentials.as_ref();
        let provider = provider.ok_or_else(|| CredentialsError::not_loaded("no credentials"))?;
        let given = timeout(OPERATION, provider.provide_credentials()).await;
        given.unwrap_or_else(|_| {
            let last = provider.fallback_on_interrupt();
            last.ok_or_else(|| CredentialsError::provider_timed_out(OPERATION))
        })
    }
}

/// The place of a bucket and the scope of its signatures, which only the configuration determines.
#[derive(Debug)]
struct BucketPlace {
    /// The URL of the bucket's objects, with its last slash.
    url: String,
    /// Where the path begins in it.
    path: usize,
    /// The signed `Host`.
    host: String,
    region: String,
    service: String,
}

impl BucketPlace {
    /// Finds the place in a URL that the SDK signs. The place is used only if this signer makes the
    /// same URL from it.
    async fn find(client: &Client, bucket: &str) -> Result<Self, StoreError> {
        let placeholder = Credentials::new(SAMPLE, SAMPLE, None, None, SAMPLE);
        let config = client.config().to_builder().credentials_provider(placeholder.clone());
        let client = Client::from_conf(config.identity_cache(IdentityCache::no_cache()).build());
        let (start, life) = (DateTime::UNIX_EPOCH, UNTIL_ASKED_AGAIN);
        let context = || format!("S3 presigned GetObject in bucket {bucket}");
        let misplaced = || StoreError::new(StoreErrorKind::Misconfigured, context());
        let window = PresigningConfig::builder().start_time(start.into()).expires_in(life).build();
        let request = client.get_object().bucket(bucket).key(SAMPLE);
        let signed = request.presigned(window.map_err(|_| misplaced())?).await;
        let signed = signed.map_err(|error| describe(context(), error))?;
        let place = Self::read(signed.uri()).ok_or_else(misplaced)?;
        let request = UnsignedRequest {
            method: "GET",
            object: SAMPLE.to_owned(),
            query: vec![("x-id", "GetObject".to_owned())],
            headers: vec![],
        };
        let key = Arc::new(SigningKey::new(placeholder, &place, start));
        let same = ReadySigner { place: &place, key }.url(&request, start, life) == signed.uri();
        if same { Ok(place) } else { Err(misplaced()) }
    }

    fn read(url: &str) -> Option<Self> {
        let (base, query) = url.split_once('?')?;
        let base = base.strip_suffix(SAMPLE)?;
        let uri: http::Uri = base.parse().ok()?;
        let authority = uri.authority()?;
        let implied = [("http", "80"), ("https", "443")];
        let port = authority.port();
        let port = port.as_ref().map(http::uri::Port::as_str);
        let implied = port.zip(uri.scheme_str()).is_some_and(|(p, s)| implied.contains(&(s, p)));
        let host = if implied { authority.host() } else { authority.as_str() };
        let scope = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
        let scope = percent::decode_lossy(scope);
        let mut scope = scope.rsplit('/').skip(1);
        let (service, region) = (scope.next()?.to_owned(), scope.next()?.to_owned());
        let path = base.len() - uri.path().len();
        Some(Self { url: base.to_owned(), path, host: host.to_owned(), region, service })
    }
}

/// Credentials with their signing key of one day.
struct SigningKey {
    credentials: Credentials,
    key: Vec<u8>,
    day: NaiveDate,
    until: DateTime<Utc>,
}

impl SigningKey {
    fn new(credentials: Credentials, place: &BucketPlace, now: DateTime<Utc>) -> Self {
        let secret = credentials.secret_access_key();
        let key = generate_signing_key(secret, now.into(), &place.region, &place.service);
        let key = key.as_ref().to_vec();
        let until = match credentials.expiry() {
            Some(expiry) => DateTime::from(expiry) - BEFORE_EXPIRY,
            None => now + UNTIL_ASKED_AGAIN,
        };
        Self { credentials, key, day: now.date_naive(), until }
    }
}

impl ReadySigner<'_> {
    /// The expiry of the credentials, and so of every URL, if it is known.
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        self.key.credentials.expiry()
    }

    /// The signed URL.
    pub(super) fn url(
        &self,
        request: &UnsignedRequest,
        start: DateTime<Utc>,
        expires_in: Duration,
    ) -> String {
        let (place, credentials) = (self.place, &self.key.credentials);
        let mut headers: Vec<(&str, &str)> = vec![("host", &place.host)];
        headers.extend(request.headers.iter().map(|(name, value)| (*name, value.as_str())));
        headers.sort_unstable();
        let signed_headers = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let time = start.format("%Y%m%dT%H%M%SZ").to_string();
        let scope = format!("{}/{}/{}/aws4_request", &time[..8], place.region, place.service);
        let credential = format!("{}/{scope}", credentials.access_key_id());
        let coded = |text: &str| percent::component(text);

        let query = request.query.iter().map(|(name, value)| (*name, coded(value)));
        let mut query: Vec<_> = query.collect();
        query.push(("X-Amz-Algorithm", ALGORITHM.to_owned()));
        query.push(("X-Amz-Credential", coded(&credential)));
        query.push(("X-Amz-Date", time.clone()));
        query.push(("X-Amz-Expires", expires_in.as_secs().to_string()));
        query.push(("X-Amz-SignedHeaders", coded(&signed_headers)));
        let token = credentials.session_token();
        let token = token.map(|token| ("X-Amz-Security-Token", coded(token)));
        let mut canonical: Vec<_> = query.iter().chain(&token).collect();
        canonical.sort_unstable();

        let mut url = format!("{}{}", place.url, percent::path(&request.object));
        let mut text = format!("{}\n{}\n", request.method, &url[place.path..]);
        join(&mut text, canonical);
        text.push('\n');
        for (name, value) in headers {
            text.extend([name, ":"]);
            words(&mut text, value);
            text.push('\n');
        }
        text.extend(["\n", &signed_headers, "\nUNSIGNED-PAYLOAD"]);
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", Hash::of(text.as_bytes()));
        query.push(("X-Amz-Signature", calculate_signature(&self.key.key, text.as_bytes())));
        url.push('?');
        join(&mut url, query.iter().chain(&token));
        url
    }
}

/// Parameters as a query; their values are coded already.
fn join<'a>(text: &mut String, query: impl IntoIterator<Item = &'a (&'static str, String)>) {
    for (nth, (name, value)) in query.into_iter().enumerate() {
        text.extend([if nth == 0 { "" } else { "&" }, name, "=", value]);
    }
}

/// A header's value with single spaces, and none at its ends.
fn words(text: &mut String, value: &str) {
    for (nth, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
        text.extend([if nth == 0 { "" } else { " " }, word]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::provider::future::ProvideCredentials as Provided;
    use chrono::TimeDelta;

    use super::*;

    /// A provider that names each of its credentials by their number.
    #[derive(Debug, Default)]
    struct Numbered {
        given: AtomicU32,
        lives: Option<TimeDelta>,
        hangs: bool,
    }

    impl ProvideCredentials for Numbered {
        fn provide_credentials<'a>(&'a self) -> Provided<'a>
        where
            Self: 'a,
        {
            let number = self.given.fetch_add(1, Ordering::Relaxed).to_string();
            let expiry = self.lives.map(|lives| SystemTime::from(start() + lives));
            let given = Credentials::new(number, "secret", None, expiry, "test");
            Provided::new(async move {
                if self.hangs { std::future::pending().await } else { Ok(given) }
            })
        }
    }

    /// Half an hour before the end of a day.
    fn start() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(23 * 60 + 30)
    }

    fn signer(provider: Numbered) -> UrlSigner {
        let config = aws_types::SdkConfig::builder()
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(provider))
            .build();
        UrlSigner::new(&Connection::from_config(&config, true), "files")
    }

    impl UrlSigner {
        /// The number of the credentials that sign after so many seconds.
        async fn signed_with(&self, after: i64) -> String {
            let ready = self.ready(start() + TimeDelta::seconds(after)).await.unwrap();
            ready.key.credentials.access_key_id().to_owned()
        }
    }

    #[tokio::test]
    async fn credentials_are_used_until_shortly_before_they_expire() {
        let signer =
            signer(Numbered { lives: Some(TimeDelta::seconds(600)), ..Numbered::default() });
        for (after, number) in [(0, "0"), (300, "0"), (589, "0"), (590, "1"), (591, "2")] {
            assert_eq!(signer.signed_with(after).await, number, "{after}");
        }
    }

    #[tokio::test]
    async fn those_without_an_expiry_are_requested_again_after_a_while_and_on_the_next_day() {
        let signer = signer(Numbered::default());
        for (after, number) in [(0, "0"), (899, "0"), (900, "1"), (1799, "1"), (1800, "2")] {
            assert_eq!(signer.signed_with(after).await, number, "{after}");
        }
    }

    #[tokio::test]
    async fn many_requests_ask_once() {
        let signer = signer(Numbered::default());
        let all = futures::future::join_all((0..16).map(|_| signer.signed_with(0))).await;
        assert!(all.iter().all(|number| number == "0"), "{all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_hangs_or_is_missing_is_an_error_of_the_moment() {
        let none = UrlSigner { credentials: None, ..signer(Numbered::default()) };
        for signer in [signer(Numbered { hangs: true, ..Numbered::default() }), none] {
            let refused = signer.ready(start()).await.err().unwrap();
            assert_eq!(refused.kind, StoreErrorKind::Unavailable);
        }
    }

    #[tokio::test]
    async fn a_bucket_that_is_signed_for_in_another_way_is_refused() {
        let signer = signer(Numbered::default());
        let everywhere = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap";
        let signer = UrlSigner { bucket: everywhere.to_owned(), ..signer };
        assert!(signer.ready(start()).await.is_err());
    }
}
