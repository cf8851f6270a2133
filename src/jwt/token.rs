//! A token's three parts (RFC 7515, compact form), before anything is believed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::judge::TokenFlaw;
use super::jwk::TokenAlgorithm;
use super::trust::TrustedIssuer;

/// Parameters of a header that change what is signed, or bring their own key.
const FORBIDDEN: [&str; 4] = ["crit", "jku", "jwk", "x5u"];

/// A token as it came.
pub(super) struct Token<'a> {
    header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// The bytes that are signed.
    pub(super) signed: &'a str,
    /// The signature, in base64url.
    pub(super) signature: &'a str,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, TokenFlaw> {
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenFlaw::Form)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenFlaw::Form)?;
        let (header, claims) = (object(header)?, object(claims)?);
        Ok(Self { header, claims, signed, signature })
    }

    /// The issuer that it names; unverified.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The algorithm and the key's id, if the header is one that the issuer's tokens may have.
    pub(super) fn signed_by(
        &self,
        trust: &TrustedIssuer,
    ) -> Result<(TokenAlgorithm, &str), TokenFlaw> {
        let algorithm = self.algorithm()?;
        if !trust.algorithms.contains(&algorithm) {
            return Err(TokenFlaw::Algorithm);
        }
        if let Some(typ) = &trust.typ {
            let given = self.header.get("typ").and_then(Value::as_str).unwrap_or_default();
            if !short(given).eq_ignore_ascii_case(short(typ)) {
                return Err(TokenFlaw::Type);
            }
        }
        let kid = self.header.get("kid").and_then(Value::as_str).ok_or(TokenFlaw::KeyUnnamed)?;
        Ok((algorithm, kid))
    }

    /// The algorithm, if this program knows it and nothing in the header is forbidden.
    pub(super) fn algorithm(&self) -> Result<TokenAlgorithm, TokenFlaw> {
        if FORBIDDEN.iter().any(|name| self.header.contains_key(*name)) {
            return Err(TokenFlaw::Header);
        }
        let name = self.header.get("alg").and_then(Value::as_str);
        name.and_then(TokenAlgorithm::named).ok_or(TokenFlaw::Algorithm)
    }
}

/// A media type without `application/`, as RFC 7515 spells it in `typ`.
fn short(typ: &str) -> &str {
    let prefix = "application/";
    let has = typ.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if has { &typ[prefix.len()..] } else { typ }
}

fn object(part: &str) -> Result<Map<String, Value>, TokenFlaw> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFlaw::Form)?;
    let read: Result<UniqueMap, _> = serde_json::from_slice(&bytes);
    read.map(|it| it.0).map_err(|_| TokenFlaw::Form)
}

/// A JSON object that has no name twice: two readers of one could differ in what they believe.
struct UniqueMap(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = UniqueMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<UniqueMap, A::Error> {
                let mut map = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if map.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name twice"));
                    }
                }
                Ok(UniqueMap(map))
            }
        }
        deserializer.deserialize_map(Unique)
    }
}
