//! Rebuilds rows from their events. The journal is never changed. If a history is broken, its row
//! is evidence and stays.
//!
//! An altered row has the correct version or a later one, so a conditional put would not replace
//! it. An unreadable row has no version to compare. Therefore the row is erased first, and then the
//! asset is projected from a history that is loaded after that. A newer row that is erased in a
//! race was folded from events that this history has too. In between, readers fold the asset's
//! history, as for any missing row.

use std::sync::Arc;

use ledger::audit::{Finding, FindingKind, examine};
use ledger::id::{Key, Tenant};
use ledger::journal::Journal;
use ledger::journal::scan::Chain;
use ledger::{Effects, StoreError};

use super::judge::{ObservedRow, is_witness, judge};
use super::{AuditWalk, RowAudit};
use crate::generations::Generations;
use crate::rows::Rows;
use crate::runner::{ProjectedAsset, Runner};
use crate::totals::TenantSums;
use crate::views::{Parked, PutOutcome};

/// Rebuilds rows, one asset at a time.
#[derive(Clone)]
pub struct Mender {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The rows.
    pub views: Arc<dyn Generations>,
    /// The time, for tombstones.
    pub effects: Arc<dyn Effects>,
}

/// The result for an asset's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// It was the fold of its events.
    Sound,
    /// It was rebuilt.
    Anew,
    /// Its events fold to no row: the asset is parked.
    Parked,
    /// It contradicts the journal and was left as it is: it may be evidence.
    Disputed(Vec<Finding>),
    /// The journal has no event of the asset.
    Unknown,
}

impl Mender {
    /// Reads the row of one asset, and rebuilds it if it is not the fold of its events.
    pub async fn mend(&self, key: &Key) -> Result<Mended, StoreError> {
        // The row first, so the history has every event of the row.
        let seen = ObservedRow::of(self.rows().await?.get(key).await)?;
        let lines = self.journal.history(key).await?;
        if lines.is_empty() {
            return Ok(Mended::Unknown);
        }
        let chain = Chain { partition: key.partition(), lines, strays: Vec::new() };
        let findings = judge(&chain, &seen, self.effects.now()).verdict.findings();
        match findings.first().map(|finding| finding.kind) {
            None | Some(FindingKind::RowMissing | FindingKind::RowStale) => {}
            Some(FindingKind::RowAltered) if is_witness(&chain, &seen) => {
                return Ok(Mended::Disputed(findings));
            }
            Some(FindingKind::RowAltered) => self.erase(key).await?,
            Some(_) if examine(&chain).is_empty() => return Ok(Mended::Disputed(findings)),
            Some(_) => {} // a broken history, which parks it
        }
        let projected = self.runner().redrive(key).await;
        if matches!(projected, Some(ProjectedAsset::Row(PutOutcome::Written | PutOutcome::Stale))) {
            // The row matches its events now.
            self.let_go(key).await?;
        }
        match projected {
            Some(ProjectedAsset::Row(PutOutcome::Contradicted(_)) | ProjectedAsset::Parked) => {
                Ok(Mended::Parked)
            }
            Some(ProjectedAsset::Row(PutOutcome::Stale)) if findings.is_empty() => {
                Ok(Mended::Sound)
            }
            Some(ProjectedAsset::Row(_)) => Ok(Mended::Anew),
            Some(ProjectedAsset::Failed(error)) => Err(error),
            None => Ok(Mended::Unknown),
        }
    }

    /// Accepts the journal's state of an asset over its row, by an operator's decision: the row is
    /// erased and rebuilt, and the asset is unparked.
    pub async fn accept(&self, key: &Key) -> Result<Mended, StoreError> {
        self.erase(key).await?;
        self.let_go(key).await?;
        match self.runner().redrive(key).await {
            Some(ProjectedAsset::Row(PutOutcome::Written | PutOutcome::Stale)) => Ok(Mended::Anew),
            Some(ProjectedAsset::Row(PutOutcome::Contradicted(_)) | ProjectedAsset::Parked) => {
                Ok(Mended::Parked)
            }
            Some(ProjectedAsset::Failed(error)) => Err(error),
            None => Ok(Mended::Unknown),
        }
    }

    /// Unparks the asset.
    async fn let_go(&self, key: &Key) -> Result<(), StoreError> {
        let rows = self.rows().await?;
        for parked in rows.parked(&key.tenant, usize::MAX).await? {
            if parked.key == *key {
                rows.let_go(&parked).await?;
            }
        }
        Ok(())
    }

    /// Erases the row, whatever its content.
    async fn erase(&self, key: &Key) -> Result<(), StoreError> {
        let rows = self.rows().await?;
        rows.erase(&key.tenant, rows.part_of(key), &key.asset.to_string()).await
    }

