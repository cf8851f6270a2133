//! The journal's adapters.

mod dynamodb;
#[cfg(feature = "sqlite")]
mod link;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use dynamodb::DynamoJournal;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteJournal;
