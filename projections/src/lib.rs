//! The read side of asset-ledger: the current state of each asset, folded from the journal.
//!
//! Everything here can be deleted and rebuilt. A row is an [`Asset`] written whole, and only if it
//! is newer than the stored row, so any process may project any asset at any time.
//!
//! [`Asset`]: ledger::asset::Asset

pub mod audit;
pub mod current;
pub mod feed;
pub mod follower;
pub mod generations;
mod measure;
pub mod position;
pub mod quarantine;
pub mod reader;
pub mod replay;
pub mod row;
pub mod rows;
pub mod runner;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod totals;
pub mod views;

pub use current::CurrentGeneration;
pub use feed::Feed;
pub use follower::JournalFollower;
pub use generations::{Generation, Generations};
pub use position::Positions;
pub use quarantine::ContradictedAssets;
pub use reader::Reader;
pub use replay::Replay;
pub use rows::Rows;
pub use runner::Runner;
pub use totals::TotalsReader;
pub use views::Views;
