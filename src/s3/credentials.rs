//! The one access key of a data folder: created at random on first use and stored with the bytes,
//! so that a URL signed before a restart is still valid.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::{fmt, process};

use ledger::Effects;
use ledger::error::{StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};

const FILE: &str = "credentials.json";
/// Only the owner can read or write it.
const MODE: u32 = 0o600;

/// An access key and its secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// The id of the key; part of every signed URL.
    pub access_key: String,
    /// The secret for signatures. Never logged, never part of an answer.
    pub secret_key: String,
}

impl Credentials {
    /// Reads the key of `dir`, or creates one, readable by the owner only.
    ///
    /// # Errors
    /// `Unavailable` if the file cannot be read or written, `Corrupt` if it is not a key, or one
    /// with an empty name or secret.
    pub fn load_or_create(dir: &Path, effects: &dyn Effects) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let failed = |error| {
            StoreError::caused(StoreErrorKind::Unavailable, path.display().to_string(), error)
        };
        match fs::read(&path) {
            Ok(bytes) => {
                fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).map_err(failed)?;
                parse(&path, &bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let fresh = Self::random(effects);
                match fresh.keep(dir, &path).map_err(failed)? {
                    KeyFile::Ours(key) => Ok(key),
                    KeyFile::Anothers(bytes) => parse(&path, &bytes),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn random(effects: &dyn Effects) -> Self {
        let secret = format!("{:032x}{:032x}", effects.random(), effects.random());
        Self { access_key: format!("AL{:018X}", effects.random() >> 56), secret_key: secret }
    }

    /// Atomic, and the first of two concurrent writers wins: the other one reads its key.
    fn keep(self, dir: &Path, path: &Path) -> io::Result<KeyFile> {
        let draft = dir.join(format!("{FILE}.{}", process::id()));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&draft)?;
        file.write_all(&serde_json::to_vec_pretty(&self)?)?;
        file.sync_all()?;
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::read(path).map(KeyFile::Anothers)
            }
            other => other.and_then(|()| File::open(dir)?.sync_all()).map(|()| KeyFile::Ours(self)),
        }
    }
}

/// The result of writing a key file: the new key, or the one that was there.
enum KeyFile {
    Ours(Credentials),
    Anothers(Vec<u8>),
}

/// Reads a stored key. A key with an empty secret would let any client sign.
fn parse(path: &Path, bytes: &[u8]) -> Result<Credentials, StoreError> {
    let broken = || format!("{} is not a key", path.display());
    let key: Credentials = serde_json::from_slice(bytes)
        .map_err(|error| StoreError::caused(StoreErrorKind::Corrupt, broken(), error))?;
    for (field, value) in [("access_key", &key.access_key), ("secret_key", &key.secret_key)] {
        if value.trim().is_empty() {
            return Err(StoreError::new(
                StoreErrorKind::Corrupt,
                format!("{}: {field} is empty", broken()),
            ));
        }
    }
    Ok(key)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::testing::Fixed;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Credentials::load_or_create(dir.path(), &Fixed::default()).unwrap();
        let again = Credentials::load_or_create(dir.path(), &Fixed::default()).unwrap();
        assert_eq!(first, again);
        assert_eq!((first.access_key.len(), first.secret_key.len()), (20, 64));
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn the_secret_is_not_printed() {
        let dir = tempfile::tempdir().unwrap();
        let key = Credentials::load_or_create(dir.path(), &Fixed::default()).unwrap();
        assert!(!format!("{key:?}").contains(&key.secret_key));
    }

    #[test]
    fn a_key_with_an_empty_secret_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (access, secret) in [("AL", ""), ("", "secret"), ("AL", "  ")] {
            let key = format!(r#"{{"access_key":"{access}","secret_key":"{secret}"}}"#);
            fs::write(dir.path().join(FILE), &key).unwrap();
            let refused = Credentials::load_or_create(dir.path(), &Fixed::default()).unwrap_err();
            assert_eq!(refused.kind, StoreErrorKind::Corrupt, "{key}");
            assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), key.as_bytes());
        }
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{").unwrap();
        let error = Credentials::load_or_create(dir.path(), &Fixed::default()).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt);
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"{");
    }
}
