//! The adapters of asset-ledger: what the ports of `ledger` and `projections` are on SQLite and on
//! DynamoDB. The adapters in memory stand beside their ports: they need nothing but the standard
//! library, and the core's own tests use them.
//!
//! Nothing in here decides anything about assets or rows.

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
