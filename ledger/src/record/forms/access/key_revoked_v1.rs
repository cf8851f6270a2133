//! `key_revoked`, schema 1: the key, and the reason if one was given.

use serde::{Deserialize, Serialize};

use super::{StoredForm, check_reason};
use crate::access::{AccessEvent, KeyId};
use crate::asset::InvalidField;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRevokedV1 {
    pub(super) id: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl StoredForm for KeyRevokedV1 {
    const KIND: &'static str = "key_revoked";
    const SCHEMA: u32 = 1;

    fn within_limits(&self) -> Result<(), InvalidField> {
        check_reason(self.reason.as_deref())
    }
}

impl From<KeyRevokedV1> for AccessEvent {
    fn from(KeyRevokedV1 { id, reason }: KeyRevokedV1) -> Self {
        Self::KeyRevoked { id, reason }
    }
}
