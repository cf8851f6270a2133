//! The clients of AWS, all created once from one configuration, all with timeouts.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::StalledStreamProtectionConfig;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;

use crate::objects::Connection;

/// One attempt. The SDK has no limit of its own and would wait for a hung server forever.
const ATTEMPT: Duration = Duration::from_secs(1);
/// All attempts of an API call together: shorter than its caller waits.
pub const API_OPERATION: Duration = Duration::from_secs(4);
/// All attempts of a projector call together: no caller waits, and a failure costs a whole batch.
pub const PROJECTOR_OPERATION: Duration = Duration::from_secs(10);
/// The longest first wait after a failure; it doubles each time. The SDK's default of a second
/// suits slower services: a table is retried before the caller notices.
const FIRST_WAIT: Duration = Duration::from_millis(25);
/// Attempts of one call. The seven waits between them end after 3.2 seconds at the latest, within
/// the shortest operation, so a call survives a short throttling of its table.
const TRIES: u32 = 8;

/// The clients for the tables and the bucket.
#[derive(Debug, Clone)]
pub struct Clients {
    /// For the tables.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// For the bucket.
    pub objects: Connection,
}

impl Clients {
    /// Clients whose calls end, with or without an answer, after `operation`.
    #[must_use]
    pub fn new(shared: &SdkConfig, operation: Duration) -> Self {
        let tables = aws_sdk_dynamodb::config::Builder::from(shared)
            .behavior_version(behavior())
            .timeout_config(timeouts(operation))
            .retry_config(retries())
            .stalled_stream_protection(no_stream_protection())
            .build();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(tables),
            objects: Connection::from_config(shared, has_own_endpoint(shared)),
        }
    }

    /// Signs URLs for `url`, if clients use another S3 endpoint URL than this process.
    #[cfg(feature = "local")]
    #[must_use]
    pub fn signing_for(mut self, url: Option<&str>) -> Self {
        if let Some(url) = url {
            self.objects = self.objects.signing_for(url);
        }
        self
    }

    /// A client for the tables' streams.
    #[cfg(feature = "local")]
    #[must_use]
    pub fn streams(shared: &SdkConfig, operation: Duration) -> aws_sdk_dynamodbstreams::Client {
        let streams = aws_sdk_dynamodbstreams::config::Builder::from(shared)
            .behavior_version(behavior())
            .timeout_config(timeouts(operation))
            .retry_config(retries())
            .stalled_stream_protection(no_stream_protection());
        let streams = match streams_endpoint(shared) {
            Some(url) => streams.endpoint_url(url),
            None => streams,
        };
        aws_sdk_dynamodbstreams::Client::from_conf(streams.build())
    }
}

/// The configuration from the environment, by the rules of every AWS tool.
#[cfg(feature = "local")]
pub async fn sdk_config() -> SdkConfig {
    aws_config::load_defaults(behavior()).await
}

/// The configuration of a function.
#[cfg(any(feature = "lambda", test))]
pub(crate) async fn function_config() -> Result<SdkConfig, super::ConfigError> {
    super::lambda_env::given_config(behavior()).await
}

/// The SDK's defaults as of a date, so that an update does not change them.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

pub(super) fn timeouts(operation: Duration) -> TimeoutConfig {
    let one = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT);
    one.operation_timeout(operation).build()
}

/// A request and its answer are small, whole in memory, and end with the timeout of their attempt.
/// To measure the throughput of each body would only add to what a call costs.
fn no_stream_protection() -> StalledStreamProtectionConfig {
    StalledStreamProtectionConfig::disabled()
}

/// Set here, like the timeouts, and not by variables: a function builds its configuration itself,
/// so the SDK's variables would not be read.
pub(super) fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(TRIES).with_initial_backoff(FIRST_WAIT)
}

/// Whether S3 has an endpoint of its own: only AWS has a host name for each bucket.
fn has_own_endpoint(shared: &SdkConfig) -> bool {
    endpoint(shared, "s3").is_some() || shared.endpoint_url().is_some()
}

/// The endpoint of the streams, if only the tables' endpoint was set: an emulator serves both, and
/// its user does not intend the streams of AWS.
#[cfg(feature = "local")]
fn streams_endpoint(shared: &SdkConfig) -> Option<String> {
    let own = endpoint(shared, "dynamodb streams");
    let tables = || endpoint(shared, "dynamodb").filter(|url| !url.contains(".amazonaws.com"));
    own.or_else(tables)
}