    /// Projects an asset, and reports the result.
    async fn project(&self, key: &Key) -> Result<String, StoreError> {
        let said = match self.runner().redrive(key).await {
            Some(ProjectedAsset::Row(PutOutcome::Written)) => {
                "the row was written again from its events"
            }
            Some(ProjectedAsset::Row(PutOutcome::Stale)) => "nothing: its row came meanwhile",
            Some(ProjectedAsset::Row(PutOutcome::Contradicted(_)) | ProjectedAsset::Parked) => {
                "nothing: its events make no row, or not the one that is there"
            }
            Some(ProjectedAsset::Failed(error)) => return Err(error),
            None => "nothing: the journal has no event of it",
        };
        Ok(said.to_owned())
    }

    /// Projects a parked asset if its events reach the version that was reported. If they do not,
    /// they were lost or never existed, and this function cannot tell which. A contradicted asset
    /// is unparked only if its row and its events match again.
    async fn take_up(&self, parked: &Parked) -> Result<String, StoreError> {
        let reaches = match self.journal.last(&parked.key).await {
            Ok(last) => last.map(|last| last.version),
            Err(error) if error.kind.is_of_one_asset() => {
                return Ok("nothing: its last event cannot be read".to_owned());
            }
            Err(error) => return Err(error),
        };
        match reaches {
            None => Ok(format!(
                "nothing: the journal has no event of it: either it lost them, or this was set \
                 aside wrongly; `replay --asset {} --accept-restored` lets go of it",
                parked.key.label()
            )),
            Some(_) if parked.contradicted => match self.mend(&parked.key).await? {
                Mended::Sound | Mended::Anew => {
                    Ok("it was let go: its row and its events are at one".to_owned())
                }
                _ => Ok(format!(
                    "nothing: `replay --asset {} --accept-restored` accepts the journal's version",
                    parked.key.label()
                )),
            },
            Some(reaches) if reaches < parked.version => Ok(format!(
                "nothing: the journal ends at version {reaches}: either it lost events, or this \
                 was set aside wrongly"
            )),
            Some(_) => self.project(&parked.key).await,
        }
    }

    fn runner(&self) -> Runner {
        Runner::new(self.journal.clone(), self.views.clone(), self.effects.clone())
    }

    async fn rows(&self) -> Result<Arc<dyn Rows>, StoreError> {
        Ok(self.views.rows(self.views.generations().await?.current))
    }
}

impl AuditWalk {
    /// Sends the findings about one asset, after a repair if that is possible and enabled.
    pub(super) async fn mend(&self, key: &Key, found: Vec<Finding>) -> Result<(), StoreError> {
        for finding in found {
            let repair =
                if self.audit.repair { self.repair(key, finding.kind).await? } else { None };
            self.tell(vec![Finding { repair, ..finding }]).await;
        }
        Ok(())
    }

    /// Reports a parked asset, after projecting it if that is possible and enabled.
    pub(super) async fn mend_parked(&self, parked: Parked) -> Result<(), StoreError> {
        let repair =
            if self.audit.repair { Some(self.mender().take_up(&parked).await?) } else { None };
        let finding = Finding::new(FindingKind::Parked, parked.key.partition(), parked.error);
        self.tell(vec![Finding { repair, ..finding.at(parked.version) }]).await;
        Ok(())
    }

    /// Reports a row that belongs to no asset, and erases it.
    pub(super) async fn mend_orphan(
        &self,
        finding: Finding,
        tenant: &Tenant,
        part: u8,
        id: &str,
    ) -> Result<(), StoreError> {
        let mut repair = None;
        if self.audit.repair {
            self.rows.erase(tenant, part, id).await?;
            repair = Some("the row was taken away".to_owned());
        }
        self.tell(vec![Finding { repair, ..finding }]).await;
        Ok(())
    }

    /// Reports drifted totals, and sums the rows of their tenants again if that is enabled.
    pub(super) async fn mend_totals(&self) -> Result<(), StoreError> {
        let RowAudit { journal, effects, repair, tenant, .. } = &self.audit;
        for (tenant, finding) in self.drift.findings(tenant.as_ref()) {
            let mut repaired = None;
            if *repair {
                let sums = TenantSums::of(&*self.rows, &tenant, &**journal, &**effects).await?;
                sums.store(&*self.rows).await?;
                repaired = Some("the rows of the tenant were summed again".to_owned());
            }
            self.tell(vec![Finding { repair: repaired, ..finding }]).await;
        }
        Ok(())
    }

