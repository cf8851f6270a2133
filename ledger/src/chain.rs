//! The hash chain: an event's id is the SHA-256 of its stored bytes, and each event contains the id
//! of the previous event.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "&str")]
pub struct Hash([u8; 32]);

impl Hash {
    /// The `prev` of an asset's first event.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of data that was read in pieces.
    #[must_use]
    pub fn finished(sha256: Sha256) -> Self {
        Self(sha256.finalize().into())
    }

    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes themselves.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 in 64 lower-case hex digits")]
pub struct HashError;

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| HashError)?;
        let (mut bytes, mut seen) = ([0; 32], 0);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(|digit| DIGITS[usize::from(digit)]);
            seen |= high | low;
            *byte = high << 4 | low;
        }
        if seen < 16 { Ok(Self(bytes)) } else { Err(HashError) }
    }
}

/// The value of each lower-case hex digit; [`u8::MAX`] for every other byte.
const DIGITS: [u8; 256] = {
    let (mut values, mut value) = ([u8::MAX; 256], 0);
    while value < 16 {
        values[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    values
};

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<&str> for Hash {
    type Error = HashError;

    fn try_from(text: &str) -> Result<Self, HashError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_sha256sum_prints() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Hash::of(b"abc").to_string(), abc);
        assert_eq!(abc.parse(), Ok(Hash::of(b"abc")));
        assert_eq!(Hash::ZERO.to_string(), "0".repeat(64));
        assert_eq!(abc.to_uppercase().parse::<Hash>(), Err(HashError));
        assert_eq!(abc[1..].parse::<Hash>(), Err(HashError));
        assert_eq!(Hash::ZERO.to_string().parse(), Ok(Hash::ZERO));
        for (at, digit) in (0..64).flat_map(|at| (0..128).map(move |digit| (at, char::from(digit))))
        {
            let mut text = abc.to_owned();
            text.replace_range(at..=at, &digit.to_string());
            let is_hash = matches!(digit, '0'..='9' | 'a'..='f');
            let read = text.parse::<Hash>().ok().map(|hash| hash.to_string());
            assert_eq!(read, is_hash.then_some(text));
        }
        assert_eq!("é".repeat(32).parse::<Hash>(), Err(HashError));
    }
}
