//! API keys as clients hold them: `alk_<tenant>_<id>_<secret><checksum>`.
//!
//! The tenant is in the key, so no index of keys is needed. The checksum tells a mistyped key from
//! a refused one without a read, and lets scanners of source code recognise keys. A secret has 256
//! random bits, so its SHA-256 needs no salt and no slow hash.

use std::fmt;
use std::hint::black_box;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::chain::Hash;
use crate::effects::Effects;
use crate::id::Tenant;

/// What every key begins with.
const PREFIX: &str = "alk";
/// Hex digits of a key's id.
const ID: usize = 16;
/// Hex digits of the secret.
const SECRET: usize = 64;
/// Hex digits of the checksum.
const CHECKSUM: usize = 8;

/// A key's public name: 16 lower-case hex digits, random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "&str")]
pub struct KeyId(u64);

/// The text is no key's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's id is 16 lower-case hex digits")]
pub struct KeyIdError;

impl KeyId {
    /// A new id.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Self(random)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let digits = is_hex(text, ID);
        let id = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        id.map(Self).ok_or(KeyIdError)
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.to_string()
    }
}

impl TryFrom<&str> for KeyId {
    type Error = KeyIdError;

    fn try_from(text: &str) -> Result<Self, KeyIdError> {
        text.parse()
    }
}

/// An API key. It has no `Display`, and its `Debug` form leaves the secret out.
#[derive(Clone)]
pub struct ApiKey {
    /// The tenant.
    pub tenant: Tenant,
    /// The key's id.
    pub id: KeyId,
    text: String,
}

/// Why a text is no API key. It never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeyError {
    /// It has another beginning.
    #[error("an API key begins with alk_")]
    Prefix,
    /// It has another number of parts.
    #[error("an API key has four parts with '_' between them: alk, tenant, id, secret")]
    Parts,
    /// The second part is no tenant.
    #[error("the tenant of an API key is 1 to 32 of a-z, 0-9 and '-'")]
    Tenant,
    /// The third part is no id.
    #[error("the id of an API key is 16 lower-case hex digits")]
    Id,
    /// The last part is no secret with its checksum.
    #[error("the last part of an API key is 72 lower-case hex digits")]
    Secret,
    /// The checksum is of another text.
    #[error("the checksum of the API key does not fit: it was mistyped or cut")]
    Checksum,
}

impl ApiKey {
    /// What every key begins with, and no JWT does.
    pub const PREFIX: &str = "alk_";

    /// A new key of `tenant`.
    #[must_use]
    pub fn new(tenant: Tenant, id: KeyId, effects: &dyn Effects) -> Self {
        let (one, two) = (effects.random(), effects.random());
        let body = format!("{PREFIX}_{tenant}_{id}_{one:032x}{two:032x}");
        let text = format!("{body}{:08x}", crc_32(body.as_bytes()));
        Self { tenant, id, text }
    }

    /// The whole key with its secret, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The bytes of the secret.
    pub(super) fn secret(&self) -> [u8; SECRET / 2] {
        let mut bytes = [0; SECRET / 2];
        let digits = &self.text[self.text.len() - SECRET - CHECKSUM..][..SECRET];
        // The form was checked: these are hex digits.
        let _ = hex::decode_to_slice(digits, &mut bytes);
        bytes
    }

