//! The clock and randomness, which are not behind a store's port.

use chrono::{DateTime, Utc};

/// Time and randomness. The program has one implementation; tests have a repeatable one.
pub trait Effects: Send + Sync {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;

    /// 128 unpredictable bits, for ids and jitter.
    fn random(&self) -> u128;

    /// 128 random bits for a name that is no secret, such as a request's. They may be from a batch
    /// that was made before.
    fn random_name(&self) -> u128 {
        self.random()
    }
}
