//! The rules: which event of a tenant's access may happen next.

use chrono::{DateTime, TimeDelta, Utc};

use super::api_key::KeyId;
use super::event::{AccessEvent, KeyCreated, KeyName, Replacement, TenantLimits, URL_SECONDS_MAX};
use super::scope::{Scope, Scopes};
use super::state::{GrantedKey, TenantAccess};
use super::upload_key::UploadPublicKey;
use crate::asset::{InvalidField, Reason};
use crate::chain::Hash;

/// Live keys of one tenant: the size of what a process keeps in memory of a tenant.
pub const LIVE_KEYS_MAX: usize = 100;
/// Events of one stream of access: every command loads all of them.
const EVENTS_MAX: u64 = 10_000;
/// The number of these that only end keys, or suspend and resume the tenant.
const ENDING_MAX: u64 = 200;
/// The longest time in which a replaced key is still accepted.
pub const ROTATION_GRACE_MAX: TimeDelta = TimeDelta::days(30);

/// A command on a tenant's access.
#[derive(Debug, Clone)]
pub enum AccessCommand {
    /// Create the tenant.
    Create,
    /// Replace all limits.
    Limit(TenantLimits),
    /// Accept no key.
    Suspend(Option<Reason>),
    /// Accept keys again.
    Resume,
    /// Create a key.
    CreateKey(NewKey),
    /// Replace a key.
    RotateKey(Rotation),
    /// End a key now.
    RevokeKey(KeyId, Option<Reason>),
}

/// What is stored of the text of a key.
#[derive(Debug, Clone, Copy)]
pub struct StoredKey {
    /// Its id.
    pub id: KeyId,
    /// The SHA-256 of the whole key.
    pub secret_hash: Hash,
    /// The key that its upload tokens are verified with.
    pub upload_public_key: UploadPublicKey,
}

impl StoredKey {
    fn created(
        self,
        name: String,
        scopes: Scopes,
        own_only: bool,
        expires_at: Option<DateTime<Utc>>,
        replaces: Option<Replacement>,
    ) -> AccessEvent {
        let Self { id, secret_hash, upload_public_key } = self;
        let upload_public_key = Some(upload_public_key);
        AccessEvent::KeyCreated(KeyCreated {
            id,
            name,
            scopes,
            own_only,
            expires_at,
            secret_hash,
            upload_public_key,
            replaces,
        })
    }
}

/// A key to be created.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// The key.
    pub key: StoredKey,
    /// What was asked for.
    pub asked: KeyRequest,
}

/// A request for a new key.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// Its name.
    pub name: KeyName,
    /// Its scopes.
    pub scopes: Scopes,
    /// Whether it reaches only the assets that its lineage creates.
    pub own_only: bool,
    /// Its end.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key to be replaced. The replacement has the same name and rights.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// The replaced key.
    pub replaced: KeyId,
    /// How long the replaced key is still accepted, at most.
    pub grace: TimeDelta,
    /// The replacement.
    pub key: StoredKey,
    /// The end of the replacement.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The rule that forbids a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessRejection {
    /// The tenant was never created.
    #[error("there is no such tenant")]
    NoTenant,
    /// The tenant has no such key.
    #[error("the tenant has no key {0}")]
    NoKey(KeyId),
    /// The key has ended, so it cannot be replaced.
    #[error("key {0} has ended: create a new one")]
    KeyEnded(KeyId),
    /// The tenant has the maximum number of live keys.
    #[error("the tenant has {LIVE_KEYS_MAX} live keys, the most it may have: revoke one first")]
    TooManyKeys,
    /// The caller reaches only its own assets, and the key would reach all.
    #[error("the key would reach all assets, and its maker reaches only its own: use own_only")]
    Widened,
    /// A newer version of this program wrote what would be replaced.
    #[error("{0} that only a newer version of this program knows: use that version")]
    Newer(&'static str),
    /// A field is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// The stream has the maximum number of events.
    #[error(
        "the tenant's access has as many events as it may have ({EVENTS_MAX}, the last \
         {ENDING_MAX} of them to revoke, suspend and resume)"
    )]
    Full,
    /// The event would be at a time that cannot be recorded.
    #[error("the event would be at a time that cannot be recorded")]
    OutOfTime,
}

