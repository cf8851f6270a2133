//! The clock and chance: the only things the ledger takes from the world without asking a port.

use chrono::{DateTime, Utc};

/// Time and randomness. The program has one implementation; tests have one that repeats itself.
pub trait Effects: Send + Sync {
    /// The time now.
    fn now(&self) -> DateTime<Utc>;

    /// 128 bits nobody can guess, for ids and jitter.
    fn random(&self) -> u128;
}
