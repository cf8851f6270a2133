//! What shows that an adapter keeps its port's contract, and doubles for the simulation. Compiled
//! with the feature `testing` only, which no production build turns on.
//!
//! Chance, the clock, lost replies and latency all come from a seed: a run that failed can be run
//! again.

pub mod absences;
pub mod effects;
pub mod faults;
pub mod journal;
pub mod objects;

pub use effects::{Chance, TestEffects};
pub use faults::{Faults, FaultyJournal, persist};
pub use objects::MemoryBucket;
