//! The AWS form: the same router, handler and runner on DynamoDB and S3. Here is what all of its
//! mains compose from; each main only says what runs.

#[cfg(any(feature = "local", feature = "lambda"))]
mod change;
#[cfg(feature = "local")]
mod checks;
mod clients;
mod config;
#[cfg(any(feature = "lambda", test))]
mod given;
#[cfg(feature = "local")]
pub mod migrate;
mod parts;
#[cfg(feature = "local")]
pub mod serve;
#[cfg(feature = "local")]
pub mod stream;
#[cfg(feature = "local")]
mod tables;

#[cfg(any(feature = "lambda", test))]
pub(crate) use change::JournalChange;
#[cfg(any(feature = "lambda", test))]
pub(crate) use clients::function_config;
#[cfg(feature = "local")]
pub use clients::sdk_config;
pub use clients::{API_OPERATION, Clients, PROJECTOR_OPERATION};
#[cfg(feature = "local")]
pub(crate) use config::{BUCKET, DEFAULT_SHARDS, JOURNAL_TABLE, SHARDS, TENANT, VIEWS_TABLE};
pub use config::{Config, ConfigError};
pub use parts::Deployment;
