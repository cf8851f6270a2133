//! Rows made again from their events. The journal is never touched: of a history that is broken,
//! what its row remembers is evidence, and stays.
//!
//! A row that was altered is of the version that it should be, or claims a later one, so that a
//! conditional put would leave it alone; and one that cannot be read has no version to compare.
//! It is therefore taken away first, and then the asset is projected from a history that is loaded
//! after that. Whatever newer row was taken away with it by bad luck was made of events that this
//! history has too. In between, readers of the asset fold its history, as always without a row.

use std::sync::Arc;

use ledger::audit::{Finding, Kind};
use ledger::error;
use ledger::id::Key;
use ledger::journal::Journal;
use ledger::{Effects, StoreError};

use super::{Audit, Walk};
use crate::generations::Generations;
use crate::rows::Rows;
use crate::runner::{Projected, Runner};
use crate::views::{Parked, Put};

/// Who makes rows again, one asset at a time.
#[derive(Clone)]
pub(super) struct Mender {
    /// The journal.
    journal: Arc<dyn Journal>,
    /// The rows.
    views: Arc<dyn Generations>,
    /// The time, for tombstones.
    effects: Arc<dyn Effects>,
}

impl Mender {
    /// Takes the row away, whatever it is.
    async fn erase(&self, key: &Key) -> Result<(), StoreError> {
        let rows = self.rows().await?;
        rows.erase(&key.tenant, rows.part_of(key), &key.asset.to_string()).await
    }

    /// Projects an asset, and says what came of it.
    async fn project(&self, key: &Key) -> Result<String, StoreError> {
        let said = match self.runner().redrive(key).await {
            Some(Projected::Row(Put::Written)) => "the row was written again from its events",
            Some(Projected::Row(Put::Stale)) => "nothing: its row came meanwhile",
            Some(Projected::Parked) => "nothing: its events make no row",
            Some(Projected::Failed(error)) => return Err(error),
            None => "nothing: the journal has no event of it",
        };
        Ok(said.to_owned())
    }

    /// Projects an asset that was set aside, if its events reach as far as it was said to have
    /// come. If they do not, they were lost or never there, and nothing here shows which; without
    /// any, there is no asset to wait for, and what is known of it is in the finding.
    async fn take_up(&self, parked: &Parked) -> Result<String, StoreError> {
        let reaches = match self.journal.last(&parked.key).await {
            Ok(last) => last.map(|last| last.version),
            Err(error) if error.kind == error::Kind::Corrupt => {
                return Ok("nothing: its last event cannot be read".to_owned());
            }
            Err(error) => return Err(error),
        };
        match reaches {
            None => {
                self.rows().await?.let_go(parked).await?;
                Ok("it was let go: the journal has no event of it".to_owned())
            }
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

impl Walk {
    /// Tells findings about one asset, mended first if they can be and should.
    pub(super) async fn mend(&self, key: &Key, found: Vec<Finding>) -> Result<(), StoreError> {
        for finding in found {
            let repair =
                if self.audit.repair { self.repair(key, finding.kind).await? } else { None };
            self.tell(vec![Finding { repair, ..finding }]).await;
        }
        Ok(())
    }

    /// Tells of an asset that was set aside, taken up first if it can be and should.
    pub(super) async fn mend_parked(&self, parked: Parked) -> Result<(), StoreError> {
        let repair =
            if self.audit.repair { Some(self.mender().take_up(&parked).await?) } else { None };
        let finding = Finding::new(Kind::Parked, parked.key.partition(), parked.error);
        self.tell(vec![Finding { repair, ..finding.at(parked.version) }]).await;
        Ok(())
    }

    /// Tells of a row that is no asset's, and takes it away.
    pub(super) async fn mend_orphan(
        &self,
        finding: Finding,
        part: u8,
        id: &str,
    ) -> Result<(), StoreError> {
        let mut repair = None;
        if self.audit.repair {
            self.rows.erase(&self.audit.tenant, part, id).await?;
            repair = Some("the row was taken away".to_owned());
        }
        self.tell(vec![Finding { repair, ..finding }]).await;
        Ok(())
    }

    async fn repair(&self, key: &Key, kind: Kind) -> Result<Option<String>, StoreError> {
        let mender = self.mender();
        match kind {
            Kind::RowMissing | Kind::RowStale => mender.project(key).await.map(Some),
            Kind::RowAltered => {
                mender.erase(key).await?;
                mender.project(key).await.map(Some)
            }
            Kind::RowOrphaned => {
                mender.erase(key).await?;
                Ok(Some("the row was taken away".to_owned()))
            }
            _ => Ok(None),
        }
    }

    fn mender(&self) -> Mender {
        let Audit { journal, views, effects, .. } = &self.audit;
        let (journal, views, effects) = (journal.clone(), views.clone(), effects.clone());
        Mender { journal, views, effects }
    }
}