    async fn repair(&self, key: &Key, kind: FindingKind) -> Result<Option<String>, StoreError> {
        let mender = self.mender();
        match kind {
            FindingKind::RowMissing | FindingKind::RowStale => mender.project(key).await.map(Some),
            FindingKind::RowAltered => Ok(Some(altered(key, &mender.mend(key).await?))),
            // It may be the last trace of an asset whose events were removed.
            FindingKind::RowOrphaned => Ok(Some(format!(
                "nothing: the row may be evidence; `replay --asset {} --accept-restored` takes it \
                 away",
                key.label()
            ))),
            _ => Ok(None),
        }
    }

    fn mender(&self) -> Mender {
        let RowAudit { journal, views, effects, .. } = &self.audit;
        let (journal, views, effects) = (journal.clone(), views.clone(), effects.clone());
        Mender { journal, views, effects }
    }
}

/// The result for a row that was not the fold of its events.
fn altered(key: &Key, mended: &Mended) -> String {
    match mended {
        Mended::Anew => "the row was written again from its events".to_owned(),
        Mended::Sound => "nothing: its row came meanwhile".to_owned(),
        Mended::Parked => {
            "nothing: its events make no row, or not the one that is there".to_owned()
        }
        Mended::Unknown => "nothing: the journal has no event of it".to_owned(),
        Mended::Disputed(_) => format!(
            "nothing: the row is of an event that the journal does not have, and may be evidence; \
             `replay --asset {} --accept-restored` accepts the journal's version",
            key.label()
        ),
    }
}

#[cfg(test)]
mod tests {
    use ledger::asset::Asset;
    use ledger::chain::Hash;
    use ledger::testing::MemoryJournal;

    use super::*;
    use crate::testing::{Clock, MemoryViews, Story};
    use crate::views::Views;

    /// Repairs a row beside the first `events` of a story; returns the result and the row.
    async fn mended(events: usize, row: Option<Asset>) -> (Mended, Option<Asset>) {
        let mut story = story();
        story.lines.truncate(events);
        let (journal, views) = (MemoryJournal::default(), Arc::new(MemoryViews::default()));
        story.append_to(&journal).await;
        if let Some(row) = row {
            views.put(&row).await.unwrap();
        }
        let (journal, effects) = (Arc::new(journal), Arc::new(Clock::default()));
        let mended = Mender { journal, views: views.clone(), effects }.mend(&story.key).await;
        (mended.unwrap(), views.get(&story.key).await.unwrap())
    }

    fn story() -> Story {
        Story::begin("main", 1).received().uploaded()
    }

    #[tokio::test]
    async fn a_row_is_made_anew_unless_its_events_made_it() {
        let made = Some(story().asset());
        assert_eq!(mended(3, made.clone()).await, (Mended::Sound, made.clone()));
        let other = |row: Asset| Some(Asset { updated_at: row.created_at, ..row });
        let unowned = Some(Asset { owner: None, ..story().asset() });
        for row in
            [None, Some(story().at(2)), other(story().at(2)), other(story().asset()), unowned]
        {
            assert_eq!(mended(3, row.clone()).await, (Mended::Anew, made.clone()), "{row:?}");
        }
        let later = Some(Asset { version: 99, ..story().asset() });
        assert_eq!(mended(3, later).await, (Mended::Anew, made));
    }

    #[tokio::test]
    async fn a_row_that_remembers_other_events_is_left() {
        let beyond = Some(story().asset());
        let rewritten = Some(Asset { head: Hash::of(b"x"), ..story().asset() });
        for (events, row, kind) in
            [(2, beyond.clone(), FindingKind::Truncated), (3, rewritten, FindingKind::Edited)]
        {
            let (said, there) = mended(events, row.clone()).await;
            let Mended::Disputed(findings) = said else { panic!("{said:?}") };
            assert_eq!((findings[0].kind, there), (kind, row));
        }
        // An event was cut, and others were appended.
        let replaced = Some(Asset { head: Hash::of(b"x"), ..story().at(2) });
        let (said, there) = mended(3, replaced.clone()).await;
        let Mended::Disputed(findings) = said else { panic!("{said:?}") };
        assert_eq!((findings[0].kind, there), (FindingKind::RowAltered, replaced));
        assert_eq!(mended(0, beyond.clone()).await, (Mended::Unknown, beyond));
        assert_eq!(mended(0, None).await, (Mended::Unknown, None));
    }

    #[tokio::test]
    async fn a_broken_history_makes_no_row() {
        let story = story();
        let (journal, views) = (MemoryJournal::default(), Arc::new(MemoryViews::default()));
        for nth in [0, 2] {
            journal.append(&story.key, story.lines[nth].clone()).await.unwrap();
        }
        let (journal, effects) = (Arc::new(journal), Arc::new(Clock::default()));
        let mender = Mender { journal, views: views.clone(), effects };
        assert_eq!(mender.mend(&story.key).await.unwrap(), Mended::Parked);
        assert_eq!(views.parked(&story.key.tenant, 9).await.unwrap().len(), 1);
    }
}
