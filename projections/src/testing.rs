//! What shows that a read table keeps its port's contract, and doubles for tests and the
//! simulation. Compiled with the feature `testing` only, which no production build turns on.

mod faulty;
mod feed;
pub mod following;
mod generations;
mod lanes;
mod parking;
mod positions;
mod story;
mod unread;
mod views;

pub use faulty::{FaultyViews, InjectedFault};
pub use feed::{Happening, Laned, feed, walk};
pub use generations::generations;
pub use lanes::lanes;
pub use positions::positions;
pub use story::{Clock, Story};
pub use unread::unreadable_rows;
pub use views::conformance;

use std::fmt::Debug;

use ledger::StoreError;
use ledger::error::StoreErrorKind;

/// Failures in a row after which a store is taken to be broken and not just faulty.
const TRIES: usize = 64;

/// Repeats a call until it is answered, as every caller of a port must be able to. Also says
/// whether the first try was: after one that failed, the effect may have been there already.
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
