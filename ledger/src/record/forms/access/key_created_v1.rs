//! `key_created`, schema 1: a key and its scopes, and the key that it replaces.

use serde::{Deserialize, Serialize};

use super::StoredForm;
use crate::access::{AccessEvent, KEY_NAME_MAX, KeyCreated, KeyId, Replacement, Scopes};
use crate::asset::InvalidField;
use crate::chain::Hash;
use crate::record::forms::stored_time::StoredTime;
use crate::record::limits::{check_end, check_text};

/// Scopes of a key: more than there are.
const SCOPES_MAX: usize = 16;
/// Bytes of a scope's name.
const SCOPE_MAX: usize = 32;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyCreatedV1 {
    id: KeyId,
    name: String,
    /// Their names are open: a newer program may know more.
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<StoredTime>,
    secret_hash: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<ReplacementV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplacementV1 {
    id: KeyId,
    ends_at: StoredTime,
}

impl StoredForm for KeyCreatedV1 {
    const KIND: &'static str = "key_created";
    const SCHEMA: u32 = 1;

    fn within_limits(&self) -> Result<(), InvalidField> {
        check_key(&self.name, &self.scopes, self.expires_at, self.replaces.as_ref())
    }
}

/// Whether the fields of a key are within their limits.
pub(super) fn check_key(
    name: &str,
    scopes: &[String],
    expires_at: Option<StoredTime>,
    replaces: Option<&ReplacementV1>,
) -> Result<(), InvalidField> {
    check_text("name", name, KEY_NAME_MAX)?;
    if scopes.len() > SCOPES_MAX {
        let problem = format!("must be at most {SCOPES_MAX}, not {}", scopes.len());
        return Err(InvalidField::new("scopes", problem));
    }
    scopes.iter().try_for_each(|name| check_text("scopes", name, SCOPE_MAX))?;
    let ends = [expires_at, replaces.map(|it| it.ends_at)];
    ends.into_iter().flatten().try_for_each(|StoredTime(at)| check_end(at))
}

impl From<Replacement> for ReplacementV1 {
    fn from(Replacement { id, ends_at }: Replacement) -> Self {
        Self { id, ends_at: StoredTime(ends_at) }
    }
}

impl From<ReplacementV1> for Replacement {
    fn from(ReplacementV1 { id, ends_at: StoredTime(ends_at) }: ReplacementV1) -> Self {
        Self { id, ends_at }
    }
}

impl From<KeyCreatedV1> for AccessEvent {
    fn from(form: KeyCreatedV1) -> Self {
        let KeyCreatedV1 { id, name, scopes, expires_at, secret_hash, replaces } = form;
        Self::KeyCreated(KeyCreated {
            id,
            name,
            scopes: Scopes::read(&scopes),
            own_only: false,
            expires_at: expires_at.map(|StoredTime(at)| at),
            secret_hash,
            upload_public_key: None,
            replaces: replaces.map(Into::into),
        })
    }
}
