//! The events of a tenant's access. [`record`](crate::record) defines their stored form.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::api_key::KeyId;
use super::scope::Scopes;
use super::upload_key::UploadPublicKey;
use crate::asset::InvalidField;
use crate::chain::Hash;
use crate::record::check_text;

/// Bytes of a key's name.
pub const KEY_NAME_MAX: usize = 64;
/// Seconds of a URL's life that a tenant's limits may allow: S3's own maximum, seven days.
pub const URL_SECONDS_MAX: u64 = 604_800;

/// An event of a tenant's access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessEvent {
    /// The tenant exists.
    TenantCreated,
    /// The tenant has exactly these limits.
    TenantLimited(TenantLimits),
    /// No key of the tenant is accepted.
    TenantSuspended {
        /// The reason, as given by the operator.
        reason: Option<String>,
    },
    /// The tenant's keys are accepted again.
    TenantResumed,
    /// A key exists; it may end an older one.
    KeyCreated(KeyCreated),
    /// A key has ended, at the time of this event.
    KeyRevoked {
        /// The key.
        id: KeyId,
        /// The reason, as given by the caller.
        reason: Option<String>,
    },
}

/// A new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCreated {
    /// Its id.
    pub id: KeyId,
    /// Its name, for people.
    pub name: String,
    /// Its scopes.
    pub scopes: Scopes,
    /// Whether it reaches only the assets that its lineage creates.
    pub own_only: bool,
    /// Its end, if it has one from the beginning.
    pub expires_at: Option<DateTime<Utc>>,
    /// The SHA-256 of the whole key.
    pub secret_hash: Hash,
    /// The key that its upload tokens are verified with. A key of an older program has none.
    pub upload_public_key: Option<UploadPublicKey>,
    /// The key that it replaces.
    pub replaces: Option<Replacement>,
}

/// A replaced key, and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replacement {
    /// The replaced key.
    pub id: KeyId,
    /// Its end: the end of the time in which both keys are accepted.
    pub ends_at: DateTime<Utc>,
}

/// The limits of a tenant. Without any, the service's own apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantLimits {
    /// Whether an asset can be created only with a declaration of its file.
    pub declared_only: bool,
    /// The longest life of a presigned URL, in seconds.
    pub url_seconds: Option<u64>,
    /// The quota of assets that are not purged.
    pub assets: Option<u64>,
    /// The quota of assets that await their upload.
    pub awaiting: Option<u64>,
    /// The quota of bytes: of stored objects, and declared for those that are awaited.
    pub bytes: Option<u64>,
    /// The largest object, in bytes. Every upload must then declare its size.
    pub object_bytes: Option<u64>,
    /// Whether each URL that is given out is recorded in the tenant's access log.
    pub record_urls: bool,
    /// The names of limits that only a newer version of this program knows. They are not enforced
    /// here, and a set that has some is not replaced.
    pub unknown: BTreeSet<String>,
}

impl AccessEvent {
    /// Every name that [`AccessEvent::kind`] returns.
    pub const KINDS: [&str; 6] = [
        "tenant_created",
        "tenant_limited",
        "tenant_suspended",
        "tenant_resumed",
        "key_created",
        "key_revoked",
    ];

    /// The event's name, which its stored forms use as their type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TenantCreated => "tenant_created",
            Self::TenantLimited(_) => "tenant_limited",
            Self::TenantSuspended { .. } => "tenant_suspended",
            Self::TenantResumed => "tenant_resumed",
            Self::KeyCreated(_) => "key_created",
            Self::KeyRevoked { .. } => "key_revoked",
        }
    }
}

/// The name of a key: 1 to 64 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    /// The name, within its limits.
    pub fn new(text: String) -> Result<Self, InvalidField> {
        if text.is_empty() {
            return Err(InvalidField::new("name", "must not be empty: it tells keys apart"));
        }
        check_text("name", &text, KEY_NAME_MAX)?;
        Ok(Self(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
