//! The audit of journal and rows. It runs beside the writers.
//!
//! The audit walks the journal in segments, examines each history, and compares it with its row. If
//! journal and rows are in one order, it reads the rows beside the histories, and so meets rows
//! without a history. Otherwise it walks the rows afterwards. It reports no mismatch after a single
//! read, because both change: it reads a mismatch again, the row before the history. A history that
//! is then shorter than its row has lost events, and a late row has time to arrive.

mod beside;
mod followed;
mod judge;
mod mend;
mod suspects;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use futures::stream::{StreamExt, TryStreamExt, iter};
use ledger::audit::{Finding, FindingKind, inspect_with, odd, sound};
use ledger::error;
use ledger::id::{Key, Tenant};
use ledger::journal::Journal;
use ledger::journal::scan::{Chain, Chains, Segment};
use ledger::{Effects, StoreError};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use self::beside::{PlacedRow, RowsInOrder};
use self::judge::{ObservedRow, RowVerdict, is_row_of, judge};
use self::suspects::{Suspect, Suspects};
use crate::current::CurrentGeneration;
use crate::generations::Generations;
use crate::rows::{Rows, StoredRow};
use crate::totals::TotalsDrift;
use crate::views::Views;

pub use self::followed::followed;
pub use self::mend::{Mended, Mender};

/// Rows of a segment that are looked up at once.
const AT_ONCE: usize = 32;
/// Histories that a segment reads together, and the events after which there are fewer: about a
/// page of the journal.
const GROUP: usize = 256;
const GROUP_EVENTS: usize = 1_000;
/// Groups that are read ahead.
const AHEAD: usize = 1;
/// Parked assets that are reported. The rest is omitted.
const PARKED: usize = 1000;

/// The channel of findings. The receiver sets the pace.
pub type Findings = mpsc::Sender<Finding>;

/// Counts of what was read so far.
#[derive(Debug, Default)]
pub struct AuditProgress {
    assets: AtomicU64,
    streams: AtomicU64,
    events: AtomicU64,
    rows: AtomicU64,
}

impl AuditProgress {
    /// Histories of assets, events of those and of named streams, and rows.
    #[must_use]
    pub fn figures(&self) -> (u64, u64, u64) {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        (read(&self.assets), read(&self.events), read(&self.rows))
    }

    /// Named streams.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams.load(Ordering::Relaxed)
    }
}

/// An audit.
#[derive(Clone)]
pub struct RowAudit {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The rows.
    pub views: Arc<dyn Generations>,
    /// The tenant whose rows are compared; all tenants if `None`. Histories of all tenants are
    /// examined in either case.
    pub tenant: Option<Tenant>,
    /// The time, for tombstones.
    pub effects: Arc<dyn Effects>,
    /// How long no late row may make progress before all of them are stale.
    pub patience: Duration,
    /// Whether wrong rows are rebuilt from their events.
    pub repair: bool,
    /// The number of segments of the journal that are walked concurrently.
    pub segments: u32,
}

impl RowAudit {
    /// Audits everything, and sends the findings.
    pub async fn run(
        &self,
        findings: &Findings,
        told: &Arc<AuditProgress>,
    ) -> Result<(), StoreError> {
        let list = self.views.generations().await?;
        let rows = self.views.rows(list.current);
        let walk = AuditWalk {
            audit: self.clone(),
            current: Arc::new(CurrentGeneration::new(self.views.clone())),
            drift: Arc::new(TotalsDrift::new(rows.totals(self.tenant.as_ref()).await?)),
            rows,
            findings: findings.clone(),
            progress: told.clone(),
        };
        let (mut segments, tenants) = (JoinSet::new(), walk.tenants().await?);
        let all = self.journal.segments(self.segments).await?;
        let in_order = beside::is_possible(self.journal.ordered(), &all, &*walk.rows);
        for segment in all {
            let rows = in_order.then(|| RowsInOrder::new(&walk.rows, tenants.clone(), &segment));
            let walk = walk.clone();
            segments.spawn(async move { walk.segment(&segment, rows).await });
        }
        while let Some(done) = segments.join_next().await {
            done.map_err(cut)??;
        }
        for tenant in walk.tenants().await? {
            if !in_order || !tenants.contains(&tenant) {
                walk.rows(&tenant).await?;
            }
            walk.parked(&tenant).await?;
        }
        walk.mend_totals().await?;
        Ok(())
    }
}

impl RowAudit {
    fn holds(&self, tenant: &Tenant) -> bool {
        self.tenant.as_ref().is_none_or(|narrowed| narrowed == tenant)
    }
}

/// An audit in progress.
#[derive(Clone)]
struct AuditWalk {
    audit: RowAudit,
    /// The generation that readers use.
    current: Arc<CurrentGeneration>,
    /// The generation that was current when the audit began.
    rows: Arc<dyn Rows>,
    /// The totals that were stored when the audit began.
    drift: Arc<TotalsDrift>,
    findings: Findings,
    progress: Arc<AuditProgress>,
}

