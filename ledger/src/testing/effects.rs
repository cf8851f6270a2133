//! A repeatable clock and repeatable randomness.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

use crate::effects::Effects;

/// Where the clock starts: some time after the first events that can exist.
const START: i64 = 1_795_420_800_000_000; // 2026-11-23T08:00:00Z in µs

/// Seeded randomness (SplitMix64): the same seed gives the same draws.
#[derive(Debug)]
pub struct Chance(AtomicU64);

impl Chance {
    /// Randomness that depends only on `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// 64 bits.
    pub fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 for a limit of 0.
    pub fn below(&self, limit: u64) -> u64 {
        self.draw() % limit.max(1)
    }

    /// True with a probability of `per_mille` in a thousand.
    pub fn happens(&self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of `choices`; `None` only if there are none.
    pub fn pick<'a, T>(&self, choices: &'a [T]) -> Option<&'a T> {
        let index = usize::try_from(self.below(choices.len() as u64)).ok()?;
        choices.get(index)
    }

    /// Shuffles `items`.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(last);
            items.swap(last, other);
        }
    }
}

/// [`Effects`] from a seed. The clock does not move until it is set or advanced.
#[derive(Debug)]
pub struct TestEffects {
    micros: AtomicI64,
    chance: Chance,
}

impl TestEffects {
    /// Effects that depend only on `seed`.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { micros: AtomicI64::new(START), chance: Chance::new(seed) }
    }

    /// Sets the clock.
    pub fn set(&self, at: DateTime<Utc>) {
        self.micros.store(at.timestamp_micros(), Ordering::Relaxed);
    }

    /// Advances the clock; a negative step sets it back.
    pub fn advance(&self, step: TimeDelta) {
        let micros = step.num_microseconds().unwrap_or(0);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Effects for TestEffects {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.micros.load(Ordering::Relaxed)).unwrap_or_default()
    }

    fn random(&self) -> u128 {
        u128::from(self.chance.draw()) << 64 | u128::from(self.chance.draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_all_there_is_to_chance() {
        let draws = |seed| {
            let chance = Chance::new(seed);
            std::array::from_fn::<_, 8, _>(|_| chance.draw())
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn the_clock_moves_only_when_it_is_moved_also_back() {
        let effects = TestEffects::seeded(1);
        let start = effects.now();
        assert_eq!(effects.now(), start);
        effects.advance(TimeDelta::seconds(-5));
        assert_eq!(effects.now(), start - TimeDelta::seconds(5));
        effects.set(start);
        assert_eq!(effects.now(), start);
    }
}
