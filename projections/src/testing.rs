//! Conformance suites for read tables, and test doubles for tests and the simulation. They are
//! compiled only with the feature `testing`, which no production build enables.

mod faulty;
mod feed;
pub mod following;
mod generations;
mod lanes;
mod memory_lanes;
mod memory_views;
mod neighbours;
mod parking;
mod positions;
mod story;
mod totals;
mod unread;
mod views;

pub use feed::{Happening, Laned, feed, walk};
pub use generations::generations;
pub use lanes::lanes;
pub use memory_lanes::MemoryLanes;
pub use memory_views::MemoryViews;
pub use neighbours::{Interleaved, Neighbours};
pub use positions::positions;
pub use story::{Clock, Story};
pub use totals::{totals, usage};
pub use unread::unreadable_rows;
pub use views::conformance;

use std::fmt::Debug;

use ledger::StoreError;
use ledger::error::StoreErrorKind;

/// Consecutive failures after which a store is considered broken and not only faulty.
const TRIES: usize = 64;

/// Repeats a call until it succeeds, as every caller of a port must be able to. Also returns
/// whether the first attempt succeeded: a failed one may have taken effect.
async fn settle<T: Debug>(call: impl AsyncFn() -> Result<T, StoreError>) -> (T, bool) {
    let mut tries = 0;
    loop {
        match call().await {
            Ok(answer) => return (answer, tries == 0),
            Err(error) => {
                tries += 1;
                assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error:?}");
                assert!(tries < TRIES, "{error:?}");
            }
        }
    }
}
