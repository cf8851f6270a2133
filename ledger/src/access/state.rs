//! The state of a tenant's access: the fold of its events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::api_key::{ApiKey, KeyId};
use super::event::{AccessEvent, KeyCreated, TenantLimits};
use super::scope::Scopes;
use super::upload_key::UploadPublicKey;
use super::upload_token::{UploadGrant, UploadToken};
use crate::chain::Hash;
use crate::id::Tenant;
use crate::record::{AccessRecord, KEY_ACTOR};

/// The access of a tenant after its first `version` events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantAccess {
    /// The tenant.
    pub tenant: Tenant,
    /// The number of events.
    pub version: u64,
    /// The hash of the last event.
    pub head: Hash,
    /// The time of the first event.
    pub created_at: DateTime<Utc>,
    /// The time of the last event.
    pub updated_at: DateTime<Utc>,
    /// The limits.
    pub limits: TenantLimits,
    /// Whether the tenant is suspended.
    pub suspended: bool,
    /// The keys by their ids, also those that have ended.
    pub keys: BTreeMap<KeyId, GrantedKey>,
}

/// A key as it was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedKey {
    /// The key's id.
    pub id: KeyId,
    /// The key's name.
    pub name: String,
    /// The key's scopes.
    pub scopes: Scopes,
    /// Whether it reaches only the assets that its lineage created.
    pub own_only: bool,
    /// The first key that this one replaces in the end, or itself.
    pub lineage: KeyId,
    /// The key's place in its lineage, from 1.
    pub generation: u32,
    /// The SHA-256 of the whole key.
    pub secret_hash: Hash,
    /// The key that its upload tokens are verified with. A key of an older program has none.
    pub upload_public_key: Option<UploadPublicKey>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Who created it.
    pub created_by: String,
    /// Its end, if it has one. An end only moves earlier.
    pub ends_at: Option<DateTime<Utc>>,
    /// Whether an event ended it at once: it has ended, whatever a clock says.
    pub revoked: bool,
    /// The key that replaces it.
    pub replaced_by: Option<KeyId>,
}

/// An event that is impossible in the state: another program wrote the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImpossibleAccess {
    /// The first event creates the tenant, and no other does.
    #[error("{0:?} cannot happen to the access of a tenant that {when}", when = .1)]
    Tenant(&'static str, &'static str),
    /// The key exists already.
    #[error("key {0} is created a second time")]
    KeyTwice(KeyId),
    /// The key does not exist.
    #[error("there is no key {0}")]
    NoKey(KeyId),
}

impl TenantAccess {
    /// The access after its first event.
    pub fn begin(record: &AccessRecord, head: Hash) -> Result<Self, ImpossibleAccess> {
        if record.event != AccessEvent::TenantCreated {
            return Err(ImpossibleAccess::Tenant(record.event.kind(), "does not exist"));
        }
        Ok(Self {
            tenant: record.key.0.clone(),
            version: record.version,
            head,
            created_at: record.at,
            updated_at: record.at,
            limits: TenantLimits::default(),
            suspended: false,
            keys: BTreeMap::new(),
        })
    }

    /// The access after one more event. Facts are accepted: only events that no version of this
    /// program could have written are refused.
    pub fn apply(&mut self, record: &AccessRecord, head: Hash) -> Result<(), ImpossibleAccess> {
        match &record.event {
            AccessEvent::TenantCreated => {
                return Err(ImpossibleAccess::Tenant(record.event.kind(), "exists"));
            }
            AccessEvent::TenantLimited(limits) => self.limits = limits.clone(),
            AccessEvent::TenantSuspended { .. } => self.suspended = true,
            AccessEvent::TenantResumed => self.suspended = false,
            AccessEvent::KeyCreated(created) => self.grant(created, record)?,
            AccessEvent::KeyRevoked { id, .. } => {
                let key = self.keys.get_mut(id).ok_or(ImpossibleAccess::NoKey(*id))?;
                key.end_by(record.at);
                key.revoked = true;
            }
        }
        (self.version, self.head, self.updated_at) = (record.version, head, record.at);
        Ok(())
    }

    fn grant(
        &mut self,
        created: &KeyCreated,
        record: &AccessRecord,
    ) -> Result<(), ImpossibleAccess> {
        let id = created.id;
        if self.keys.contains_key(&id) {
            return Err(ImpossibleAccess::KeyTwice(id));
        }
        let (mut lineage, mut generation) = (id, 1);
        if let Some(replaced) = created.replaces {
            let old = self.keys.get_mut(&replaced.id);
            let old = old.ok_or(ImpossibleAccess::NoKey(replaced.id))?;
            (lineage, generation) = (old.lineage, old.generation.saturating_add(1));
            old.end_by(replaced.ends_at);
            old.revoked |= replaced.ends_at <= record.at;
            old.replaced_by = Some(id);
        }
        let key = GrantedKey {
            id,
            name: created.name.clone(),
            scopes: created.scopes.clone(),
            own_only: created.own_only,
            lineage,
            generation,
            secret_hash: created.secret_hash,
            upload_public_key: created.upload_public_key,
            created_at: record.at,
            created_by: record.cause.actor.clone(),
            ends_at: created.expires_at,
            revoked: false,
            replaced_by: None,
        };
        self.keys.insert(id, key);
        Ok(())
    }

    /// The granted key of `key`, if its secret is right and it has not ended.
    #[must_use]
    pub fn accepts(&self, key: &ApiKey, now: DateTime<Utc>) -> Option<&GrantedKey> {
        let granted = self.keys.get(&key.id).filter(|granted| key.is(&granted.secret_hash))?;
        Some(granted).filter(|granted| granted.is_live(now) && self.tenant == key.tenant)
    }

    /// The granted key that signed `token`, if it has not ended.
    #[must_use]
    pub fn signer_of(&self, token: &UploadToken, now: DateTime<Utc>) -> Option<&GrantedKey> {
        let granted = self.keys.get(&token.key)?;
        let signed = || granted.upload_public_key.is_some_and(|key| token.is_signed_by(&key));
        Some(granted).filter(|key| key.is_live(now) && self.tenant == token.tenant && signed())
    }

    /// The keys that are accepted at this time.
    pub fn live(&self, now: DateTime<Utc>) -> impl Iterator<Item = &GrantedKey> {
        self.keys.values().filter(move |key| key.is_live(now))
    }

    /// The same access without the keys that have ended: they are never accepted again.
    #[must_use]
    pub fn without_ended(mut self, now: DateTime<Utc>) -> Self {
        self.keys.retain(|_, key| key.is_live(now));
        self
    }
}

impl GrantedKey {
    /// Whether it is accepted at this time, if its tenant is not suspended.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        !self.revoked && self.ends_at.is_none_or(|end| now < end)
    }

    /// The actor of its requests: `key:<lineage>/<generation>`.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{}/{}", self.subject(), self.generation)
    }

    /// The actor whatever the generation: the same after a rotation.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{KEY_ACTOR}{}", self.lineage)
    }

    /// The actor of an upload token of this key: `key:<lineage>;upload=<id>/<generation>`. Its
    /// subject is the part before the `/`, as of every key.
    #[must_use]
    pub fn upload_actor(&self, grant: &UploadGrant) -> String {
        let other = grant.acting_for.as_ref().map_or(String::new(), |name| format!(";for={name}"));
        format!("{};upload={}/{}{other}", self.subject(), grant.id, self.generation)
    }

    fn end_by(&mut self, at: DateTime<Utc>) {
        self.ends_at = Some(self.ends_at.map_or(at, |end| end.min(at)));
    }
}
