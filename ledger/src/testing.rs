//! Conformance suites for adapters of the ports, and test doubles for the simulation. They are
//! compiled only with the feature `testing`, which no production build enables.
//!
//! Randomness, the clock, lost replies and latency all come from a seed: a failed run can be
//! repeated.

pub mod absences;
pub mod effects;
pub mod faults;
pub mod journal;
pub mod key_uses;
mod memory_journal;
pub mod neighbours;
pub mod objects;
pub mod reservations;
mod service;
pub mod streams;

pub use effects::{Chance, TestEffects};
pub use faults::{FaultInjector, FaultPlan, Faults, Faulty, InjectedFault, persist};
pub use memory_journal::MemoryJournal;
pub use objects::MemoryBucket;
