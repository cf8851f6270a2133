//! Heads that are stored elsewhere: they detect what a chain alone cannot.
//!
//! No later event confirms an asset's last event. So a chain still verifies if its tail was cut off
//! or it was rewritten as a whole, and a removed asset leaves no trace. The stored [`Head`] of each
//! asset detects all three. A [`Checkpoint`] commits to all heads in three lines, a [`Note`] signs
//! it, and a [`InclusionProof`] proves that one head is among them.
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