impl AuditWalk {
    /// Audits every history of a segment, and its row: of `rows`, which are then all audited, or
    /// looked up.
    async fn segment(
        &self,
        segment: &Segment,
        mut rows: Option<RowsInOrder>,
    ) -> Result<(), StoreError> {
        let (give, mut groups) = mpsc::channel(AHEAD);
        let mut reader = JoinSet::new();
        reader.spawn(read(self.audit.journal.clone(), segment.clone(), give));
        let mut suspects = Suspects::default();
        loop {
            let Some(some) = groups.recv().await.transpose()? else {
                // Without a reader that ended well there may be more.
                reader.join_next().await.transpose().map_err(cut)?;
                if let Some(rows) = &mut rows {
                    self.without_history(rows, None).await?;
                }
                return suspects.settle(self).await;
            };
            let streams = some.iter().filter(|chain| chain.stream().is_some()).count();
            let assets = (some.len() - streams) as u64;
            let events = some.iter().map(|chain| (chain.lines.len() + chain.strays.len()) as u64);
            self.progress.streams.fetch_add(streams as u64, Ordering::Relaxed);
            self.progress.assets.fetch_add(assets, Ordering::Relaxed);
            self.progress.events.fetch_add(events.sum(), Ordering::Relaxed);
            if let Some(rows) = &mut rows {
                for chain in some {
                    suspects.add(self.beside(chain, rows).await?);
                }
            } else {
                let looks = iter(some).map(|chain| self.first(chain.key(), chain, None));
                let looks = looks.buffer_unordered(AT_ONCE).try_collect::<Vec<_>>();
                suspects.add(looks.await?.into_iter().flatten());
            }
            if suspects.is_full() {
                suspects.settle(self).await?;
            }
        }
    }

    /// Compares a history with its row among `rows`, after those before it, which have none.
    async fn beside(
        &self,
        found: Chain,
        rows: &mut RowsInOrder,
    ) -> Result<Option<Suspect>, StoreError> {
        // A partition of no asset may come in another order.
        let key = found.key();
        let own = match key {
            Some(_) => self.without_history(rows, Some(&found.partition)).await?,
            None => None,
        };
        if let (Some(key), Some(own)) = (&key, &own)
            && self.audit.holds(&key.tenant)
            && let Some(asset) = sound(key, &found)
            && own.row.is_written_as(&asset)
            && self.drift.add_settled(&asset)
        {
            return Ok(None);
        }
        let read = own.map(|own| own.row.read(&own.tenant).asset);
        self.first(key, found, Some(ObservedRow::of(read.transpose())?)).await
    }

    /// Audits the rows before a history as rows without one, and returns the row after them if it
    /// is the one of that history.
    async fn without_history(
        &self,
        rows: &mut RowsInOrder,
        partition: Option<&str>,
    ) -> Result<Option<PlacedRow>, StoreError> {
        while let Some(next) = rows.next(partition).await? {
            self.progress.rows.fetch_add(1, Ordering::Relaxed);
            if partition.is_some_and(|partition| next.order(partition).is_eq()) {
                return Ok(Some(next));
            }
            let PlacedRow { tenant, row, .. } = next;
            self.speaks_of(&tenant, 0, &row.read(&tenant)).await?;
        }
        Ok(None)
    }

    /// The first comparison, of a history as the walk read it. It may have grown since. The row is
    /// looked up if it is not given.
    async fn first(
        &self,
        key: Option<Key>,
        found: Chain,
        row: Option<ObservedRow>,
    ) -> Result<Option<Suspect>, StoreError> {
        let Some(key) = key.filter(|key| self.audit.holds(&key.tenant)) else {
            self.tell(inspect_with(&found, &[]).findings).await;
            return Ok(None);
        };
        let seen = match row {
            Some(row) => row,
            None => self.row(&key).await?,
        };
        let now = self.audit.effects.now();
        // The usual case, without what only a finding needs.
        if let Some(asset) = sound(&key, &found)
            && is_row_of(&asset, &seen, now)
            && self.drift.add_settled(&asset)
        {
            return Ok(None);
        }
        self.tell(odd(&found)).await;
        let judged = judge(&found, &seen, now);
        match &judged.history {
            Some(history) => self.drift.add(history),
            None => self.drift.broken(&key.tenant),
        }
        match judged.verdict {
            RowVerdict::Sound => Ok(None),
            RowVerdict::Waiting(_) | RowVerdict::Wrong(_) => Ok(Some(Suspect::new(key, found))),
        }
    }

    /// Reads the row of an asset and then its history, so the history has every event of the row.
    async fn look(&self, suspect: &Suspect) -> Result<(ObservedRow, RowVerdict), StoreError> {
        let seen = self.row(&suspect.key).await?;
        let chain = match &suspect.strange {
            Some(strange) => strange.clone(),
            None => Chain {
                partition: suspect.key.partition(),
                lines: self.audit.journal.history(&suspect.key).await?,
                strays: Vec::new(),
            },
        };
        let judged = judge(&chain, &seen, self.audit.effects.now());
        Ok((seen, judged.verdict))
    }

