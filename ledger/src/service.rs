//! Commands on assets: load, look, decide, append; and if somebody was faster, again from the load.
//!
//! Nothing is decided on what was seen before the load: a look at S3 that is older than the
//! history it is weighed against could pin bytes that are already replaced.

mod execute;
mod reconcile;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::Poll;

use crate::absences::{Absences, MemoryAbsences};
use crate::asset::{Declaration, Event, Reason, Rejection};
use crate::chain::Hash;
use crate::effects::Effects;
use crate::error::{StoreError, StoreErrorKind};
use crate::history::{History, HistoryError, HistoryReader};
use crate::id::{AssetId, Key, Tenant};
use crate::journal::{Appended, Journal};
use crate::objects::Objects;
use crate::quarantine::Quarantine;
use crate::record::{Cause, CommandId, EventRecord, EventSource, StoredLine};
use crate::time;

/// Races that a command may lose before it gives up: beyond this the asset is being fought over.
const TRIES: u32 = 5;

/// Events that are read before other tasks run: about half a millisecond of work.
const SLICE: usize = 128;

/// The actor of what S3 reports. Who held the URL is not known to S3 either.
pub const S3_ACTOR: &str = "s3.amazonaws.com";

/// Who asks, for which tenant, through which door, and in which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For whose assets.
    pub tenant: Tenant,
    /// Who; at most 128 bytes.
    pub actor: String,
    /// Through which door.
    pub source: EventSource,
    /// The request, for finding it in logs; at most 64 bytes.
    pub request: String,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Others were faster, again and again; nothing was appended.
    #[error("the asset is changing too fast")]
    Contended,
    /// Something remembers another event than its history has; a person has to decide.
    #[error("the asset's history is contradicted; `verify` tells more")]
    Contradicted,
    /// A store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a look at an asset's object led to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Events appended.
    pub recorded: u32,
    /// Versions deleted because the asset is, or is being, purged.
    pub swept: usize,
    /// Whether a version lies over the pinned one of a confirmed asset.
    pub overwrite: bool,
    /// Whether the pinned version is missing, and may come back.
    pub missing: bool,
}

/// What somebody wants of an asset.
#[derive(Debug, Clone)]
enum Intent {
    Look(AbsenceProof),
    Confirm,
    Delete(Option<Reason>),
    Restore,
    Purge,
}

/// Why a pinned version that is missing may be taken to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AbsenceProof {
    /// Nobody asks: whoever confirms records nothing of it, and notes nothing.
    NotAsked,
    /// It has been missing for long.
    Time,
    /// S3 says that this version was removed.
    Removed(String),
    /// A person says so.
    Accepted,
}

/// The ledger's commands.
pub struct LedgerService {
    journal: Arc<dyn Journal>,
    objects: Arc<dyn Objects>,
    absences: Arc<dyn Absences>,
    effects: Arc<dyn Effects>,
    bucket: String,
    quarantine: Option<Arc<dyn Quarantine>>,
}

impl LedgerService {
    /// The commands on assets whose files are in `bucket`. The tenant comes with each call.
    pub fn new(
        journal: Arc<dyn Journal>,
        objects: Arc<dyn Objects>,
        effects: Arc<dyn Effects>,
        bucket: impl Into<String>,
    ) -> Self {
        let absences = Arc::new(MemoryAbsences::default());
        let (bucket, quarantine) = (bucket.into(), None);
        Self { journal, objects, absences, effects, bucket, quarantine }
    }

    /// The same, noting durably what is missing. Without that, notes end with the process.
    #[must_use]
    pub fn noting(self, absences: Arc<dyn Absences>) -> Self {
        Self { absences, ..self }
    }

    /// Refuses commands on the assets that `quarantine` holds.
    #[must_use]
    pub fn guarded(self, quarantine: Arc<dyn Quarantine>) -> Self {
        Self { quarantine: Some(quarantine), ..self }
    }

    /// The bucket that files are uploaded to.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Announces a file. One write and no read: nobody else can know the new id.
    pub async fn create(
        &self,
        caller: &Caller,
        declaration: Declaration,
    ) -> Result<History, Refusal> {
        let command = CommandId::fresh(self.effects.random());
        for _ in 0..TRIES {
            let at = time::after(None, self.effects.now());
            let key = caller.key(AssetId::new(at, self.effects.random()));
            let event = Event::Created(declaration.clone());
            let cause = caller.cause(command.clone());
            let record = EventRecord { key, version: 1, event, cause, at, prev: Hash::ZERO };
            let line = line(&record)?;
            let first = History::read(&record.key, vec![line.clone()]).map_err(unwritten)?;
            match self.journal.append(&record.key, line).await? {
                Appended::Written => {
                    recorded();
                    return first.ok_or_else(vanished);
                }
                Appended::Taken(held) => {
                    // Ours, if the reply to an earlier try was lost; else a chance in 2^62.
                    let history = read(&record.key, vec![held])?;
                    if let Some(ours) = history.filter(|h| h.by_command(&command).is_some()) {
                        return Ok(ours);
                    }
                }
            }
        }
        Err(Refusal::Contended)
    }

    /// Confirms an upload, recording first that the bytes were received if nobody has yet.
    /// `expected` is the version the asset must be at, where the caller named one.
    pub async fn confirm(
        &self,
        caller: &Caller,
        asset: AssetId,
        expected: Option<u64>,
    ) -> Result<History, Refusal> {
        self.drive(caller, asset, expected, &Intent::Confirm, &mut Reconciled::default()).await
    }

