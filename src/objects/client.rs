//! The connection to the bucket: timeouts, address style, and credentials.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Credentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation,
};

/// One attempt. The SDK has no limit of its own and would wait for a hung server forever.
const ATTEMPT: Duration = Duration::from_secs(1);
/// All attempts together, shorter than a caller of the API waits.
pub(super) const OPERATION: Duration = Duration::from_secs(4);

/// A connection to a bucket: for calls, and for signed URLs.
#[derive(Debug, Clone)]
pub struct Connection {
    pub(super) client: Client,
    pub(super) signer: Client,
    pub(super) credentials: Option<SharedCredentialsProvider>,
}

impl Connection {
    /// Uses the settings of the environment. `path_style` puts the bucket into the path, for
    /// endpoints without a host name for each bucket.
    #[must_use]
    pub fn from_config(shared: &SdkConfig, path_style: bool) -> Self {
        let builder = Builder::from(shared).force_path_style(path_style);
        Self::build(builder, shared.credentials_provider())
    }

    /// Connects to the local endpoint at `url`, with a key that never expires.
    #[must_use]
    pub fn local(url: &str, region: &str, access_key: &str, secret_key: &str) -> Self {
        let key = Credentials::new(access_key, secret_key, None, None, "data folder");
        let key = SharedCredentialsProvider::new(key);
        let builder = Builder::new()
            .region(Region::new(region.to_owned()))
            .endpoint_url(url)
            .force_path_style(true)
            .credentials_provider(key.clone());
        Self::build(builder, Some(key))
    }

    /// Signs URLs for `url`, if clients use another endpoint URL than this process.
    #[must_use]
    pub fn signing_for(mut self, url: &str) -> Self {
        self.signer =
            Client::from_conf(self.client.config().to_builder().endpoint_url(url).build());
        self
    }

    fn build(builder: Builder, credentials: Option<SharedCredentialsProvider>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(OPERATION)
            .operation_attempt_timeout(ATTEMPT)
            .build();
        let config = builder
            .behavior_version(BehaviorVersion::v2026_01_12())
            .timeout_config(timeouts)
            // Only the signer's parameters, without the SDK's additions for its own uploads.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let client = Client::from_conf(config);
        Self { signer: client.clone(), client, credentials }
    }
}
