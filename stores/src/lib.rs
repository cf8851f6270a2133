//! The adapters of asset-ledger: the ports of `ledger` and `projections` on SQLite and on DynamoDB.
//! The adapters in memory are with their ports: they need only the standard library, and the core's
//! own tests use them.
//!
//! This crate has no rules about assets or rows.

pub mod dynamodb;
pub mod journal;
mod lanes;
pub mod rows;
#[cfg(feature = "sqlite")]
pub mod sqlite;

pub use journal::DynamoJournal;
#[cfg(feature = "sqlite")]
pub use journal::SqliteJournal;
pub use lanes::DynamoLanes;
pub use rows::DynamoViews;
#[cfg(feature = "sqlite")]
pub use rows::SqliteViews;
