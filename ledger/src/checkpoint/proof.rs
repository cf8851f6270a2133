//! A proof that one head is in a checkpoint: a text that is verified with the key alone.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::head::{Head, HeadError};
use super::key::VerifierKey;
use super::merkle::{self, HEIGHT};
use super::note::{Checkpoint, NOTE, Note, NoteError, SignatureError};
use crate::chain::Hash;

/// Bytes of a proof: a head, a path and a note.
pub const PROOF: usize = NOTE + 8 * 1024;
/// A proof's first line.
const FORM: &str = "c2sp.org/tlog-proof@v1";

/// The path from a head to a signed root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    line: String,
    index: u64,
    path: Vec<Hash>,
    note: Note,
}

/// Why a text is not a proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofFormError {
    /// Too long, too short, or another text.
    #[error("a proof begins with {FORM:?}, then says the head, its index and hashes, and the note")]
    Form,
    /// The head is unreadable.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The note is unreadable.
    #[error("its note cannot be read")]
    Note(#[from] NoteError),
}

/// Why a proof is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The checkpoint is refused.
    #[error("its checkpoint is not believed")]
    Unsigned(#[from] SignatureError),
    /// The path ends elsewhere.
    #[error("the head is not among the {size} of the checkpoint: the proof was altered")]
    Elsewhere {
        /// Heads in the checkpoint.
        size: u64,
    },
    /// The head is unreadable.
    #[error(transparent)]
    Head(#[from] HeadError),
}

impl InclusionProof {
    /// The proof of the head at `index`, with its line, among the heads of `leaves`.
    #[must_use]
    pub fn new(line: String, index: usize, leaves: &[Hash], note: Note) -> Self {
        Self { line, index: index as u64, path: merkle::path(leaves, index), note }
    }

    /// The proven head and its checkpoint, if this key signed that.
    pub fn verify(&self, key: &VerifierKey) -> Result<(Head, Checkpoint), ProofError> {
        let checkpoint = self.note.verify(key)?;
        let leaf = merkle::leaf(self.line.as_bytes());
        let root = merkle::climb(leaf, self.index, checkpoint.size, &self.path);
        if root != Some(checkpoint.root) {
            return Err(ProofError::Elsewhere { size: checkpoint.size });
        }
        Ok((Head::read(&self.line)?, checkpoint))
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, index, path, note } = self;
        writeln!(f, "{FORM}\nextra {}\nindex {index}", STANDARD.encode(line))?;
        path.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.bytes())))?;
        write!(f, "\n{note}")
    }
}

impl FromStr for InclusionProof {
    type Err = ProofFormError;

    fn from_str(text: &str) -> Result<Self, ProofFormError> {
        let (way, note) = text.split_once("\n\n").ok_or(ProofFormError::Form)?;
        if text.len() > PROOF || way.len() > PROOF - NOTE {
            return Err(ProofFormError::Form);
        }
        let (line, index, path) = way_of(way).ok_or(ProofFormError::Form)?;
        Head::read(&line)?;
        Ok(Self { line, index, path, note: note.parse()? })
    }
}

fn way_of(text: &str) -> Option<(String, u64, Vec<Hash>)> {
    let mut lines = text.split('\n');
    lines.next().filter(|line| *line == FORM)?;
    let line = STANDARD.decode(lines.next()?.strip_prefix("extra ")?).ok()?;
    let digits = lines.next()?.strip_prefix("index ")?;
    let index: u64 = digits.parse().ok().filter(|index: &u64| index.to_string() == digits)?;
    let hash = |line| <[u8; 32]>::try_from(STANDARD.decode(line).ok()?).ok().map(Hash::from);
    let path: Vec<Hash> = lines.map(hash).collect::<Option<_>>()?;
    let line = String::from_utf8(line).ok().filter(|_| path.len() <= HEIGHT)?;
    Some((line, index, path))
}

#[cfg(test)]
mod tests {
    use super::super::{SecretKey, SortedHeads};
    use super::*;
    use crate::id::{AssetId, PartitionKey, StreamId};
    use chrono::DateTime;

    fn heads(count: u128) -> Vec<String> {
        let head = |number| Head {
            key: PartitionKey {
                tenant: "main".parse().unwrap(),
                stream: StreamId::Asset(AssetId::new(DateTime::UNIX_EPOCH, number)),
            },
            version: 1,
            hash: Hash::of(b"event"),
        };
        (1..=count).map(|number| head(number).line().unwrap()).collect()
    }

    fn proofs(count: u128, key: &SecretKey) -> Vec<InclusionProof> {
        let (lines, mut rising) = (heads(count), SortedHeads::default());
        for line in &lines {
            rising.push(&Head::read(line).unwrap(), line).unwrap();
        }
        let checkpoint = rising.checkpoint(key.verifier().name());
        let signature = key.sign(checkpoint.text().as_bytes());
        let note = Note::signed(&checkpoint, key.verifier(), signature);
        let leaves: Vec<_> = lines.iter().map(|line| merkle::leaf(line.as_bytes())).collect();
        let proof = |(index, line): (usize, &String)| {
            InclusionProof::new(line.clone(), index, &leaves, note.clone())
        };
        lines.iter().enumerate().map(proof).collect()
    }

    #[test]
    fn every_head_of_a_checkpoint_is_proven_by_its_own_proof() {
        let key = SecretKey::new("ledger.example/files", [1; 32]).unwrap();
        for count in [1_u32, 2, 7, 8, 33] {
            for (proof, line) in proofs(count.into(), &key).iter().zip(heads(count.into())) {
                let read: InclusionProof = proof.to_string().parse().unwrap();
                assert_eq!(read, *proof);
                let (head, checkpoint) = read.verify(key.verifier()).unwrap();
                assert_eq!((head.line().unwrap(), checkpoint.size), (line, count.into()));
            }
        }
    }

    #[test]
    fn a_proof_with_another_head_index_path_or_key_proves_nothing() {
        let key = SecretKey::new("ledger.example/files", [1; 32]).unwrap();
        let all = proofs(7, &key);
        let other = SecretKey::new("ledger.example/files", [2; 32]).unwrap();
        assert!(matches!(all[0].verify(other.verifier()), Err(ProofError::Unsigned(_))));
        for altered in [
            InclusionProof { line: all[1].line.clone(), ..all[0].clone() },
            InclusionProof { index: 1, ..all[0].clone() },
            InclusionProof { path: all[1].path.clone(), ..all[0].clone() },
            InclusionProof { path: Vec::new(), ..all[0].clone() },
        ] {
            assert!(matches!(altered.verify(key.verifier()), Err(ProofError::Elsewhere { .. })));
        }
    }

    #[test]
    fn no_flipped_byte_of_a_proof_goes_unnoticed() {
        let key = SecretKey::new("ledger.example/files", [1; 32]).unwrap();
        let whole = proofs(7, &key).swap_remove(3);
        let text = whole.to_string().into_bytes();
        for at in 0..text.len() {
            let mut altered = text.clone();
            altered[at] ^= 1;
            let read = String::from_utf8(altered).ok().and_then(|text| text.parse().ok());
            let believed = read.is_some_and(|it: InclusionProof| it.verify(key.verifier()).is_ok());
            assert!(!believed, "the byte at {at}: {:?}", text[at] as char);
        }
    }
}
