//! `key_created`, schema 2: also says whether the key reaches only the assets of its lineage, and
//! has the key that its upload tokens are verified with.

use serde::{Deserialize, Serialize};

use super::StoredForm;
use super::key_created_v1::{ReplacementV1, check_key};
use crate::access::{AccessEvent, KeyCreated, KeyId, Scopes, UploadPublicKey};
use crate::asset::InvalidField;
use crate::chain::Hash;
use crate::record::forms::stored_time::StoredTime;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyCreatedV2 {
    id: KeyId,
    name: String,
    /// Their names are open: a newer program may know more.
    scopes: Vec<String>,
    own_only: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<StoredTime>,
    secret_hash: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload_public_key: Option<UploadPublicKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<ReplacementV1>,
}

impl StoredForm for KeyCreatedV2 {
    const KIND: &'static str = "key_created";
    const SCHEMA: u32 = 2;

    fn within_limits(&self) -> Result<(), InvalidField> {
        check_key(&self.name, &self.scopes, self.expires_at, self.replaces.as_ref())
    }
}

impl From<&KeyCreated> for KeyCreatedV2 {
    fn from(created: &KeyCreated) -> Self {
        let created = created.clone();
        let KeyCreated { id, name, scopes, own_only, expires_at, secret_hash, .. } = created;
        Self {
            id,
            name,
            scopes: scopes.names().into_iter().map(str::to_owned).collect(),
            own_only,
            expires_at: expires_at.map(StoredTime),
            secret_hash,
            upload_public_key: created.upload_public_key,
            replaces: created.replaces.map(Into::into),
        }
    }
}

impl From<KeyCreatedV2> for AccessEvent {
    fn from(form: KeyCreatedV2) -> Self {
        let KeyCreatedV2 { id, name, scopes, own_only, expires_at, secret_hash, .. } = form;
        Self::KeyCreated(KeyCreated {
            id,
            name,
            scopes: Scopes::read(&scopes),
            own_only,
            expires_at: expires_at.map(|StoredTime(at)| at),
            secret_hash,
            upload_public_key: form.upload_public_key,
            replaces: form.replaces.map(Into::into),
        })
    }
}
