//! Pauses between failed attempts: each is twice the previous one, up to a maximum.

use std::time::Duration;

/// The maximum number of doublings: no pause exceeds 2^16 times the first.
const DOUBLINGS: u32 = 16;

/// The pauses between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses from `first` to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The pause after this many earlier pauses.
    #[must_use]
    pub fn pause(self, earlier: u32) -> Duration {
        self.first.saturating_mul(1 << earlier.min(DOUBLINGS)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_mins(1));
        let pauses = [0, 1, 2, 9, 10, 40, u32::MAX].map(|n| backoff.pause(n).as_millis());
        assert_eq!(pauses, [100, 200, 400, 51_200, 60_000, 60_000, 60_000]);
    }
}
