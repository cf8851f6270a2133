//! The machine's clock and randomness: the only module where the program uses either.

use chrono::{DateTime, Utc};
use ledger::Effects;

/// The machine's clock and its source of randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEffects;

impl Effects for SystemEffects {
    #[allow(clippy::disallowed_methods)] // the one implementation that the rule points to
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// # Panics
    /// If the machine has no randomness: without it ids and signatures could be guessed.
    #[allow(clippy::expect_used)]
    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the machine gives no randomness");
        u128::from_be_bytes(bytes)
    }
}
