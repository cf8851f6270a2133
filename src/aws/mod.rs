//! The AWS form: the same router, handler and runner on DynamoDB and S3. The mains compose their
//! parts from this module and only choose what runs.

mod auth;
#[cfg(any(feature = "local", feature = "lambda"))]
mod change;
#[cfg(feature = "local")]
mod checks;
mod clients;
mod config;
mod deployment;
#[cfg(any(feature = "lambda", test))]
mod lambda_env;
#[cfg(feature = "local")]
pub mod migrate;
#[cfg(feature = "local")]
pub mod serve;
#[cfg(feature = "local")]
pub mod stream;
#[cfg(feature = "local")]
mod tables;

#[cfg(any(feature = "lambda", test))]
pub(crate) use auth::auth_of_function;
#[cfg(feature = "local")]
pub(crate) use auth::{AUTH, AUTH_CONFIG};
#[cfg(any(feature = "lambda", test))]
pub(crate) use change::JournalChange;
#[cfg(any(feature = "lambda", test))]
pub(crate) use clients::function_config;
#[cfg(feature = "local")]
pub use clients::sdk_config;
pub use clients::{API_OPERATION, Clients, PROJECTOR_OPERATION};
#[cfg(feature = "local")]
pub(crate) use config::{
    BUCKET, DEFAULT_SHARDS, FEED_RETENTION, JOURNAL_TABLE, SHARDS, TENANT, VIEWS_TABLE,
    parse_retention,
};
pub use config::{Config, ConfigError};
pub use deployment::Deployment;
