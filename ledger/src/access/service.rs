//! Commands on a tenant's access, and the authentication of its keys.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::api_key::{ApiKey, KeyId};
use super::cache::{AccessCache, Known};
use super::decide::{
    AccessCommand, AccessRejection, KeyRequest, NewKey, Rotation, StoredKey, decide,
};
use super::event::AccessEvent;
use super::history::AccessHistory;
use super::noted_uses::NotedUses;
use super::state::{GrantedKey, TenantAccess};
use super::upload_token::UploadToken;
use crate::asset::Reason;
use crate::chain::Hash;
use crate::effects::Effects;
use crate::error::StoreError;
use crate::id::{AccessStream, PartitionKey, Tenant};
use crate::idempotency::{IdempotencyKey, RepeatableCommand};
use crate::journal::{Appended, Journal};
use crate::key_uses::{KeyUses, LastUses, MemoryKeyUses};
use crate::record::{AccessRecord, CommandId, StoredLine};
use crate::service::{Caller, TRIES, back_off, broken, recorded, unwritten};
use crate::time;

/// Why a command was refused.
#[derive(Debug, thiserror::Error)]
pub enum AccessRefusal {
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(#[from] AccessRejection),
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    Reused,
    /// The same request created this key before, and its secret is not kept.
    #[error("this request created key {0} before, and its secret was shown then only")]
    ShownOnce(KeyId),
    /// Other writers won every race; nothing was appended.
    #[error("the tenant's access is changing too fast")]
    Contended,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A command on a tenant's access that was executed: now, or before under the same idempotency key.
#[derive(Debug, Clone)]
pub struct AccessAnswered {
    /// The access, also after later commands.
    pub access: TenantAccess,
    /// The event that was recorded; `None` if no change was needed.
    pub event: Option<AccessEvent>,
    /// Whether it was executed before.
    pub replayed: bool,
}

/// The access of tenants. Each call names the tenant.
pub struct AccessService {
    journal: Arc<dyn Journal>,
    effects: Arc<dyn Effects>,
    cache: AccessCache,
    uses: Arc<dyn KeyUses>,
    noted: Arc<NotedUses>,
}

impl AccessService {
    /// The access in this journal.
    pub fn new(journal: Arc<dyn Journal>, effects: Arc<dyn Effects>) -> Self {
        let (uses, noted) = (Arc::new(MemoryKeyUses::default()), Arc::default());
        Self { journal, effects, cache: AccessCache::default(), uses, noted }
    }

    /// The same, with durable notes of the days on which keys are used. By default they end with
    /// the process.
    #[must_use]
    pub fn noting(self, uses: Arc<dyn KeyUses>) -> Self {
        Self { uses, ..self }
    }

    /// The days on which the tenant's keys were last used.
    pub async fn last_uses(&self, tenant: &Tenant) -> Result<LastUses, StoreError> {
        self.uses.last_uses(tenant).await
    }

    /// Takes notice of the use of a key. The first of a day returns the work of noting it, which
    /// does not fail: it belongs beside the request, which must not wait for it.
    pub fn used(&self, tenant: &Tenant, key: KeyId) -> Option<impl Future<Output = ()> + use<>> {
        let day = self.effects.now().date_naive();
        let due = self.noted.is_due(tenant, key, day);
        due.then(|| Arc::clone(&self.noted).note(self.uses.clone(), tenant.clone(), key, day))
    }

    /// The access of a tenant; `None` if it does not exist. Keys that have ended may be left out.
    ///
    /// A state is believed for ten seconds. Then the stream's last event shows whether it has
    /// changed. One task reads for all that wait.
    pub async fn current(&self, tenant: &Tenant) -> Result<Known, StoreError> {
        if let Some(known) = self.cache.believed(tenant) {
            return Ok(known);
        }
        let flight = self.cache.flight(tenant);
        let _flight = flight.lock().await;
        if let Some(known) = self.cache.believed(tenant) {
            return Ok(known);
        }
        let at = Instant::now();
        let known = self.read_again(tenant, self.cache.last(tenant)).await?;
        self.cache.keep(tenant, known.clone(), at);
        Ok(known)
    }

    /// The state in the journal. If its last event is that of `before`, this is `before`.
    async fn read_again(&self, tenant: &Tenant, before: Known) -> Result<Known, StoreError> {
        let Some(last) = self.journal.last_of(&partition(tenant)).await? else { return Ok(None) };
        if let Some(same) = before.filter(|before| before.head == last.hash()) {
            return Ok(Some(same));
        }
        let now = self.effects.now();
        let history = self.history(tenant).await?;
        Ok(history.map(|history| Arc::new(history.into_access().without_ended(now))))
    }

    /// The number of tenants that are kept in memory.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.cache.len()
    }

    /// All events of a tenant's access, as they are now.
    pub async fn history(&self, tenant: &Tenant) -> Result<Option<AccessHistory>, StoreError> {
        let key = partition(tenant);
        let lines = self.journal.history_of(&key).await?;
        AccessHistory::read(tenant, lines).map_err(|error| broken(&key.partition(), error))
    }

    /// The tenant's access and the granted key, if `key` is accepted. A wrong secret, an unknown
    /// key, an ended one and an unknown tenant are not told apart. Whether the tenant is suspended
    /// is left to the caller.
    pub async fn authenticate(
        &self,
        key: &ApiKey,
    ) -> Result<Option<(Arc<TenantAccess>, GrantedKey)>, StoreError> {
        let Some(access) = self.current(&key.tenant).await? else { return Ok(None) };
        let granted = access.accepts(key, self.effects.now()).cloned();
        Ok(granted.map(|granted| (access, granted)))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.effects.now()
    }

    /// The tenant's access and the API key that signed `token`, if that key has not ended. All
    /// other cases are not told apart. The end of the token is left to the caller.
    pub async fn signer_of(
        &self,
        token: &UploadToken,
    ) -> Result<Option<(Arc<TenantAccess>, GrantedKey)>, StoreError> {
        let Some(access) = self.current(&token.tenant).await? else { return Ok(None) };
        let signer = access.signer_of(token, self.effects.now()).cloned();
        Ok(signer.map(|signer| (access, signer)))
    }

    /// Creates a key, once for each idempotency key. Its secret is known this time only.
    ///
    /// # Errors
    /// [`AccessRefusal::ShownOnce`] if the same request created the key before.
    pub async fn create_key(
        &self,
        caller: &Caller,
        request: KeyRequest,
        key: Option<&IdempotencyKey>,
    ) -> Result<(ApiKey, GrantedKey), AccessRefusal> {
        let repeatable = key.map(|key| {
            let KeyRequest { name, scopes, own_only, expires_at } = &request;
            let (scopes, own_only) = (scopes.to_string(), own_only.to_string());
            let parts = ["key_create", name.as_str(), &scopes, &own_only, &end(*expires_at)];
            key.command(&caller.tenant, &parts)
        });
        let create = |key| AccessCommand::CreateKey(NewKey { key, asked: request });
        self.grant(caller, repeatable.as_ref(), create).await
    }

    /// Replaces a key by one with the same name and rights. The replaced key ends after `grace`, or
    /// at its own end if that is earlier.
    ///
    /// # Errors
    /// As [`AccessService::create_key`].
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        replaced: KeyId,
        grace: TimeDelta,
        expires_at: Option<DateTime<Utc>>,
        key: Option<&IdempotencyKey>,
    ) -> Result<(ApiKey, GrantedKey), AccessRefusal> {
        let repeatable = key.map(|key| {
            let (replaced, grace) = (replaced.to_string(), grace.num_seconds().to_string());
            let parts = ["key_rotate", &replaced, &grace, &end(expires_at)];
            key.command(&caller.tenant, &parts)
        });
        let rotate = |key| AccessCommand::RotateKey(Rotation { replaced, grace, key, expires_at });
        self.grant(caller, repeatable.as_ref(), rotate).await
    }

