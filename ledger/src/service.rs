//! Commands on assets: load, observe S3, decide, append. After a lost race, retry from the load.
//!
//! A decision never uses an observation from before the load: an observation of S3 older than the
//! history could pin bytes that are already replaced.

mod change;
mod execute;
mod reconcile;
#[cfg(test)]
mod tests;

pub use self::change::{Answered, AssetChange};
pub(crate) use self::execute::back_off;

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::Poll;

use crate::absences::{Absences, MemoryAbsences};
use crate::asset::{Asset, Rejection};
use crate::effects::Effects;
use crate::error::{StoreError, StoreErrorKind};
use crate::history::{History, HistoryError, HistoryReader};
use crate::id::{AssetId, Key, Tenant};
use crate::journal::Journal;
use crate::objects::Objects;
use crate::quarantine::Quarantine;
use crate::record::{Cause, CommandId, EventRecord, EventSource, StoredLine, subject};
use crate::reservations::{MemoryReservations, Reservations};
use crate::time;

/// Races that a command may lose before it fails: more mean too much contention on the asset.
pub(crate) const TRIES: u32 = 5;

/// Events that are read before other tasks may run: about half a millisecond of work.
const SLICE: usize = 128;

/// The actor of changes that S3 reports. S3 does not know who held the URL.
pub const S3_ACTOR: &str = "s3.amazonaws.com";

/// The caller of a command: tenant, actor, source and request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant of the assets.
    pub tenant: Tenant,
    /// The actor; at most 128 bytes.
    pub actor: String,
    /// The source of the event.
    pub source: EventSource,
    /// The request id, for the log; at most 64 bytes.
    pub request: String,
    /// Whether the caller reaches only the assets that its subject created.
    pub own_only: bool,
}

/// Why a command was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Other writers won every race; nothing was appended.
    #[error("the asset is changing too fast")]
    Contended,
    /// A row has another event than the history; an operator must decide.
    #[error("the asset's history is contradicted; `verify` tells more")]
    Contradicted,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    Reused,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The result of reconciling an asset with its object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// The number of events appended.
    pub recorded: u32,
    /// The number of versions deleted because the asset is purged or being purged.
    pub swept: usize,
    /// Whether a newer version covers the pinned one of a confirmed asset.
    pub overwrite: bool,
    /// Whether the pinned version is missing and may come back.
    pub missing: bool,
}

/// The intent of a command.
#[derive(Debug, Clone)]
enum Intent {
    Look(AbsenceProof),
    Change(AssetChange),
}

/// Why a missing pinned version may be considered gone.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AbsenceProof {
    /// Not asked: a confirmation records nothing and notes nothing about a missing version.
    NotAsked,
    /// The version has been missing for long.
    Time,
    /// S3 reports that this version was removed.
    Removed(String),
    /// An operator confirms it.
    Accepted,
}

/// The ledger's commands.
pub struct LedgerService {
    journal: Arc<dyn Journal>,
    objects: Arc<dyn Objects>,
    absences: Arc<dyn Absences>,
    reservations: Arc<dyn Reservations>,
    effects: Arc<dyn Effects>,
    bucket: String,
    quarantine: Option<Arc<dyn Quarantine>>,
}

impl LedgerService {
    /// Commands on assets whose files are in `bucket`. Each call names the tenant.
    pub fn new(
        journal: Arc<dyn Journal>,
        objects: Arc<dyn Objects>,
        effects: Arc<dyn Effects>,
        bucket: impl Into<String>,
    ) -> Self {
        let absences = Arc::new(MemoryAbsences::default());
        let reservations = Arc::new(MemoryReservations::default());
        let (bucket, quarantine) = (bucket.into(), None);
        Self { journal, objects, absences, reservations, effects, bucket, quarantine }
    }

    /// The same, with durable notes about missing versions. By default they end with the process.
    #[must_use]
    pub fn noting(self, absences: Arc<dyn Absences>) -> Self {
        Self { absences, ..self }
    }