    /// Hides an asset. Its bytes stay.
    pub async fn delete(
        &self,
        caller: &Caller,
        asset: AssetId,
        expected: Option<u64>,
        reason: Option<Reason>,
    ) -> Result<History, Refusal> {
        self.drive(caller, asset, expected, &Intent::Delete(reason), &mut Reconciled::default())
            .await
    }

    /// Brings a deleted asset back as it was.
    pub async fn restore(
        &self,
        caller: &Caller,
        asset: AssetId,
        expected: Option<u64>,
    ) -> Result<History, Refusal> {
        self.drive(caller, asset, expected, &Intent::Restore, &mut Reconciled::default()).await
    }

    /// Destroys the bytes of a deleted asset. If S3 fails half way, the request stays recorded and
    /// asking again goes on from there.
    pub async fn purge(
        &self,
        caller: &Caller,
        asset: AssetId,
        expected: Option<u64>,
    ) -> Result<History, Refusal> {
        let looked = &mut Reconciled::default();
        self.drive(caller, asset, expected, &Intent::Purge, looked).await?;
        self.drive(caller, asset, None, &Intent::Look(AbsenceProof::Time), looked).await
    }

    /// Looks at an asset's object and records what changed. Every notification of S3 comes to
    /// this, whatever it says: late, double and reordered ones then change nothing.
    ///
    /// A pinned version that is missing is taken to be gone only by a second look, more than 15
    /// minutes after the first.
    pub async fn look(&self, caller: &Caller, asset: AssetId) -> Result<Reconciled, Refusal> {
        self.look_on(caller, asset, AbsenceProof::Time).await
    }

    /// The same, because S3 says that `version_id` was removed: if that is the pinned version, and
    /// it is missing, it is gone.
    pub async fn look_for_removed(
        &self,
        caller: &Caller,
        asset: AssetId,
        version_id: &str,
    ) -> Result<Reconciled, Refusal> {
        self.look_on(caller, asset, AbsenceProof::Removed(version_id.to_owned())).await
    }

    /// The same, for a person who knows that a pinned version that is missing will not come back.
    pub async fn accept_missing(
        &self,
        caller: &Caller,
        asset: AssetId,
    ) -> Result<Reconciled, Refusal> {
        self.look_on(caller, asset, AbsenceProof::Accepted).await
    }

    async fn look_on(
        &self,
        caller: &Caller,
        asset: AssetId,
        grounds: AbsenceProof,
    ) -> Result<Reconciled, Refusal> {
        let mut looked = Reconciled::default();
        self.drive(caller, asset, None, &Intent::Look(grounds), &mut looked).await?;
        Ok(looked)
    }

    /// Everything that happened to an asset; `None` if it never existed.
    pub async fn history(&self, key: &Key) -> Result<Option<History>, StoreError> {
        fold(key, self.journal.history(key).await.map_err(|error| error.about(key))?).await
    }
}

impl Caller {
    /// The key of one of the tenant's assets.
    #[must_use]
    pub fn key(&self, asset: AssetId) -> Key {
        Key { tenant: self.tenant.clone(), asset }
    }

    fn cause(&self, command: CommandId) -> Cause {
        let Self { actor, source, request, .. } = self.clone();
        Cause { actor, source, request, command }
    }
}

/// Counts an event whose append was answered.
fn recorded() {
    metrics::counter!("asset_ledger_events_recorded").increment(1);
}

/// A history read from what a journal holds. A long one is read in slices, and other tasks of the
/// same thread run between them.
pub async fn fold(key: &Key, lines: Vec<StoredLine>) -> Result<Option<History>, StoreError> {
    let mut reader = HistoryReader::new(key);
    for (read, line) in lines.into_iter().enumerate() {
        if read > 0 && read.is_multiple_of(SLICE) {
            yield_now().await;
        }
        reader.push(line).map_err(|error| broken(key, error))?;
    }
    Ok(reader.finish())
}

/// Lets other tasks run. Independent of the runtime.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A history read from what a journal holds.
pub fn read(key: &Key, lines: Vec<StoredLine>) -> Result<Option<History>, StoreError> {
    History::read(key, lines).map_err(|error| broken(key, error))
}

fn broken(key: &Key, error: HistoryError) -> StoreError {
    let name = key.partition();
    if error.is_unknown() {
        let context = format!("the history of {name} holds an event of a newer version");
        return StoreError::caused(StoreErrorKind::Newer, context, error);
    }
    StoreError::caused(StoreErrorKind::Corrupt, format!("the history of {name} is broken"), error)
}

/// The line of an event that is within its limits, which readers hold it to as well.
fn line(record: &EventRecord) -> Result<StoredLine, Refusal> {
    if !time::is_recordable(record.at) {
        return Err(Rejection::OutOfTime.into());
    }
    record.within_limits().map_err(unwritten)?;
    Ok(record.line().map_err(unwritten)?)
}

/// An event that its own reader refuses, which is seen before it is written.
fn unwritten(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::caused(
        StoreErrorKind::Corrupt,
        "the next event cannot be recorded as it would be",
        error,
    )
}

fn vanished() -> Refusal {
    StoreError::new(StoreErrorKind::Corrupt, "a history that was there is gone").into()
}
