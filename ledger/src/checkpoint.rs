//! Heads kept elsewhere: what a chain alone cannot show.
//!
//! An asset's last event is vouched for by nothing that comes after it, so a tail that was cut off,
//! an asset that was removed, and a history that was written anew as a whole, all verify. Whoever
//! kept the [`Head`] of each asset finds them. A [`Checkpoint`] stands for all heads in three
//! lines, a [`Note`] signs it, and a [`InclusionProof`] shows one head to be among them.
//!
//! The forms are public ones: the tree is that of RFC 6962, the others are signed-note,
//! tlog-checkpoint and tlog-proof of C2SP.

mod head;
mod key;
pub mod merkle;
mod note;
mod proof;

pub use head::{Head, HeadError, HeadOrderError, SortedHeads};
pub use key::{KeyError, SIGNATURE, SecretKey, VerifierKey};
pub use note::{Checkpoint, NOTE, Note, NoteError, SignatureError};
pub use proof::{InclusionProof, PROOF, ProofError, ProofFormError};
