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
struct ReplacementV1 {
    id: KeyId,
    ends_at: StoredTime,
}

impl StoredForm for KeyCreatedV1 {
    const KIND: &'static str = "key_created";
    const SCHEMA: u32 = 1;

    fn within_limits(&self) -> Result<(), InvalidField> {
        check_text("name", &self.name, KEY_NAME_MAX)?;
        if self.scopes.len() > SCOPES_MAX {
            let problem = format!("must be at most {SCOPES_MAX}, not {}", self.scopes.len());
            return Err(InvalidField::new("scopes", problem));
        }
        self.scopes.iter().try_for_each(|name| check_text("scopes", name, SCOPE_MAX))?;
        let ends = [self.expires_at, self.replaces.as_ref().map(|it| it.ends_at)];
        ends.into_iter().flatten().try_for_each(|StoredTime(at)| check_end(at))
    }
}

impl From<&KeyCreated> for KeyCreatedV1 {
    fn from(created: &KeyCreated) -> Self {
        let KeyCreated { id, name, scopes, expires_at, secret_hash, replaces } = created.clone();
        let replaced =
            |Replacement { id, ends_at }| ReplacementV1 { id, ends_at: StoredTime(ends_at) };
        Self {
            id,
            name,
            scopes: scopes.names().into_iter().map(str::to_owned).collect(),
            expires_at: expires_at.map(StoredTime),
            secret_hash,
            replaces: replaces.map(replaced),
        }
    }
}

impl From<KeyCreatedV1> for AccessEvent {
    fn from(form: KeyCreatedV1) -> Self {
        let KeyCreatedV1 { id, name, scopes, expires_at, secret_hash, replaces } = form;
        let replaced =
            |ReplacementV1 { id, ends_at: StoredTime(ends_at) }| Replacement { id, ends_at };
        Self::KeyCreated(KeyCreated {
            id,
            name,
            scopes: Scopes::read(&scopes),
            expires_at: expires_at.map(|StoredTime(at)| at),
            secret_hash,
            replaces: replaces.map(replaced),
        })
    }
}
