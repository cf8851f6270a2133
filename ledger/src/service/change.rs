//! The commands of clients: the creation of an asset, and changes of one. A client may name a
//! command by an idempotency key, and send it again.

use std::slice;

use chrono::{DateTime, Utc};

use super::{
    AbsenceProof, Caller, Intent, LedgerService, Reconciled, Refusal, TRIES, line, read, recorded,
    unwritten,
};
use crate::asset::{Asset, Declaration, Event, Life, Reason};
use crate::chain::Hash;
use crate::history::History;
use crate::id::{AssetId, Key};
use crate::idempotency::{IdempotencyKey, RepeatableCommand};
use crate::journal::Appended;
use crate::record::{CommandId, EventRecord, data};
use crate::reservations::Reservation;
use crate::time;

/// A change of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetChange {
    /// Confirms an upload. Records first that the bytes were received, if no event has yet.
    Confirm,
    /// Hides an asset. The bytes stay.
    Delete(Option<Reason>),
    /// Restores a deleted asset.
    Restore,
    /// Destroys the bytes of a deleted asset. If S3 fails half way, the request stays recorded, and
    /// a repeated request continues from there.
    Purge,
}

impl AssetChange {
    /// The name, which is part of the fingerprints of stored commands.
    fn name(&self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Delete(_) => "delete",
            Self::Restore => "restore",
            Self::Purge => "purge",
        }
    }
}

/// A command that was executed: now, or before under the same idempotency key.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The history, also with the events after the command.
    pub history: History,
    /// The version of the asset after the command.
    pub version: u64,
    /// Whether it was executed before.
    pub replayed: bool,
}

impl Answered {
    /// A command that changed nothing, or whose last event is the last one.
    pub(super) fn now(history: History) -> Self {
        Self { version: history.asset().version, history, replayed: false }
    }

    /// The asset after the command. Later events do not change the answer of a command.
    #[must_use]
    pub fn asset(&self) -> Asset {
        let last = self.history.asset();
        let earlier = (self.version != last.version).then(|| self.history.at_version(self.version));
        earlier.flatten().unwrap_or_else(|| last.clone())
    }
}

impl LedgerService {
    /// Creates an asset. One write and no read: the id is new, so there is no history to read. With
    /// an idempotency key, it is created once, and one more write before reserves the id.
    ///
    /// # Errors
    /// [`Refusal::Reused`] for a key of another declaration.
    pub async fn create_once(
        &self,
        caller: &Caller,
        declaration: Declaration,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered, Refusal> {
        let event = Event::Created(declaration);
        let body = data(&event).map_err(unwritten)?;
        let repeatable = key.map(|key| key.command(&caller.tenant, &["create", &body]));
        let fresh = || CommandId::fresh(self.effects.random());
        let command = repeatable.as_ref().map_or_else(fresh, RepeatableCommand::id);
        for _ in 0..TRIES {
            let at = time::after(None, self.effects.now());
            let mut key = caller.key(AssetId::new(at, self.effects.random()));
            if let Some(command) = &repeatable {
                key = self.reserved(key, command, at).await?;
            }
            let (event, cause) = (event.clone(), caller.cause(command.clone()));
            let record = EventRecord { key, version: 1, event, cause, at, prev: Hash::ZERO };
            let line = line(&record)?;
            let first = History::recorded(None, record, line.clone()).map_err(unwritten)?;
            let key = &first.asset().key;
            match self.journal.append(key, line.clone()).await? {
                Appended::Written => {
                    recorded();
                    return Ok(Answered::now(first));
                }
                Appended::Taken(held) => {
                    // Ours, after a lost reply or before; otherwise a collision (1 in 2^62).
                    let replayed = held != line;
                    let history = read(key, vec![held])?;
                    if let Some(ours) = history.filter(|h| h.by_command(&command).is_some()) {
                        return Ok(Answered { replayed, ..Answered::now(ours) });
                    }
                }
            }
        }
        Err(Refusal::Contended)
    }

    /// Whether the creation with this key was executed before. Otherwise its id is reserved now.
    ///
    /// # Errors
    /// As [`LedgerService::create_once`].
    pub async fn was_created(
        &self,
        caller: &Caller,
        declaration: &Declaration,
        key: &IdempotencyKey,
    ) -> Result<bool, Refusal> {
        let body = data(&Event::Created(declaration.clone())).map_err(unwritten)?;
        let command = key.command(&caller.tenant, &["create", &body]);
        let at = time::after(None, self.effects.now());
        let new = caller.key(AssetId::new(at, self.effects.random()));
        let held = self.reserved(new, &command, at).await?;
        Ok(self.journal.last(&held).await?.is_some())
    }

    /// The id for a command: `new`, unless the command has one already.
    async fn reserved(
        &self,
        new: Key,
        command: &RepeatableCommand,
        at: DateTime<Utc>,
    ) -> Result<Key, Refusal> {
        let wanted = Reservation { key: new, command: command.clone() };
        let held = self.reservations.reserve(&wanted, at).await?;
        if held.command == *command { Ok(held.key) } else { Err(Refusal::Reused) }
    }

    /// Changes an asset, once for each idempotency key. `expected` is the version the asset must
    /// have, if the caller named one. A command that was executed before is answered as it was
    /// then, whatever the asset's version is.
    ///
    /// # Errors
    /// [`Refusal::Reused`] for a key of another command on this asset.
    pub async fn change(
        &self,
        caller: &Caller,
        asset: AssetId,
        expected: Option<u64>,
        change: AssetChange,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered, Refusal> {
        let command = key.map(|key| repeatable(key, caller, asset, expected, &change));
        let (intent, looked) = (Intent::Change(change), &mut Reconciled::default());
        let done = self.drive(caller, asset, expected, &intent, command.as_ref(), looked).await?;
        match intent {
            Intent::Change(AssetChange::Purge) => self.finish_purge(caller, asset, done).await,
            _ => Ok(done),
        }
    }

    /// Destroys the bytes after the request is recorded. The answer is of the second event of the
    /// two, so a repeated request that finds only the first one continues.
    async fn finish_purge(
        &self,
        caller: &Caller,
        asset: AssetId,
        requested: Answered,
    ) -> Result<Answered, Refusal> {
        if requested.history.asset().life == Life::Purged {
            return Ok(Answered { replayed: true, ..Answered::now(requested.history) });
        }
        let (intent, looked) = (Intent::Look(AbsenceProof::Time), &mut Reconciled::default());
        let done = self.drive(caller, asset, None, &intent, None, looked).await?;
        Ok(Answered { replayed: requested.replayed && looked.recorded == 0, ..done })
    }
}

/// The command of a key: what is asked, of which asset, at which version, and why.
fn repeatable(
    key: &IdempotencyKey,
    caller: &Caller,
    asset: AssetId,
    expected: Option<u64>,
    change: &AssetChange,
) -> RepeatableCommand {
    let (asset, expected) = (asset.to_string(), expected.map_or(String::new(), |v| v.to_string()));
    let reason = match change {
        AssetChange::Delete(Some(reason)) => slice::from_ref(reason),
        _ => &[],
    };
    let mut parts = vec![change.name(), &asset, &expected];
    parts.extend(reason.iter().map(Reason::as_str));
    key.command(&caller.tenant, &parts)
}
