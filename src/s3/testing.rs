//! A clock and randomness for this module's tests.

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};
use ledger::Effects;

/// A clock that moves only when it is set, and randomness from a counter.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    state: Mutex<(TimeDelta, u128)>,
}

impl Fixed {
    pub(super) fn pass(&self, time: TimeDelta) {
        self.state.lock().unwrap().0 += time;
    }
}

impl Effects for Fixed {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + self.state.lock().unwrap().0
    }

    fn random(&self) -> u128 {
        let count = &mut self.state.lock().unwrap().1;
        *count += 1;
        // Spread over all 128 bits, so that every part of it differs.
        count.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
    }
}
