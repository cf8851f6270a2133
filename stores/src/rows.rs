//! The adapters of the read table: rows, generations, positions and notes about missing versions.

mod dynamodb;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use dynamodb::DynamoViews;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteViews;
