//! The connection to the bucket: timeouts, address style, and credentials.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::{
    ProvideCredentials, SharedCredentialsProvider, future::ProvideCredentials as Provided,
};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation,
};

/// One attempt. The SDK has no limit of its own and would wait for a hung server forever.
const ATTEMPT: Duration = Duration::from_secs(1);
/// All attempts together, shorter than a caller of the API waits.
const OPERATION: Duration = Duration::from_secs(4);

/// A connection to a bucket: for calls, and for signed URLs.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) client: Client,
    pub(super) signer: Client,
    pub(super) lifetime: Lifetime,
}

impl Connection {
    /// Uses the settings of the environment. `path_style` puts the bucket into the path, for
    /// endpoints without a host name for each bucket.
    #[must_use]
    pub fn from_config(shared: &SdkConfig, path_style: bool) -> Self {
        let lifetime = Lifetime { inner: shared.credentials_provider(), expiry: Arc::default() };
        Self::build(Builder::from(shared).force_path_style(path_style), lifetime)
    }

    /// Connects to the local endpoint at `url`, with a key that never expires.
    #[must_use]
    pub fn local(url: &str, region: &str, access_key: &str, secret_key: &str) -> Self {
        let key = Credentials::new(access_key, secret_key, None, None, "data folder");
        let inner = Some(SharedCredentialsProvider::new(key));
        let builder = Builder::new()
            .region(Region::new(region.to_owned()))
            .endpoint_url(url)
            .force_path_style(true);
        Self::build(builder, Lifetime { inner, expiry: Arc::default() })
    }

    /// Signs URLs for `url`, if clients use another endpoint URL than this process.
    #[must_use]
    pub fn signing_for(mut self, url: &str) -> Self {
        self.signer =
            Client::from_conf(self.client.config().to_builder().endpoint_url(url).build());
        self
    }

    fn build(builder: Builder, lifetime: Lifetime) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(OPERATION)
            .operation_attempt_timeout(ATTEMPT)
            .build();
        let config = builder
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(lifetime.clone())
            .timeout_config(timeouts)
            // Only the signer's parameters, without the SDK's additions for its own uploads.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let client = Client::from_conf(config);
        Self { signer: client.clone(), client, lifetime }
    }
}

/// A credentials provider that remembers the expiry of the last credentials: a URL is valid no
/// longer than the credentials that signed it.
#[derive(Debug, Clone)]
pub(super) struct Lifetime {
    inner: Option<SharedCredentialsProvider>,
    expiry: Arc<Mutex<Option<SystemTime>>>,
}

impl Lifetime {
    pub(super) fn expiry(&self) -> Option<SystemTime> {
        *self.expiry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProvideCredentials for Lifetime {
    fn provide_credentials<'a>(&'a self) -> Provided<'a>
    where
        Self: 'a,
    {
        use aws_credential_types::provider::error::CredentialsError;
        Provided::new(async move {
            let inner = self.inner.as_ref();
            let inner = inner.ok_or_else(|| CredentialsError::not_loaded("no credentials"))?;
            let given = inner.provide_credentials().await?;
            *self.expiry.lock().unwrap_or_else(PoisonError::into_inner) = given.expiry();
            Ok(given)
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.inner.as_ref()?.fallback_on_interrupt()
    }
}
