//! The port to a signer of checkpoints: a key in a file, or a service that keeps the key.

use async_trait::async_trait;

use crate::checkpoint::{Checkpoint, Note, SIGNATURE, SecretKey, VerifierKey};
use crate::error::{StoreError, StoreErrorKind};

/// Signs statements of a ledger.
///
/// # Contract
/// * `sign` returns an Ed25519 signature over exactly these bytes, by the key that `verifier`
///   names.
/// * The secret key is neither returned nor logged.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The key that verifies its signatures.
    fn verifier(&self) -> &VerifierKey;

    /// Signs these bytes.
    async fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE], StoreError>;
}

#[async_trait]
impl Signer for SecretKey {
    fn verifier(&self) -> &VerifierKey {
        self.verifier()
    }

    async fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE], StoreError> {
        Ok(self.sign(message))
    }
}

/// Signs a checkpoint and verifies the signature. Otherwise a service that is configured with
/// another key would be detected only when a checkpoint is needed.
pub async fn sign(signer: &dyn Signer, checkpoint: &Checkpoint) -> Result<Note, StoreError> {
    let signature = signer.sign(checkpoint.text().as_bytes()).await?;
    let note = Note::signed(checkpoint, signer.verifier(), signature);
    let unfit = |e| {
        StoreError::caused(StoreErrorKind::Misconfigured, "the signer's signature does not fit", e)
    };
    note.verify(signer.verifier()).map_err(unfit)?;
    Ok(note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Hash;

    /// A service whose key is not the one that it names.
    struct Confused(SecretKey, VerifierKey);

    #[async_trait]
    impl Signer for Confused {
        fn verifier(&self) -> &VerifierKey {
            &self.1
        }

        async fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE], StoreError> {
            Ok(self.0.sign(message))
        }
    }

    fn key(seed: u8) -> SecretKey {
        SecretKey::new("files", [seed; 32]).unwrap()
    }

    #[tokio::test]
    async fn a_signature_is_looked_at_before_it_is_given_out() {
        let root = Hash::of(b"");
        let checkpoint = Checkpoint { origin: "files".to_owned(), size: 0, root, left_out: 0 };
        let note = sign(&key(1), &checkpoint).await.unwrap();
        assert_eq!(note.verify(key(1).verifier()), Ok(checkpoint.clone()));
        let confused = Confused(key(1), key(2).verifier().clone());
        let refused = sign(&confused, &checkpoint).await.unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Misconfigured);
    }
}
