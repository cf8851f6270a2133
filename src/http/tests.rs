//! The contract for clients: the answers of the whole router.

mod access;
mod codes;
mod contract;
mod failures;
mod hostile;
mod key_repeats;
mod logs;
mod own_only;
mod random;
mod repeats;
mod socket;
mod tenants;
mod upload_tokens;
mod urls;
mod wire;
pub(crate) mod world;