    async fn row(&self, key: &Key) -> Result<ObservedRow, StoreError> {
        ObservedRow::of(self.current.get(key).await)
    }

    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError> {
        match &self.audit.tenant {
            Some(tenant) => Ok([tenant.clone()].into()),
            None => self.rows.tenants().await,
        }
    }

    /// Audits every row of a tenant: each must have a history.
    async fn rows(&self, tenant: &Tenant) -> Result<(), StoreError> {
        for part in 0..self.rows.parts() {
            let mut after = None;
            loop {
                let page = self.rows.page(tenant, part, after.as_deref()).await?;
                for some in page.rows.chunks(AT_ONCE) {
                    self.progress.rows.fetch_add(some.len() as u64, Ordering::Relaxed);
                    try_join_all(some.iter().map(|row| self.speaks_of(tenant, part, row))).await?;
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn speaks_of(
        &self,
        tenant: &Tenant,
        part: u8,
        row: &StoredRow,
    ) -> Result<(), StoreError> {
        let misplaced = async |says: &str| {
            let name = format!("{tenant}#{}", row.id);
            let finding = Finding::new(FindingKind::RowOrphaned, name, says);
            self.mend_orphan(finding, tenant, part, &row.id).await
        };
        let Ok(asset) = row.id.parse() else {
            return misplaced("a row of what can be no asset").await;
        };
        let key = Key { tenant: tenant.clone(), asset };
        if self.rows.part_of(&key) != part {
            return misplaced("a row in a part of the table that is not its asset's").await;
        }
        match self.audit.journal.last(&key).await {
            Ok(None) => {
                let suspect = Suspect::of(key);
                let (_, verdict) = self.look(&suspect).await?;
                self.mend(&suspect.key, verdict.findings()).await
            }
            // The walk of the journal has reported faults of the history.
            Ok(Some(_)) => Ok(()),
            Err(error) if error.kind.is_of_one_asset() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn parked(&self, tenant: &Tenant) -> Result<(), StoreError> {
        let parked = self.current.parked(tenant, PARKED).await?;
        for parked in parked {
            self.mend_parked(parked).await?;
        }
        Ok(())
    }

    async fn tell(&self, findings: Vec<Finding>) {
        // A receiver that is gone has stopped the audit.
        join_all(findings.into_iter().map(|finding| self.findings.send(finding))).await;
    }
}

/// Reads the histories of a segment, a few at a time, until its end, an error, or the end of the
/// receiver.
async fn read(
    journal: Arc<dyn Journal>,
    segment: Segment,
    give: mpsc::Sender<Result<Vec<Chain>, StoreError>>,
) {
    let mut chains = Chains::new(&*journal, &segment, None);
    loop {
        let some = some(&mut chains).await;
        let (last, failed) = (some.as_ref().is_ok_and(Vec::is_empty), some.is_err());
        if last || give.send(some).await.is_err() || failed {
            return;
        }
    }
}

/// The next few histories; none at the end.
async fn some(chains: &mut Chains<'_>) -> Result<Vec<Chain>, StoreError> {
    let (mut some, mut events) = (Vec::with_capacity(GROUP), 0);
    while some.len() < GROUP && events < GROUP_EVENTS {
        match chains.next().await? {
            Some(chain) => {
                events += chain.lines.len() + chain.strays.len();
                some.push(chain);
            }
            None => break,
        }
    }
    Ok(some)
}

fn cut(error: JoinError) -> StoreError {
    StoreError::caused(error::StoreErrorKind::Unavailable, "an audit broke off", error)
}

#[cfg(test)]
mod tests {
    use ledger::error::StoreErrorKind;
    use ledger::journal::JournalDecorator;
    use ledger::journal::scan::{ScanPosition, Scanned};
    use ledger::testing::MemoryJournal;

    use super::*;
    use crate::testing::{Clock, MemoryViews, Story};

    /// A journal that cannot be scanned.
    struct Unscanned {
        journal: MemoryJournal,
        panics: bool,
    }

    impl JournalDecorator for Unscanned {
        type Inner = MemoryJournal;

        fn inner(&self) -> &MemoryJournal {
            &self.journal
        }

        async fn page(&self, _: &Segment, _: Option<&ScanPosition>) -> Result<Scanned, StoreError> {
            assert!(!self.panics, "a scan that panics");
            Err(StoreError::new(StoreErrorKind::Corrupt, "the page cannot be read"))
        }
    }

    #[tokio::test]
    async fn a_scan_that_breaks_off_is_no_clean_audit() {
        for (panics, says) in [(false, "the page cannot be read"), (true, "an audit broke off")] {
            let journal = MemoryJournal::default();
            Story::begin("main", 1).append_to(&journal).await;
            let audit = RowAudit {
                journal: Arc::new(Unscanned { journal, panics }),
                views: Arc::new(MemoryViews::default()),
                tenant: None,
                effects: Arc::new(Clock::default()),
                patience: Duration::ZERO,
                repair: false,
                segments: 1,
            };
            let (findings, _received) = mpsc::channel(1);
            let error = audit.run(&findings, &Arc::default()).await.unwrap_err();
            assert_eq!(error.to_string(), says);
        }
    }
}