    /// The SHA-256 of the whole key, which is what is stored of it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(self.text.as_bytes())
    }

    /// Whether `stored` is the hash of this key. The time does not depend on where they differ.
    #[must_use]
    pub fn is(&self, stored: &Hash) -> bool {
        let own = self.hash();
        let pairs = own.bytes().iter().zip(stored.bytes());
        black_box(pairs.fold(0, |difference, (a, b)| black_box(difference | (a ^ b)))) == 0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({PREFIX}_{}_{}_…)", self.tenant, self.id)
    }
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let mut parts = text.split('_');
        if parts.next() != Some(PREFIX) {
            return Err(ApiKeyError::Prefix);
        }
        let (Some(tenant), Some(id), Some(last), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(ApiKeyError::Parts);
        };
        let tenant = tenant.parse().map_err(|_| ApiKeyError::Tenant)?;
        let id = id.parse().map_err(|_| ApiKeyError::Id)?;
        if !is_hex(last, SECRET + CHECKSUM) {
            return Err(ApiKeyError::Secret);
        }
        let (body, checksum) = text.split_at(text.len() - CHECKSUM);
        if checksum != format!("{:08x}", crc_32(body.as_bytes())) {
            return Err(ApiKeyError::Checksum);
        }
        Ok(Self { tenant, id, text: text.to_owned() })
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == length && text.bytes().all(digit)
}

/// CRC-32 as in zip, gzip and PNG (ISO 3309).
fn crc_32(bytes: &[u8]) -> u32 {
    let shifted = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    let taken = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shifted(crc));
    !bytes.iter().fold(!0, taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestEffects;
    use proptest::prelude::*;

    fn key(tenant: &str) -> ApiKey {
        let effects = TestEffects::seeded(7);
        ApiKey::new(tenant.parse().unwrap(), KeyId::new(0xab), &effects)
    }

    #[test]
    fn a_checksum_is_that_of_zip() {
        assert_eq!(crc_32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_key_reads_back_and_is_its_own_hash_only() {
        for tenant in ["main", "a", "a-b", "-", &"x".repeat(32)] {
            let made = key(tenant);
            let text = made.reveal();
            assert!(text.starts_with(&format!("alk_{tenant}_00000000000000ab_")), "{text}");
            let read: ApiKey = text.parse().unwrap();
            assert_eq!((&read.tenant, read.id, read.reveal()), (&made.tenant, made.id, text));
            assert!(read.is(&Hash::of(text.as_bytes())));
            assert!(!read.is(&Hash::of(&text.as_bytes()[1..])) && !read.is(&Hash::ZERO));
        }
    }

    #[test]
    fn what_is_no_key_is_told_why_and_not_repeated() {
        use ApiKeyError as E;
        let good = key("main").reveal().to_owned();
        let cases = [
            (String::new(), E::Prefix),
            ("Bearer".into(), E::Prefix),
            (good.replacen("alk_", "ALK_", 1), E::Prefix),
            (format!(" {good}"), E::Prefix),
            ("alk_main".into(), E::Parts),
            (format!("{good}_x"), E::Parts),
            (good.replacen("main", "Main", 1), E::Tenant),
            (good.replacen("main", "", 1), E::Tenant),
            (good.replacen("_00", "_0", 1), E::Id),
            (good.replacen("ab_", "AB_", 1), E::Id),
            (good[..good.len() - 1].into(), E::Secret),
            (format!("{good}0"), E::Secret),
            (format!("{good}\n"), E::Secret),
            (good.replacen("main", "mail", 1), E::Checksum),
        ];
        for (text, why) in cases {
            assert_eq!(text.parse::<ApiKey>().unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn the_debug_form_has_no_secret() {
        let key = key("main");
        let shown = format!("{key:?} {key:#?}");
        let secret = key.reveal().rsplit('_').next().unwrap();
        assert!(shown.contains("alk_main_00000000000000ab") && !shown.contains(&secret[..8]));
    }

    proptest! {
        #[test]
        fn a_changed_character_is_never_a_key(at in 0..101_usize, digit in "[0-9a-f]") {
            let good = key("main").reveal().to_owned();
            prop_assert_eq!(good.len(), 98);
            let mut other = good.clone();
            let at = at % good.len();
            other.replace_range(at..=at, &digit);
            prop_assert!(other == good || other.parse::<ApiKey>().is_err());
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "(alk_)?.{0,120}") {
            let _ = text.parse::<ApiKey>();
        }
    }
}
