//! Ed25519 keys in the encodings of signed notes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_compact::{KeyPair, PublicKey, Seed, Signature};

use crate::chain::Hash;

/// Bytes of a signature.
pub const SIGNATURE: usize = 64;
/// Bytes of a key's name: a host name with a path, or a word.
const NAME: usize = 128;
/// The encodings' code of Ed25519.
const ALGORITHM: u8 = 1;
/// The prefix of a secret key. It prevents confusion with a public one.
const SECRET: &str = "PRIVATE+KEY+";

/// A key to verify with: `<name>+<key id>+<base64>`. It is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

/// It signs: `PRIVATE+KEY+<name>+<key id>+<base64>`. Neither printed nor logged.
pub struct SecretKey {
    verifier: VerifierKey,
    pair: KeyPair,
    seed: [u8; 32],
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Notes show the name beside the signature.
    #[error("a key's name is 1 to {NAME} bytes without white space, control characters or '+'")]
    Name,
    /// A secret key instead of the public one.
    #[error("this is a secret key: give the public one, which does not begin with {SECRET}")]
    Secret,
    /// A public key instead of the secret one.
    #[error("a secret key begins with {SECRET}")]
    Public,
    /// Another text.
    #[error("a key is <name>+<8 hex digits>+<base64> of Ed25519, as `checkpoint keygen` makes it")]
    Form,
    /// The parts do not belong together.
    #[error("the key's id is not that of its name and bytes: it was damaged")]
    Id,
}

impl VerifierKey {
    /// The key of this name.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        let fits = (1..=NAME).contains(&name.len()) && !name.contains(odd);
        if fits { Ok(Self { name: name.to_owned(), public }) } else { Err(KeyError::Name) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Four bytes that distinguish keys of one name.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hashed = [self.name.as_bytes(), b"\n", &[ALGORITHM], &self.public].concat();
        let [a, b, c, d, ..] = *Hash::of(&hashed).bytes();
        [a, b, c, d]
    }

    /// Whether the holder of the secret key signed these bytes.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verify = |signature| PublicKey::new(self.public).verify(message, &signature);
        Signature::from_slice(signature).and_then(verify).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(self, &self.public))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(SECRET) {
            return Err(KeyError::Secret);
        }
        let (name, id, public) = decode(text)?;
        let key = Self::new(name, public)?;
        if key.id() == id { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl SecretKey {
    /// The key made from these bytes, which must be random.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let pair = KeyPair::from_seed(Seed::new(seed));
        Ok(Self { verifier: VerifierKey::new(name, *pair.pk)?, pair, seed })
    }

    /// The key to verify with.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The text to store in a file that only its owner can read.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{SECRET}{}", encode(&self.verifier, &self.seed))
    }

    /// Signs these bytes. Equal bytes get equal signatures.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE] {
        *self.pair.sk.sign(message, None)
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, seed) = decode(text.strip_prefix(SECRET).ok_or(KeyError::Public)?)?;
        let key = Self::new(name, seed)?;
        if key.verifier.id() == id { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

fn encode(key: &VerifierKey, bytes: &[u8; 32]) -> String {
    let bytes = STANDARD.encode([&[ALGORITHM], &bytes[..]].concat());
    format!("{}+{}+{bytes}", key.name, hex::encode(key.id()))
}

/// A name, a key id and 32 bytes. The base64 may itself hold a '+'.
fn decode(text: &str) -> Result<(&str, [u8; 4], [u8; 32]), KeyError> {
    let mut parts = text.splitn(3, '+');
    let mut part = || parts.next().ok_or(KeyError::Form);
    let (name, digits, bytes) = (part()?, part()?, part()?);
    let mut id = [0; 4];
    hex::decode_to_slice(digits, &mut id).map_err(|_| KeyError::Form)?;
    let bytes = STANDARD.decode(bytes).map_err(|_| KeyError::Form)?;
    match bytes.split_first() {
        Some((&ALGORITHM, key)) => Ok((name, id, key.try_into().map_err(|_| KeyError::Form)?)),
        _ => Err(KeyError::Form),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The keys in the documentation of Go's package `note`, which defines the form.
    pub(crate) const PETERS: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    pub(crate) const PETER: &str =
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn keys_are_spelt_as_go_spells_them() {
        let secret: SecretKey = PETERS.parse().unwrap();
        assert_eq!(secret.verifier().to_string(), PETER);
        assert_eq!(secret.reveal(), PETERS);
        assert_eq!(PETER.parse::<VerifierKey>().unwrap(), *secret.verifier());
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let signed = concat!(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        );
        let key = SecretKey::new("test", hex::decode(seed).unwrap().try_into().unwrap()).unwrap();
        assert_eq!(hex::encode(key.verifier().public), public);
        assert_eq!(hex::encode(key.sign(b"")), signed);
        assert!(key.verifier().verifies(b"", &hex::decode(signed).unwrap()));
        assert!(!key.verifier().verifies(b"x", &hex::decode(signed).unwrap()));
        assert!(!key.verifier().verifies(b"", b"short"));
    }

    #[test]
    fn what_is_no_key_is_told_apart() {
        let not = |text: &str| text.parse::<VerifierKey>().unwrap_err();
        assert_eq!(not(PETERS), KeyError::Secret);
        assert_eq!(PETER.parse::<SecretKey>().unwrap_err(), KeyError::Public);
        assert_eq!(not(&PETER.replace("c74f", "c74e")), KeyError::Id);
        assert_eq!(not(&PETER.replace("Peter", "Petra")), KeyError::Id);
        assert_eq!(not(&PETER.replace("+ARpc", "+BRpc")), KeyError::Form, "another algorithm");
        for text in ["", "a", "a+b", "a+c74f20a3+", "a+c74f20a3+AQ==", "a+zz+AQ=="] {
            assert_eq!(not(text), KeyError::Form, "{text}");
        }
        for name in ["", "two words", "a+b", "a\u{a0}b", &"n".repeat(129)] {
            assert_eq!(VerifierKey::new(name, [0; 32]), Err(KeyError::Name), "{name}");
        }
    }

    #[test]
    fn the_secret_is_not_printed() {
        let secret: SecretKey = PETERS.parse().unwrap();
        let shown = format!("{secret:?}");
        assert!(shown.contains("PeterNeumann") && !shown.contains("AYEKFALV"), "{shown}");
        assert!(!shown.contains(&format!("{:?}", secret.seed)));
    }
}
