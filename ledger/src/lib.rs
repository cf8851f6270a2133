//! The source of truth of asset-ledger: the events of each asset, with their actors and proofs.
//!
//! The domain ([`asset`], [`audit`], [`chain`], [`history`], [`record`]) is pure and synchronous.
//! Two ports surround it, [`journal`] (the events) and [`objects`] (the bytes). The [`service`]
//! executes commands through both.

pub mod absences;
pub mod access;
pub mod asset;
pub mod audit;
pub mod backoff;
pub mod chain;
pub mod checkpoint;
pub mod command_label;
pub mod effects;
pub mod error;
pub mod history;
pub mod id;
pub mod idempotency;
pub mod journal;
pub mod key_uses;
pub mod objects;
pub mod quarantine;
pub mod record;
pub mod reservations;
pub mod service;
pub mod signer;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod url_log;

pub use backoff::Backoff;
pub use effects::Effects;
pub use error::StoreError;
