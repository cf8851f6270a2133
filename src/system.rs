//! The machine's clock and randomness: the only module where the program uses either.

use std::cell::RefCell;

use chrono::{DateTime, Utc};
use ledger::Effects;

/// The numbers that are made at once for names: a call of the system takes as long as several.
const BATCH: usize = 16;

thread_local! {
    static NAMES: RefCell<NameBatch> = const { RefCell::new(NameBatch::EMPTY) };
}

/// Random numbers for names. Secrets are not taken from here: what is in memory can be read, and a
/// copy of this machine has the same.
struct NameBatch {
    bytes: [u8; BATCH * size_of::<u128>()],
    left: usize,
}

impl NameBatch {
    const EMPTY: Self = Self { bytes: [0; BATCH * size_of::<u128>()], left: 0 };

    fn next(&mut self) -> u128 {
        if self.left == 0 {
            fill(&mut self.bytes);
            self.left = BATCH;
        }
        self.left -= 1;
        let (numbers, _) = self.bytes.as_chunks();
        u128::from_be_bytes(numbers[self.left])
    }
}

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
    fn random(&self) -> u128 {
        let mut bytes = [0; size_of::<u128>()];
        fill(&mut bytes);
        u128::from_be_bytes(bytes)
    }

    fn random_name(&self) -> u128 {
        NAMES.with_borrow_mut(NameBatch::next)
    }
}

#[allow(clippy::expect_used)] // see `SystemEffects::random`
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the machine gives no randomness");
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn names_are_different_over_batches_and_threads() {
        let names = || (0..3 * BATCH).map(|_| SystemEffects.random_name()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(names)).collect();
        let mut all: Vec<u128> = threads.into_iter().flat_map(|it| it.join().unwrap()).collect();
        all.extend(names());
        let different: HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), 5 * 3 * BATCH);
        assert!(all.iter().all(|name| *name != 0));
    }
}
