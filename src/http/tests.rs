//! The contract as clients see it: what the whole router answers.

mod codes;
mod contract;
mod failures;
mod hostile;
mod logs;
mod random;
mod socket;
mod wire;
pub(crate) mod world;
