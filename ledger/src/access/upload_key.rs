//! The Ed25519 keys of upload tokens. The holder of an API key derives the secret half from the
//! secret of the API key, so nothing else has to be kept. The ledger keeps the public half.

use std::fmt;

use ed25519_compact::{KeyPair, PublicKey, Seed, Signature};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Bytes of a signature.
pub(super) const SIGNATURE: usize = 64;
/// What the derived key is for.
const INFO: &[u8] = b"asset-ledger upload token v1";

/// The secret half. It has no `Debug` form.
pub(super) struct UploadKey(KeyPair);

/// The public half: 64 lower-case hex digits. It is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "&str")]
pub struct UploadPublicKey([u8; 32]);

impl UploadKey {
    /// The key derived from the secret of an API key.
    pub(super) fn derived(secret: &[u8; 32]) -> Self {
        Self(KeyPair::from_seed(Seed::new(hkdf_sha256(secret, INFO))))
    }

    /// The public half.
    pub(super) fn public(&self) -> UploadPublicKey {
        UploadPublicKey(*self.0.pk)
    }

    /// Signs these bytes. Equal bytes get equal signatures.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE] {
        *self.0.sk.sign(message, None)
    }
}

impl UploadPublicKey {
    /// Whether the holder of the secret half signed these bytes.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; SIGNATURE]) -> bool {
        PublicKey::new(self.0).verify(message, &Signature::new(*signature)).is_ok()
    }
}

impl fmt::Display for UploadPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl From<UploadPublicKey> for String {
    fn from(key: UploadPublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<&str> for UploadPublicKey {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Self, &'static str> {
        let mut bytes = [0; 32];
        let read = hex::decode_to_slice(text, &mut bytes).is_ok();
        let key = Self(bytes);
        let canonical = read && key.to_string() == text;
        if canonical { Ok(key) } else { Err("not a public key in 64 lower-case hex digits") }
    }
}

/// The first 32 bytes of HKDF-SHA-256 (RFC 5869) without a salt.
fn hkdf_sha256(secret: &[u8], info: &[u8]) -> [u8; 32] {
    let extracted = hmac_sha256(&[0; 32], &[secret]);
    hmac_sha256(&extracted, &[info, &[1]])
}

fn hmac_sha256(key: &[u8; 32], message: &[&[u8]]) -> [u8; 32] {
    // A shorter key is padded with zeros to a block.
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in message {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivation_is_that_of_rfc_5869() {
        // Test case 3: no salt, no info.
        let derived = hkdf_sha256(&[0x0b; 22], b"");
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        assert_eq!(hex::encode(derived), expected);
        assert_ne!(hkdf_sha256(&[0x0b; 22], b"x"), derived);
    }

    #[test]
    fn a_public_key_has_one_spelling() {
        let key = UploadKey::derived(&[7; 32]).public();
        let text = key.to_string();
        assert_eq!(UploadPublicKey::try_from(text.as_str()), Ok(key));
        for other in [text.to_uppercase(), text[1..].to_owned(), format!("{text}00")] {
            assert!(UploadPublicKey::try_from(other.as_str()).is_err(), "{other}");
        }
    }
}
