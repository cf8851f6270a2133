//! The entry points of asset-ledger: command line, HTTP API, S3 endpoint and functions.

pub mod aws;
#[cfg(feature = "local")]
pub mod backup;
pub mod bucket;
mod checks;
#[cfg(feature = "local")]
pub mod cli;
#[cfg(feature = "local")]
mod cors;
#[cfg(feature = "local")]
pub mod export;
pub mod http;
pub mod jwt;
#[cfg(any(feature = "lambda", test))]
pub mod lambda;
#[cfg(feature = "local")]
pub mod local;
mod logging;
#[cfg(feature = "local")]
pub mod object_audit;
pub mod objects;
mod percent;
#[cfg(feature = "local")]
mod plural;
pub mod presign;
#[cfg(feature = "local")]
mod prometheus;
#[cfg(feature = "local")]
pub mod s3;
pub mod scheduled;
#[cfg(feature = "local")]
mod server;
pub mod system;
