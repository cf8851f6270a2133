//! The contract for clients: the answers of the whole router.

mod access;
mod codes;
mod contract;
mod failures;
mod hostile;
mod logs;
mod own_only;
mod random;
mod repeats;
mod socket;
mod wire;
pub(crate) mod world;
