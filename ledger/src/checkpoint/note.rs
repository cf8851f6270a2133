//! A text with signatures below it, and the three lines that commit to a whole ledger.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::key::{SIGNATURE, VerifierKey};
use crate::chain::Hash;

/// Bytes of a note with its signatures: those of many witnesses fit.
pub const NOTE: usize = 64 * 1024;
/// Signatures that are read of a note.
const SIGNATURES: usize = 100;
/// The prefix of the line with the number of assets left out.
const LEFT_OUT: &str = "left-out ";
/// The prefix of a signature's line.
const DASH: &str = "— ";

/// A commitment to the heads of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger: the name of the key that signs.
    pub origin: String,
    /// The number of heads, of assets and named streams.
    pub size: u64,
    /// Their Merkle root.
    pub root: Hash,
    /// Assets and named streams left out, because their histories did not verify.
    pub left_out: u64,
}

/// A text with signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// Why a text is not a signed checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is too long.
    #[error("a note is at most {NOTE} bytes")]
    Long,
    /// No signatures, or other lines among them.
    #[error("a signed note is a text, an empty line, and lines that begin with '{DASH}'")]
    Form,
    /// The text is no checkpoint.
    #[error("the text of a checkpoint is its origin, a number and a root in base64, a line each")]
    Checkpoint,
}

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Other keys signed it, maybe of the same name.
    #[error("it is not signed by {key}, but by {signers}: was another key meant?")]
    Stranger {
        /// The expected signer.
        key: String,
        /// The signers.
        signers: String,
    },
    /// The signature is for another text or key.
    #[error("the signature of {0} does not fit: the note was altered, or the key is another one")]
    Forged(String),
    /// The right key signed it, for another ledger.
    #[error("it is a checkpoint of {origin:?}, and the key is that of {key:?}")]
    Origin {
        /// The note's name.
        origin: String,
        /// The key's name.
        key: String,
    },
    /// Not a checkpoint.
    #[error(transparent)]
    Form(#[from] NoteError),
}

impl Checkpoint {
    /// The signed text.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { origin, size, root, left_out } = self;
        let root = STANDARD.encode(root.bytes());
        let also = if *left_out > 0 { format!("{LEFT_OUT}{left_out}\n") } else { String::new() };
        format!("{origin}\n{size}\n{root}\n{also}")
    }

    /// Reads the text. Lines after the third are extensions: this program's gives the number of
    /// assets left out.
    pub fn read(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(NoteError::Checkpoint);
        let (origin, size, root) = (line()?.to_owned(), line()?, line()?);
        let root: [u8; 32] = STANDARD
            .decode(root)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(NoteError::Checkpoint)?;
        let number: u64 = size.parse().map_err(|_| NoteError::Checkpoint)?;
        let one_spelling = number.to_string() == size;
        let left_out = lines.find_map(|line| line.strip_prefix(LEFT_OUT)?.parse().ok());
        let left_out = left_out.unwrap_or_default();
        let read = Self { origin, size: number, root: Hash::from(root), left_out };
        if one_spelling { Ok(read) } else { Err(NoteError::Checkpoint) }
    }
}

impl Note {
    /// A checkpoint with the key's signature over its text.
    #[must_use]
    pub fn signed(of: &Checkpoint, key: &VerifierKey, signature: [u8; SIGNATURE]) -> Self {
        let signature =
            Signature { name: key.name().to_owned(), id: key.id(), bytes: signature.to_vec() };
        Self { text: of.text(), signatures: vec![signature] }
    }