    /// Ends a key now, once for each idempotency key.
    pub async fn revoke_key(
        &self,
        caller: &Caller,
        id: KeyId,
        reason: Option<Reason>,
        key: Option<&IdempotencyKey>,
    ) -> Result<AccessAnswered, AccessRefusal> {
        let repeatable = key.map(|key| {
            let reason = reason.as_ref().map_or("", Reason::as_str);
            key.command(&caller.tenant, &["key_revoke", &id.to_string(), reason])
        });
        let revoke = AccessCommand::RevokeKey(id, reason);
        self.execute_once(caller, &revoke, repeatable.as_ref()).await
    }

    async fn grant(
        &self,
        caller: &Caller,
        repeatable: Option<&RepeatableCommand>,
        command: impl FnOnce(StoredKey) -> AccessCommand,
    ) -> Result<(ApiKey, GrantedKey), AccessRefusal> {
        let id = KeyId::new(u64::try_from(self.effects.random() >> 64).unwrap_or_default());
        let key = ApiKey::new(caller.tenant.clone(), id, &*self.effects);
        let done = self.execute_once(caller, &command(stored(&key)), repeatable).await?;
        if let Some(AccessEvent::KeyCreated(created)) = &done.event
            && created.id != id
        {
            return Err(AccessRefusal::ShownOnce(created.id));
        }
        let granted = done.access.keys.get(&id).cloned().ok_or(AccessRejection::NoKey(id))?;
        Ok((key, granted))
    }