    /// The same, with durable reservations for idempotency keys. By default they end with the
    /// process.
    #[must_use]
    pub fn reserving(self, reservations: Arc<dyn Reservations>) -> Self {
        Self { reservations, ..self }
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

    /// Reconciles an asset with its object and records changes. Every notification of S3 leads
    /// here, whatever its content: late, duplicate and reordered notifications change nothing.
    ///
    /// A missing pinned version is considered gone only by a second observation, more than 15
    /// minutes after the first.
    pub async fn look(&self, caller: &Caller, asset: AssetId) -> Result<Reconciled, Refusal> {
        self.look_on(caller, asset, AbsenceProof::Time).await
    }

    /// The same, after S3 reported the removal of `version_id`: if that is the pinned version and
    /// it is missing, it is gone.
    pub async fn look_for_removed(
        &self,
        caller: &Caller,
        asset: AssetId,
        version_id: &str,
    ) -> Result<Reconciled, Refusal> {
        self.look_on(caller, asset, AbsenceProof::Removed(version_id.to_owned())).await
    }

    /// The same, for an operator who confirms that a missing pinned version will not come back.
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
        self.drive(caller, asset, None, &Intent::Look(grounds), None, &mut looked).await?;
        Ok(looked)
    }

    /// All events of an asset; `None` if it never existed.
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

    /// The only owner whose assets the caller reaches; `None` if it reaches all.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.own_only.then(|| subject(&self.actor))
    }

    /// Whether the caller reaches the asset. One that it does not reach does not exist for it.
    #[must_use]
    pub fn reaches(&self, asset: &Asset) -> bool {
        self.owner().is_none_or(|owner| asset.owner.as_deref() == Some(owner))
    }

    pub(crate) fn cause(&self, command: CommandId) -> Cause {
        let Self { actor, source, request, .. } = self.clone();
        Cause { actor, source, request, command }
    }
}

/// Counts an event whose append returned.
pub(crate) fn recorded() {
    metrics::counter!("asset_ledger_events_recorded").increment(1);
}

/// A history read from stored lines. A long one is read in slices, and other tasks of the same
/// thread run between them.
pub async fn fold(key: &Key, lines: Vec<StoredLine>) -> Result<Option<History>, StoreError> {
    let mut reader = HistoryReader::new(key);
    for (read, line) in lines.into_iter().enumerate() {
        if read > 0 && read.is_multiple_of(SLICE) {
            yield_now().await;
        }
        reader.push(line).map_err(|error| broken(&key.partition(), error))?;
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

/// A history read from stored lines.
pub fn read(key: &Key, lines: Vec<StoredLine>) -> Result<Option<History>, StoreError> {
    History::read(key, lines).map_err(|error| broken(&key.partition(), error))
}

/// The history of a partition cannot be read.
pub(crate) fn broken(name: &str, error: HistoryError) -> StoreError {
    if error.is_unknown() {
        let context = format!("the history of {name} holds an event of a newer version");
        return StoreError::caused(StoreErrorKind::Newer, context, error);
    }
    StoreError::caused(StoreErrorKind::Corrupt, format!("the history of {name} is broken"), error)
}

/// The line of an event that is within its limits. Readers check the same limits.
fn line(record: &EventRecord) -> Result<StoredLine, Refusal> {
    if !time::is_recordable(record.at) {
        return Err(Rejection::OutOfTime.into());
    }
    record.within_limits().map_err(unwritten)?;
    Ok(record.line().map_err(unwritten)?)
}

/// An event that its own reader refuses, detected before it is written.
pub(crate) fn unwritten(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::caused(
        StoreErrorKind::Corrupt,
        "the next event cannot be recorded as it would be",
        error,
    )
}

fn vanished() -> Refusal {
    StoreError::new(StoreErrorKind::Corrupt, "a history that was there is gone").into()
}