    /// The checkpoint, if this key signed it and it names this ledger.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, SignatureError> {
        let by_key = |it: &&Signature| it.name == key.name() && it.id == key.id();
        let signature = self.signatures.iter().find(by_key).ok_or_else(|| self.stranger(key))?;
        if !key.verifies(self.text.as_bytes(), &signature.bytes) {
            return Err(SignatureError::Forged(key.name().to_owned()));
        }
        let checkpoint = Checkpoint::read(&self.text)?;
        if checkpoint.origin != key.name() {
            let (origin, key) = (checkpoint.origin, key.name().to_owned());
            return Err(SignatureError::Origin { origin, key });
        }
        Ok(checkpoint)
    }

    /// The checkpoint without a check of its signatures.
    pub fn unverified(&self) -> Result<Checkpoint, NoteError> {
        Checkpoint::read(&self.text)
    }

    fn stranger(&self, key: &VerifierKey) -> SignatureError {
        let shown = |name: &str, id: [u8; 4]| format!("{name}+{}", hex::encode(id));
        let signers: Vec<_> = self.signatures.iter().map(|it| shown(&it.name, it.id)).collect();
        SignatureError::Stranger { key: shown(key.name(), key.id()), signers: signers.join(", ") }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|Signature { name, id, bytes }| {
            writeln!(f, "{DASH}{name} {}", STANDARD.encode([&id[..], bytes].concat()))
        })
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE {
            return Err(NoteError::Long);
        }
        // The last empty line: the text before it may contain others.
        let end = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, signatures) = (&note[..=end], &note[end + 2..]);
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Form)?;
        let read: Option<Vec<_>> =
            signatures.split('\n').take(SIGNATURES + 1).map(Signature::read).collect();
        let odd = text.chars().any(|c| c.is_control() && c != '\n');
        let signatures = read.filter(|it| it.len() <= SIGNATURES && !odd).ok_or(NoteError::Form)?;
        Ok(Self { text: text.to_owned(), signatures })
    }
}

impl Signature {
    fn read(line: &str) -> Option<Self> {
        let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = STANDARD.decode(bytes).ok()?;
        let (id, bytes) = bytes.split_first_chunk()?;
        let whole = !name.is_empty() && !bytes.is_empty();
        whole.then(|| Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::{PETER, PETERS};
    use super::super::{SecretKey, merkle};
    use super::*;

    /// The note in the documentation of Go's package `note`.
    const QUOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2p\
        ZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn signed(key: &SecretKey, origin: &str) -> Note {
        let root = merkle::leaf(b"head");
        let checkpoint = Checkpoint { origin: origin.to_owned(), size: 1, root, left_out: 0 };
        Note::signed(&checkpoint, key.verifier(), key.sign(checkpoint.text().as_bytes()))
    }

    #[test]
    fn a_note_is_signed_and_verified_as_go_does_it() {
        let note: Note = QUOTE.parse().unwrap();
        assert_eq!(note.to_string(), QUOTE);
        let (secret, key): (SecretKey, VerifierKey) =
            (PETERS.parse().unwrap(), PETER.parse().unwrap());
        assert_eq!(note.signatures[0].bytes, secret.sign(note.text.as_bytes()));
        // The signature is right, but the text is no checkpoint.
        assert_eq!(note.verify(&key), Err(SignatureError::Form(NoteError::Checkpoint)));
    }

    #[test]
    fn a_signed_checkpoint_is_believed_by_its_key_alone() {
        let key: SecretKey = PETERS.parse().unwrap();
        let note = signed(&key, "PeterNeumann");
        let read: Note = note.to_string().parse().unwrap();
        assert_eq!(read, note);
        assert_eq!(read.verify(key.verifier()).unwrap().size, 1);
        let namesake = SecretKey::new("PeterNeumann", [7; 32]).unwrap();
        let told = read.verify(namesake.verifier()).unwrap_err();
        assert!(matches!(told, SignatureError::Stranger { .. }), "{told}");
        let altered = note.to_string().replacen("\n1\n", "\n2\n", 1).parse::<Note>().unwrap();
        assert_eq!(
            altered.verify(key.verifier()),
            Err(SignatureError::Forged("PeterNeumann".into()))
        );
        let elsewhere = signed(&key, "another ledger").verify(key.verifier()).unwrap_err();
        assert!(matches!(elsewhere, SignatureError::Origin { .. }), "{elsewhere}");
    }

    #[test]
    fn what_is_no_signed_checkpoint_is_refused() {
        let whole = signed(&PETERS.parse().unwrap(), "PeterNeumann").to_string();
        for bad in [
            "",
            "\n\n",
            &whole[..whole.len() - 1],
            &whole.replace("\n\n", "\n"),
            &whole.replace("— ", "- "),
            &whole.replace("— PeterNeumann ", "— "),
            &format!("{whole}\n"),
            &format!("{whole}more\n"),
            &whole.replacen('P', "\r", 1),
            &"x".repeat(NOTE + 1),
        ] {
            assert!(bad.parse::<Note>().is_err(), "{bad}");
        }
        for bad in ["", "a\n1\n", "a\n01\nAA==\n", "a\n-1\nAA==\n", "a\n1\nAA==\n", "\n1\nx\n"] {
            assert_eq!(Checkpoint::read(bad), Err(NoteError::Checkpoint), "{bad}");
        }
    }
}
