//! The configuration from a function's variables only: region, credentials, endpoints.
//!
//! Lambda gives each process credentials for its lifetime. The default search of AWS tools, in
//! profiles, on the network, by roles, would add start time and some 150 KB of unused code to each
//! function.

use aws_config::environment::{
    EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider,
};
use aws_config::meta::region::ProvideRegion;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::config::{ConfigError, variable};

/// The configuration from the variables.
pub(crate) async fn given_config(behavior: BehaviorVersion) -> Result<SdkConfig, ConfigError> {
    let region = EnvironmentVariableRegionProvider::new().region().await;
    let credentials = EnvironmentVariableCredentialsProvider::new().provide_credentials().await;
    let credentials = credentials.map_err(|_| ConfigError::Missing("AWS_ACCESS_KEY_ID"))?;
    let fips = variable("AWS_USE_FIPS_ENDPOINT").is_some_and(|value| value == "true");
    let config = SdkConfig::builder()
        .behavior_version(behavior)
        .region(region.ok_or(ConfigError::Missing("AWS_REGION"))?)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .service_config(EndpointVariables(variable))
        .use_fips(fips);
    Ok(config.build())
}

/// The variables that name endpoints other than those of AWS.
#[derive(Debug)]
struct EndpointVariables(fn(&str) -> Option<String>);

impl LoadServiceConfig for EndpointVariables {
    /// The endpoint of one service, such as `AWS_ENDPOINT_URL_S3`, before that of all services.
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        self.0(&format!("{}_{service}", key.env())).or_else(|| self.0(key.env()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(service: &'static str, variables: fn(&str) -> Option<String>) -> Option<String> {
        let key = ServiceConfigKey::builder().service_id(service);
        let key = key.env("AWS_ENDPOINT_URL").profile("endpoint_url").build().unwrap();
        EndpointVariables(variables).load_config(key)
    }

    #[test]
    fn a_services_own_endpoint_goes_before_that_of_all() {
        let both = |name: &str| match name {
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS" => Some("its own".to_owned()),
            "AWS_ENDPOINT_URL" => Some("of all".to_owned()),
            _ => None,
        };
        assert_eq!(look("DynamoDB Streams", both).as_deref(), Some("its own"));
        assert_eq!(look("S3", both).as_deref(), Some("of all"));
        assert_eq!(look("S3", |_| None), None);
    }
}
