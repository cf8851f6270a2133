//! Appends to the access log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, NaiveDate, Utc};

use super::event::UrlGranted;
use super::stream::{LANES, STREAM_MAX, UrlLogStream};
use crate::chain::Hash;
use crate::effects::Effects;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::Tenant;
use crate::journal::{Appended, Journal};
use crate::record::{CommandId, StoredLine, UrlRecord};
use crate::service::{Caller, TRIES, back_off, recorded, unwritten};
use crate::time;

/// Lanes whose ends are remembered: the four of 1,024 tenants. Of others the end is read again.
const REMEMBERED: usize = LANES * 1_024;

/// Why a URL was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum UrlLogError {
    /// Other writers won every race; nothing was appended.
    #[error("the log of URLs is changing too fast")]
    Contended,
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The access log of tenants. Each call names the tenant.
pub struct UrlLog {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) effects: Arc<dyn Effects>,
    /// Events of one stream.
    pub(super) stream_max: u64,
    ends: Mutex<HashMap<LaneKey, LaneSlot>>,
}

/// A lane of a day.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    pub(super) tenant: Tenant,
    pub(super) day: NaiveDate,
    pub(super) lane: usize,
}

/// The end of a lane, for the one task of this process that appends to it. `None`: to be read.
type LaneSlot = Arc<tokio::sync::Mutex<Option<LastUrl>>>;

/// The last event of a lane.
#[derive(Debug, Clone, Copy)]
struct LastUrl {
    /// Its place in the lane, from 1.
    place: u64,
    hash: Hash,
    at: Option<DateTime<Utc>>,
}

impl UrlLog {
    /// The access log in this journal.
    pub fn new(journal: Arc<dyn Journal>, effects: Arc<dyn Effects>) -> Self {
        Self { journal, effects, stream_max: STREAM_MAX, ends: Mutex::default() }
    }

    /// Records that `caller` is given a URL. If this fails, it may still have been recorded.
    pub async fn record(&self, caller: &Caller, granted: &UrlGranted) -> Result<(), UrlLogError> {
        let command = CommandId::fresh(self.effects.random());
        for lost in 0..TRIES {
            if lost > 0 {
                back_off(&*self.effects, lost).await;
            }
            if self.append(caller, granted, command.clone()).await? {
                recorded();
                return Ok(());
            }
        }
        Err(UrlLogError::Contended)
    }

    /// Appends the event to any lane; `false` if another process has its version.
    async fn append(
        &self,
        caller: &Caller,
        event: &UrlGranted,
        command: CommandId,
    ) -> Result<bool, StoreError> {
        let now = self.effects.now();
        let any = usize::try_from(self.effects.random() % LANES as u128).unwrap_or_default();
        let key = LaneKey { tenant: caller.tenant.clone(), day: now.date_naive(), lane: any };
        let slot = self.slot(&key);
        let mut known = slot.lock().await;
        // Whatever happens to this call, a remembered end is one that was once the last.
        let end = match known.take() {
            Some(end) => end,
            None => self.read_end(&key).await?,
        };
        let at = time::after(end.at, now);
        let (stream, before) = self.stream(&key, end.place);
        let (event, cause, version) = (event.clone(), caller.cause(command), before + 1);
        let prev = if version == 1 { Hash::ZERO } else { end.hash };
        let record = UrlRecord { key: stream.clone(), version, event, cause, at, prev };
        record.within_limits().map_err(unwritten)?;
        let line = record.line().map_err(unwritten)?;
        let hash = line.hash();
        let written = match self.journal.append_to(&stream.into(), line.clone()).await? {
            Appended::Written => true,
            // The reply to the first attempt was lost.
            Appended::Taken(held) => held == line,
        };
        *known = written.then_some(LastUrl { place: end.place + 1, hash, at: Some(at) });
        Ok(written)
    }

    fn slot(&self, key: &LaneKey) -> LaneSlot {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if !ends.contains_key(key) && ends.len() >= REMEMBERED {
            // Lanes in use are kept, or two tasks of this process would race.
            ends.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(ends.entry(key.clone()).or_default())
    }

    /// The stream that continues a lane after a place, and the version before it in that stream.
    pub(super) fn stream(&self, key: &LaneKey, place: u64) -> (UrlLogStream, u64) {
        let LaneKey { tenant, day, lane } = key.clone();
        let number = place / self.stream_max * LANES as u64 + lane as u64;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        (UrlLogStream { tenant, day, number }, place % self.stream_max)
    }

    /// The end of a lane, in the last of its streams.
    async fn read_end(&self, key: &LaneKey) -> Result<LastUrl, StoreError> {
        let mut end = LastUrl { place: 0, hash: Hash::ZERO, at: None };
        loop {
            let (stream, _) = self.stream(key, end.place);
            let Some(line) = self.journal.last_of(&stream.clone().into()).await? else {
                return Ok(end);
            };
            let at = Some(read(&stream, &line)?.at);
            end = LastUrl { place: end.place + line.version, hash: line.hash(), at };
            if line.version < self.stream_max {
                return Ok(end);
            }
        }
    }
}

/// An event of a lane.
pub(super) fn read(key: &UrlLogStream, line: &StoredLine) -> Result<UrlRecord, StoreError> {
    use crate::record::RecordError;
    let context = || format!("an event of {}#{} cannot be read", key.tenant, key.name());
    let record = UrlRecord::read_line(&line.body).map_err(|error| {
        let newer = matches!(error, RecordError::Unknown(_));
        let kind = if newer { StoreErrorKind::Newer } else { StoreErrorKind::Corrupt };
        StoreError::caused(kind, context(), error)
    })?;
    let own = record.key == *key && record.version == line.version;
    if own { Ok(record) } else { Err(StoreError::new(StoreErrorKind::Corrupt, context())) }
}