/// Decides the effect of a command: the event to append, or nothing if no change is needed.
/// `own_only` is of the caller, who gives out no key that reaches more.
pub(super) fn decide(
    access: Option<&TenantAccess>,
    command: &AccessCommand,
    own_only: bool,
    now: DateTime<Utc>,
) -> Result<Option<AccessEvent>, AccessRejection> {
    use AccessCommand as C;
    let Some(access) = access else {
        let creates = matches!(command, C::Create);
        return creates
            .then_some(Some(AccessEvent::TenantCreated))
            .ok_or(AccessRejection::NoTenant);
    };
    let event = match command {
        C::Create => None,
        C::Limit(limits) => limit(access, limits)?,
        C::Suspend(reason) => (!access.suspended)
            .then(|| AccessEvent::TenantSuspended { reason: reason.as_ref().map(text) }),
        C::Resume => access.suspended.then_some(AccessEvent::TenantResumed),
        C::CreateKey(new) => Some(create(access, new, now)?),
        C::RotateKey(rotation) => Some(rotate(access, rotation, now)?),
        C::RevokeKey(id, reason) => revoke(access, *id, reason.as_ref(), now)?,
    };
    if matches!(&event, Some(AccessEvent::KeyCreated(key)) if own_only && !key.own_only) {
        return Err(AccessRejection::Widened);
    }
    event.map(|event| has_room(access, &event).map(|()| event)).transpose()
}

fn text(reason: &Reason) -> String {
    reason.as_str().to_owned()
}

fn limit(
    access: &TenantAccess,
    limits: &TenantLimits,
) -> Result<Option<AccessEvent>, AccessRejection> {
    if !access.limits.unknown.is_empty() || !limits.unknown.is_empty() {
        return Err(AccessRejection::Newer("the tenant has limits"));
    }
    if limits.url_seconds.is_some_and(|seconds| !(1..=URL_SECONDS_MAX).contains(&seconds)) {
        let problem = format!("must be 1 to {URL_SECONDS_MAX}");
        return Err(InvalidField::new("url_seconds", problem).into());
    }
    let changes = access.limits != *limits;
    Ok(changes.then(|| AccessEvent::TenantLimited(limits.clone())))
}

fn create(
    access: &TenantAccess,
    new: &NewKey,
    now: DateTime<Utc>,
) -> Result<AccessEvent, AccessRejection> {
    let NewKey { key, asked: KeyRequest { name, scopes, own_only, expires_at } } = new.clone();
    if scopes.is_empty() {
        return Err(InvalidField::new("scopes", "must have one scope at least").into());
    }
    if scopes.has(Scope::Unknown) {
        return Err(AccessRejection::Newer("the key would have scopes"));
    }
    allow_one_more(access, expires_at, now)?;
    Ok(key.created(name.as_str().to_owned(), scopes, own_only, expires_at, None))
}

fn rotate(
    access: &TenantAccess,
    rotation: &Rotation,
    now: DateTime<Utc>,
) -> Result<AccessEvent, AccessRejection> {
    let Rotation { replaced, grace, key, expires_at } = *rotation;
    let old = find(access, replaced)?;
    if !old.is_live(now) || old.replaced_by.is_some() {
        return Err(AccessRejection::KeyEnded(replaced));
    }
    if old.scopes.has(Scope::Unknown) {
        return Err(AccessRejection::Newer("the key has scopes"));
    }
    if !(TimeDelta::zero()..=ROTATION_GRACE_MAX).contains(&grace) {
        let problem = format!("must be 0 to {} seconds", ROTATION_GRACE_MAX.num_seconds());
        return Err(InvalidField::new("grace_seconds", problem).into());
    }
    allow_one_more(access, expires_at, now)?;
    let ends_at = old.ends_at.map_or(now + grace, |end| end.min(now + grace));
    let replaces = Some(Replacement { id: replaced, ends_at });
    let (name, scopes, own_only) = (old.name.clone(), old.scopes.clone(), old.own_only);
    Ok(key.created(name, scopes, own_only, expires_at, replaces))
}

fn revoke(
    access: &TenantAccess,
    id: KeyId,
    reason: Option<&Reason>,
    now: DateTime<Utc>,
) -> Result<Option<AccessEvent>, AccessRejection> {
    let live = find(access, id)?.is_live(now);
    Ok(live.then(|| AccessEvent::KeyRevoked { id, reason: reason.map(text) }))
}

fn find(access: &TenantAccess, id: KeyId) -> Result<&GrantedKey, AccessRejection> {
    access.keys.get(&id).ok_or(AccessRejection::NoKey(id))
}

fn allow_one_more(
    access: &TenantAccess,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), AccessRejection> {
    if access.live(now).count() >= LIVE_KEYS_MAX {
        return Err(AccessRejection::TooManyKeys);
    }
    let valid = |end: DateTime<Utc>| end > now && crate::time::is_recordable(end);
    if expires_at.is_some_and(|end| !valid(end)) {
        let problem = "must be a time to come, before the year 9999";
        return Err(InvalidField::new("expires_at", problem).into());
    }
    Ok(())
}

fn has_room(access: &TenantAccess, event: &AccessEvent) -> Result<(), AccessRejection> {
    use AccessEvent as E;
    let ends = matches!(event, E::KeyRevoked { .. } | E::TenantSuspended { .. } | E::TenantResumed);
    let most = if ends { EVENTS_MAX } else { EVENTS_MAX - ENDING_MAX };
    if access.version < most { Ok(()) } else { Err(AccessRejection::Full) }
}