/// The `AWS_ENDPOINT_URL_…` variable or the profile's endpoint of one service.
fn endpoint(shared: &SdkConfig, service: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service);
    let key = key.env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok()?;
    shared.service_config()?.load_config(key)
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_sdk_dynamodb::error::SdkError;
    use aws_types::service_config::LoadServiceConfig;
    use engine::{Engine, Fault};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::*;

    #[derive(Debug)]
    struct Only(&'static str);

    impl LoadServiceConfig for Only {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            (key.service_id() == self.0).then(|| "http://127.0.0.1:1".to_owned())
        }
    }

    #[test]
    fn a_bucket_elsewhere_than_on_aws_stands_in_the_path() {
        let aws = SdkConfig::builder().build();
        let everything = SdkConfig::builder().endpoint_url("http://127.0.0.1:1").build();
        let s3 = SdkConfig::builder().service_config(Only("s3")).build();
        let dynamodb = SdkConfig::builder().service_config(Only("dynamodb")).build();
        let all = [aws, everything, s3, dynamodb].map(|shared| has_own_endpoint(&shared));
        assert_eq!(all, [false, true, true, false]);
    }

    #[test]
    fn the_streams_are_where_an_emulated_table_is() {
        let own = |service| {
            let shared = SdkConfig::builder().service_config(Only(service)).build();
            streams_endpoint(&shared).is_some()
        };
        let all = ["dynamodb", "dynamodb streams", "s3"].map(own);
        assert_eq!(all, [true, true, false]);
    }

    fn shared() -> aws_types::sdk_config::Builder {
        SdkConfig::builder().region(aws_config::Region::from_static("eu-central-1"))
    }

    #[test]
    fn every_call_ends() {
        let clients = Clients::new(&shared().build(), PROJECTOR_OPERATION);
        let config = clients.dynamodb.config();
        let timeouts = config.timeout_config().unwrap();
        assert_eq!(timeouts.operation_attempt_timeout(), Some(ATTEMPT));
        assert_eq!(timeouts.operation_timeout(), Some(PROJECTOR_OPERATION));
        let streams = Clients::streams(&shared().build(), PROJECTOR_OPERATION);
        for retries in [config.retry_config(), streams.config().retry_config()] {
            let retries = retries.unwrap();
            assert_eq!((retries.max_attempts(), retries.initial_backoff()), (TRIES, FIRST_WAIT));
        }
        let waits: Duration = (0..TRIES - 1).map(|nth| FIRST_WAIT * (1 << nth)).sum();
        assert!(waits < API_OPERATION, "{waits:?}: the last tries would never be made");
    }

    /// Both timeouts include the body: no other guard of a stream is left.
    #[tokio::test]
    async fn a_call_whose_answer_never_ends_is_tried_again_and_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, mut attempts) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                let begun = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
                stream.write_all(begun).await.unwrap();
                asked.send(()).unwrap();
                open.push(stream);
            }
        });
        let key = SharedCredentialsProvider::new(Credentials::for_tests());
        let shared = shared().endpoint_url(url).credentials_provider(key).build();
        let call = Clients::new(&shared, ATTEMPT * 3).dynamodb.list_tables().send();
        let ended = tokio::time::timeout(ATTEMPT * 20, call).await.unwrap();
        assert!(matches!(ended, Err(SdkError::TimeoutError(_))), "{ended:?}");
        let attempts = std::iter::from_fn(|| attempts.try_recv().ok()).count();
        assert!(attempts >= 2, "{attempts}: an attempt did not end");
    }

    /// The SDK has several first waits, by error and by version: this is the one in use.
    #[tokio::test(start_paused = true)]
    async fn a_table_that_fails_for_a_moment_is_asked_again_at_once() {
        for fault in [Fault::THROTTLED, Fault::INTERNAL] {
            let engine = Engine::new();
            let key = Credentials::for_tests();
            let shared = shared()
                .credentials_provider(SharedCredentialsProvider::new(key))
                .http_client(engine.http_client());
            let mut failures = 2;
            engine.fail(move |_| {
                let fails = failures > 0;
                failures -= i32::from(fails);
                fails.then_some(fault)
            });
            let (clients, began) = (Clients::new(&shared.build(), API_OPERATION), Instant::now());
            clients.dynamodb.list_tables().send().await.unwrap();
            assert!(began.elapsed() <= FIRST_WAIT * 3, "{fault:?}: {:?}", began.elapsed());
        }
    }
}
