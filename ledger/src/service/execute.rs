//! Executes a command: find the next event, append it, and after a lost race retry from the load.

use std::time::Duration;

use super::{
    AbsenceProof, Answered, AssetChange, Caller, Intent, LedgerService, Reconciled, Refusal,
    S3_ACTOR, TRIES, line, unwritten, vanished,
};
use crate::asset::{Asset, AssetStatus, Command, Event, Rejection, decide, has_room};
use crate::backoff::Backoff;
use crate::effects::Effects;
use crate::error::StoreError;
use crate::history::History;
use crate::id::AssetId;
use crate::idempotency::RepeatableCommand;
use crate::journal::Appended;
use crate::record::{Cause, CommandId, EventRecord, EventSource};
use crate::time;

/// Events that one call may record in a row; each is a change of the object seen in between.
const STEPS: u32 = 8;
/// The longest wait after a lost race, by the number of races lost before.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(8), Duration::from_secs(1));

impl LedgerService {
    pub(super) async fn drive(
        &self,
        caller: &Caller,
        asset: AssetId,
        mut expected: Option<u64>,
        intent: &Intent,
        repeatable: Option<&RepeatableCommand>,
        looked: &mut Reconciled,
    ) -> Result<Answered, Refusal> {
        let fresh = || CommandId::fresh(self.effects.random());
        let (own, key) = (repeatable.map_or_else(fresh, RepeatableCommand::id), caller.key(asset));
        let reached = self.history(&key).await?.filter(|history| caller.reaches(history.asset()));
        let mut history = reached.ok_or(Rejection::NotFound)?;
        if let Some(quarantine) = &self.quarantine
            && quarantine.holds(&key).await?
        {
            let asset = key.label();
            tracing::error!(
                asset,
                "refused: the asset is contradicted; `verify` tells more, and \
                `replay --asset ID --accept-restored` accepts the journal's version"
            );
            return Err(Refusal::Contradicted);
        }
        let (mut lost, mut steps, mut replayed) = (0, 0, true);
        while steps < STEPS {
            if let Some(done) = history.by_command(&own) {
                let version = done.record.version;
                return Ok(Answered { history, version, replayed });
            }
            if repeatable.is_some_and(|command| history.has_key_of(command)) {
                return Err(Refusal::Reused);
            }
            check_version(history.asset(), expected)?;
            let next = self.next(&history, intent, looked).await?;
            let Some((event, command)) = next else { return Ok(Answered::now(history)) };
            has_room(history.asset(), &event)?;
            let mut cause = caller.cause(command.unwrap_or_else(|| own.clone()));
            if seen_in_s3(&event, intent) {
                cause.source = EventSource::S3;
                S3_ACTOR.clone_into(&mut cause.actor);
            }
            if let Some(longer) = self.append(history, event, cause).await? {
                history = longer;
                replayed = history.by_command(&own).is_none();
                expected = expected.map(|_| history.asset().version);
                looked.recorded += 1;
                steps += 1;
            } else {
                lost += 1;
                if lost == TRIES {
                    break;
                }
                back_off(&*self.effects, lost).await;
                history = self.history(&key).await?.ok_or_else(vanished)?;
            }
        }
        Err(Refusal::Contended)
    }

    /// The next event that the intent leads to, and its command id if that is derived from the
    /// observation and not the caller's own.
    async fn next(
        &self,
        history: &History,
        intent: &Intent,
        looked: &mut Reconciled,
    ) -> Result<Option<(Event, Option<CommandId>)>, Refusal> {
        let asset = history.asset();
        let awaits_bytes = matches!(asset.status(), AssetStatus::Created | AssetStatus::Received);
        let command = match intent {
            Intent::Look(grounds) => return self.observe(history, grounds, looked).await,
            Intent::Change(AssetChange::Confirm) => {
                if awaits_bytes {
                    let seen = self.observe(history, &AbsenceProof::NotAsked, looked).await?;
                    if seen.is_some() {
                        return Ok(seen);
                    }
                    if looked.missing {
                        // An asset without bytes has none to confirm.
                        return Err(Rejection::NotReceived(AssetStatus::Created).into());
                    }
                }
                Command::Confirm
            }
            Intent::Change(AssetChange::Delete(reason)) => Command::Delete(reason.clone()),
            Intent::Change(AssetChange::Restore) => {
                // A command that the rules refuse anyway needs no observation.
                let matters = asset.status() == AssetStatus::Deleted;
                Command::Restore { pin_exists: !matters || self.pin_exists(asset).await? }
            }
            Intent::Change(AssetChange::Purge) => Command::Purge,
        };
        Ok(decide(asset, &command)?.map(|event| (event, None)))
    }

    /// Appends an event after the asset's last, if it can be read back as a part of the history;
    /// `None` if another event has that version. If the same bytes have it, the reply to an earlier
    /// attempt was lost.
    async fn append(
        &self,
        history: History,
        event: Event,
        cause: Cause,
    ) -> Result<Option<History>, Refusal> {
        let asset = history.asset();
        let record = EventRecord {
            key: asset.key.clone(),
            version: asset.version + 1,
            event,
            cause,
            at: time::after(Some(asset.updated_at), self.effects.now()),
            prev: asset.head,
        };
        let line = line(&record)?;
        let longer = History::recorded(Some(history), record, line.clone()).map_err(unwritten)?;
        let key = &longer.asset().key;
        let about = |error: StoreError| error.about(key);
        match self.journal.append(key, line.clone()).await.map_err(about)? {
            Appended::Taken(held) if held != line => Ok(None),
            Appended::Taken(_) | Appended::Written => {
                super::recorded();
                Ok(Some(longer))
            }
        }
    }
}

/// Waits for a short random time, so that writers that raced once do not race again in step.
pub(crate) async fn back_off(effects: &dyn Effects, lost: u32) {
    let longest = BACKOFF.pause(lost - 1);
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    let chance = u64::try_from(effects.random() >> 64).unwrap_or(0) % micros.max(1);
    tokio::time::sleep(Duration::from_micros(chance)).await;
}

fn check_version(asset: &Asset, expected: Option<u64>) -> Result<(), Rejection> {
    match expected {
        Some(version) if version != asset.version => {
            Err(Rejection::VersionConflict { actual: asset.version })
        }
        _ => Ok(()),
    }
}

/// A delete marker is S3's own soft delete, and its source is S3 for every observer.
fn seen_in_s3(event: &Event, intent: &Intent) -> bool {
    let looks = matches!(intent, Intent::Look(_) | Intent::Change(AssetChange::Confirm));
    looks && matches!(event, Event::SoftDeleted { .. })
}
