//! Commands on a tenant's access, and the authentication of its keys.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::api_key::{ApiKey, KeyId};
use super::cache::{AccessCache, Known};
use super::decide::{AccessCommand, AccessRejection, NewKey, Rotation, decide};
use super::event::{AccessEvent, KeyName};
use super::history::AccessHistory;
use super::scope::Scopes;
use super::state::{GrantedKey, TenantAccess};
use crate::chain::Hash;
use crate::effects::Effects;
use crate::error::StoreError;
use crate::id::{AccessStream, PartitionKey, Tenant};
use crate::journal::{Appended, Journal};
use crate::record::{AccessRecord, CommandId, StoredLine};
use crate::service::{Caller, TRIES, back_off, broken, recorded, unwritten};
use crate::time;

/// Why a command was refused.
#[derive(Debug, thiserror::Error)]
pub enum AccessRefusal {
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(#[from] AccessRejection),
    /// Other writers won every race; nothing was appended.
    #[error("the tenant's access is changing too fast")]
    Contended,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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

/// The access of tenants. Each call names the tenant.
pub struct AccessService {
    journal: Arc<dyn Journal>,
    effects: Arc<dyn Effects>,
    cache: AccessCache,
}

impl AccessService {
    /// The access in this journal.
    pub fn new(journal: Arc<dyn Journal>, effects: Arc<dyn Effects>) -> Self {
        Self { journal, effects, cache: AccessCache::default() }
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

    /// Creates a key. This is the only time that its secret is known.
    pub async fn create_key(
        &self,
        caller: &Caller,
        request: KeyRequest,
    ) -> Result<(ApiKey, GrantedKey), AccessRefusal> {
        let KeyRequest { name, scopes, own_only, expires_at } = request;
        self.grant(caller, |id, secret_hash| {
            AccessCommand::CreateKey(NewKey { id, secret_hash, name, scopes, own_only, expires_at })
        })
        .await
    }

    /// Replaces a key by one with the same name and rights. The replaced key ends after `grace`, or
    /// at its own end if that is earlier.
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        replaced: KeyId,
        grace: TimeDelta,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<(ApiKey, GrantedKey), AccessRefusal> {
        self.grant(caller, |id, secret_hash| {
            AccessCommand::RotateKey(Rotation { replaced, grace, id, secret_hash, expires_at })
        })
        .await
    }

    async fn grant(
        &self,
        caller: &Caller,
        command: impl FnOnce(KeyId, Hash) -> AccessCommand,
    ) -> Result<(ApiKey, GrantedKey), AccessRefusal> {
        let id = KeyId::new(u64::try_from(self.effects.random() >> 64).unwrap_or_default());
        let key = ApiKey::new(caller.tenant.clone(), id, &*self.effects);
        let (access, _) = self.execute(caller, &command(id, key.hash())).await?;
        let granted = access.keys.get(&id).cloned().ok_or(AccessRejection::NoKey(id))?;
        Ok((key, granted))
    }

    /// Executes a command. Returns the access after it, and whether an event was recorded.
    pub async fn execute(
        &self,
        caller: &Caller,
        command: &AccessCommand,
    ) -> Result<(TenantAccess, bool), AccessRefusal> {
        let own = CommandId::fresh(self.effects.random());
        for lost in 0..TRIES {
            if lost > 0 {
                back_off(&*self.effects, lost).await;
            }
            let history = self.history(&caller.tenant).await?;
            if let Some(done) = history.as_ref().filter(|history| history.has(&own)) {
                self.cache.forget(&caller.tenant);
                return Ok((done.access().clone(), true));
            }
            let access = history.as_ref().map(AccessHistory::access);
            let now = time::after(access.map(|access| access.updated_at), self.effects.now());
            if !time::is_recordable(now) {
                return Err(AccessRejection::OutOfTime.into());
            }
            let Some(event) = decide(access, command, caller.own_only, now)? else {
                let access = access.cloned().ok_or(AccessRejection::NoTenant)?;
                return Ok((access, false));
            };
            let line = line(caller, access, event, own.clone(), now)?;
            let appended = self.append(&caller.tenant, history, line).await;
            if appended.is_err() {
                // It may have taken effect.
                self.cache.forget(&caller.tenant);
            }
            if let Some(access) = appended? {
                return Ok((access, true));
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
