//! An issuer's public keys (RFC 7517), and the check of a signature: by `jsonwebtoken`, which does
//! nothing else here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::Error;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;

use super::judge::TokenFlaw;

/// Keys of an issuer. Issuers have two to five: the one in use, the next, and old ones.
const KEYS_MAX: usize = 64;
/// Bits of an RSA key at least.
const RSA_BITS_MIN: usize = 2_048;

/// An algorithm of signatures. Those with a shared secret are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenAlgorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl TokenAlgorithm {
    pub(super) const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.facts().0 == name)
    }

    /// The name, the type of its keys, their curve, and the algorithm for the check.
    fn facts(self) -> (&'static str, &'static str, Option<&'static str>, Algorithm) {
        match self {
            Self::Rs256 => ("RS256", "RSA", None, Algorithm::RS256),
            Self::Es256 => ("ES256", "EC", Some("P-256"), Algorithm::ES256),
            Self::EdDsa => ("EdDSA", "OKP", Some("Ed25519"), Algorithm::EdDSA),
        }
    }
}

/// The keys of an issuer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jwks(Vec<Jwk>);

#[derive(Debug, Clone, Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A key set is not one that this program can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwksError {
    #[error("the answer is not JSON of a key set")]
    Form,
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooMany,
}

impl Jwks {
    /// Reads a key set. Keys that it cannot read, or that have no name, are passed over: issuers
    /// add keys for purposes of others.
    pub(super) fn parse(json: &[u8]) -> Result<Self, JwksError> {
        #[derive(Deserialize)]
        struct Form {
            keys: Vec<Value>,
        }
        let form: Form = serde_json::from_slice(json).map_err(|_| JwksError::Form)?;
        if form.keys.len() > KEYS_MAX {
            return Err(JwksError::TooMany);
        }
        let keys = form.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(Self(keys.collect()))
    }

    pub(super) fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid == kid)
    }

    /// Checks the signature by the key of this name.
    pub(super) fn check(
        &self,
        (algorithm, kid): (TokenAlgorithm, &str),
        signed: &str,
        signature: &str,
    ) -> Result<(), TokenFlaw> {
        if !self.has(kid) {
            return Err(TokenFlaw::KeyUnknown);
        }
        let fits = |key: &&Jwk| key.kid == kid && key.is_for(algorithm);
        let key = self.0.iter().find(fits).ok_or(TokenFlaw::KeyUnfit)?;
        let key = key.decoding(algorithm).map_err(|_| TokenFlaw::KeyUnfit)?;
        let right = crypto::verify(signature, signed.as_bytes(), &key, algorithm.facts().3);
        if right.unwrap_or(false) { Ok(()) } else { Err(TokenFlaw::Signature) }
    }
}

impl Jwk {
    fn is_for(&self, algorithm: TokenAlgorithm) -> bool {
        let (name, kty, curve, _) = algorithm.facts();
        let long = || self.n.as_deref().is_some_and(|n| bits(n) >= RSA_BITS_MIN);
        self.kty == kty
            && curve.is_none_or(|curve| self.crv.as_deref() == Some(curve))
            && self.r#use.as_deref().is_none_or(|it| it == "sig")
            && self.key_ops.as_ref().is_none_or(|all| all.iter().any(|it| it == "verify"))
            && self.alg.as_deref().is_none_or(|alg| alg == name)
            && (algorithm != TokenAlgorithm::Rs256 || long())
    }

    /// A missing part is an empty one, which is no key.
    fn decoding(&self, algorithm: TokenAlgorithm) -> Result<DecodingKey, Error> {
        let part = |part: &'_ Option<String>| part.clone().unwrap_or_default();
        match algorithm {
            TokenAlgorithm::Rs256 => {
                DecodingKey::from_rsa_components(&part(&self.n), &part(&self.e))
            }
            TokenAlgorithm::Es256 => {
                DecodingKey::from_ec_components(&part(&self.x), &part(&self.y))
            }
            TokenAlgorithm::EdDsa => DecodingKey::from_ed_components(&part(&self.x)),
        }
    }
}

/// The bits of a number in base64url.
fn bits(number: &str) -> usize {
    let bytes = URL_SAFE_NO_PAD.decode(number).unwrap_or_default();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let zeros = bytes.get(first).map_or(0, |byte| byte.leading_zeros());
    ((bytes.len() - first) * 8).saturating_sub(zeros as usize)
}