    /// Executes a command. Returns the access after it, and whether an event was recorded.
    pub async fn execute(
        &self,
        caller: &Caller,
        command: &AccessCommand,
    ) -> Result<(TenantAccess, bool), AccessRefusal> {
        let done = self.execute_once(caller, command, None).await?;
        Ok((done.access, done.event.is_some()))
    }

    /// Executes a command, once if it has an idempotency key.
    async fn execute_once(
        &self,
        caller: &Caller,
        command: &AccessCommand,
        repeatable: Option<&RepeatableCommand>,
    ) -> Result<AccessAnswered, AccessRefusal> {
        let fresh = || CommandId::fresh(self.effects.random());
        let own = repeatable.map_or_else(fresh, RepeatableCommand::id);
        for lost in 0..TRIES {
            if lost > 0 {
                back_off(&*self.effects, lost).await;
            }
            let history = self.history(&caller.tenant).await?;
            if let Some(history) = &history {
                if let Some(event) = history.by_command(&own) {
                    self.cache.forget(&caller.tenant);
                    let (access, event) = (history.access().clone(), Some(event));
                    return Ok(AccessAnswered { access, event, replayed: true });
                }
                if repeatable.is_some_and(|command| history.has_key_of(command)) {
                    return Err(AccessRefusal::Reused);
                }
            }
            let access = history.as_ref().map(AccessHistory::access);
            let now = time::after(access.map(|access| access.updated_at), self.effects.now());
            if !time::is_recordable(now) {
                return Err(AccessRejection::OutOfTime.into());
            }
            let Some(event) = decide(access, command, caller.own_only, now)? else {
                let access = access.cloned().ok_or(AccessRejection::NoTenant)?;
                return Ok(AccessAnswered { access, event: None, replayed: false });
            };
            let line = line(caller, access, event.clone(), own.clone(), now)?;
            let appended = self.append(&caller.tenant, history, line).await;
            if appended.is_err() {
                // It may have taken effect.
                self.cache.forget(&caller.tenant);
            }
            if let Some(access) = appended? {
                let event = Some(event);
                return Ok(AccessAnswered { access, event, replayed: false });
            }
        }
        Err(AccessRefusal::Contended)
    }

    /// Appends a line that can be read back as a part of the history, and believes the result at
    /// once; `None` if another event has its version. If the same bytes have it, the reply to an
    /// earlier attempt was lost.
    async fn append(
        &self,
        tenant: &Tenant,
        history: Option<AccessHistory>,
        line: StoredLine,
    ) -> Result<Option<TenantAccess>, AccessRefusal> {
        let longer = match history {
            Some(history) => Some(history.then(line.clone()).map_err(unwritten)?),
            None => AccessHistory::read(tenant, vec![line.clone()]).map_err(unwritten)?,
        };
        let access = longer.ok_or(AccessRejection::NoTenant)?.into_access();
        // No read of this process may begin before the event and be kept after it.
        let flight = self.cache.flight(tenant);
        let _flight = flight.lock().await;
        let at = Instant::now();
        match self.journal.append_to(&partition(tenant), line.clone()).await? {
            Appended::Taken(held) if held != line => Ok(None),
            Appended::Taken(_) | Appended::Written => {
                recorded();
                let known = access.clone().without_ended(self.effects.now());
                self.cache.keep(tenant, Some(Arc::new(known)), at);
                Ok(Some(access))
            }
        }
    }
}

/// What is stored of a key.
fn stored(key: &ApiKey) -> StoredKey {
    let (secret_hash, upload_public_key) = (key.hash(), key.upload_public_key());
    StoredKey { id: key.id, secret_hash, upload_public_key }
}

/// The end of a key in the fingerprint of a request.
fn end(expires_at: Option<DateTime<Utc>>) -> String {
    expires_at.map_or(String::new(), time::format)
}

fn partition(tenant: &Tenant) -> PartitionKey {
    AccessStream(tenant.clone()).into()
}

/// The line of the next event, within its limits.
fn line(
    caller: &Caller,
    access: Option<&TenantAccess>,
    event: AccessEvent,
    command: CommandId,
    at: DateTime<Utc>,
) -> Result<StoredLine, StoreError> {
    let record = AccessRecord {
        key: AccessStream(caller.tenant.clone()),
        version: access.map_or(0, |access| access.version) + 1,
        event,
        cause: caller.cause(command),
        at,
        prev: access.map_or(Hash::ZERO, |access| access.head),
    };
    record.within_limits().map_err(unwritten)?;
    record.line().map_err(unwritten)
}
