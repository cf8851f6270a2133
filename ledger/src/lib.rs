//! The truth of asset-ledger: what happened to each asset, who did it, and the proof.
//!
//! The domain ([`asset`], [`audit`], [`chain`], [`history`], [`record`]) is pure and synchronous.
//! Around it stand two ports, [`journal`] (the events) and [`objects`] (the bytes), and the
//! [`service`] that carries commands from the one to the other.

pub mod absences;
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
pub mod journal;
pub mod objects;
pub mod quarantine;
pub mod record;
pub mod service;
pub mod signer;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;

pub use backoff::Backoff;
pub use effects::Effects;
pub use error::StoreError;
