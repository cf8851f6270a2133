//! The clients of AWS, all made once from one configuration, none of which waits for ever.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;

use crate::objects::Connection;

/// One try. The SDK has no limit of its own: a hung server would be waited on for ever.
const ATTEMPT: Duration = Duration::from_secs(1);
/// All tries together for an API: shorter than its caller waits.
pub const API_OPERATION: Duration = Duration::from_secs(4);
/// All tries together for a projector: nobody waits for it, and giving up costs a whole batch.
pub const PROJECTOR_OPERATION: Duration = Duration::from_secs(10);
/// The longest first wait after a failure; it doubles with each. The SDK's second is for services
/// that take as long to answer: a table is asked again before its caller notices.
const FIRST_WAIT: Duration = Duration::from_millis(25);
/// Tries of one call. The seven waits between them end after 3.2 seconds at the latest, within the
/// shortest operation: a table that is throttled for a moment is waited for.
const TRIES: u32 = 8;

/// The ways to the tables and to the bucket.
#[derive(Debug, Clone)]
pub struct Clients {
    /// To the tables.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// To the bucket.
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
            .build();
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(tables),
            objects: Connection::from_config(shared, has_own_endpoint(shared)),
        }
    }

    /// URLs signed for `url`, where clients see S3 under another name than this process.
    #[cfg(feature = "local")]
    #[must_use]
    pub fn signing_for(mut self, url: Option<&str>) -> Self {
        if let Some(url) = url {
            self.objects = self.objects.signing_for(url);
        }
        self
    }

    /// A client to the tables' streams.
    #[cfg(feature = "local")]
    #[must_use]
    pub fn streams(shared: &SdkConfig, operation: Duration) -> aws_sdk_dynamodbstreams::Client {
        let streams = aws_sdk_dynamodbstreams::config::Builder::from(shared)
            .behavior_version(behavior())
            .timeout_config(timeouts(operation))
            .retry_config(retries());
        let streams = match streams_endpoint(shared) {
            Some(url) => streams.endpoint_url(url),
            None => streams,
        };
        aws_sdk_dynamodbstreams::Client::from_conf(streams.build())
    }
}

/// The configuration of the environment, by the rules of every AWS tool.
#[cfg(feature = "local")]
pub async fn sdk_config() -> SdkConfig {
    aws_config::load_defaults(behavior()).await
}

/// The configuration of a function.
#[cfg(any(feature = "lambda", test))]
pub(crate) async fn function_config() -> Result<SdkConfig, super::ConfigError> {
    super::lambda_env::given_config(behavior()).await
}

/// What the SDK does where nobody says, as of a date: an update changes nothing by itself.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

pub(super) fn timeouts(operation: Duration) -> TimeoutConfig {
    let one = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT);
    one.operation_timeout(operation).build()
}

/// Said here, as the timeouts are, and not in the environment: a function's configuration is made
/// by hand, so none of the SDK's variables would be read.
pub(super) fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(TRIES).with_initial_backoff(FIRST_WAIT)
}

/// Whether S3 is somebody else's: only AWS has a name for each bucket.
fn has_own_endpoint(shared: &SdkConfig) -> bool {
    endpoint(shared, "s3").is_some() || shared.endpoint_url().is_some()
}

/// Where the streams are, if only the tables' place was said: an emulator has both in one, and
/// nobody who named it means the streams of AWS.
#[cfg(feature = "local")]
fn streams_endpoint(shared: &SdkConfig) -> Option<String> {
    let own = endpoint(shared, "dynamodb streams");
    let tables = || endpoint(shared, "dynamodb").filter(|url| !url.contains(".amazonaws.com"));
    own.or_else(tables)
}

/// What `AWS_ENDPOINT_URL_…` or the profile says of one service.
fn endpoint(shared: &SdkConfig, service: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service);
    let key = key.env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok()?;
    shared.service_config()?.load_config(key)
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_types::service_config::LoadServiceConfig;
    use engine::{Engine, Fault};
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

    /// The SDK knows several first waits, by error and by version: this is the one that it takes.
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
