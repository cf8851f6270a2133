//! Rows made again from their events. The journal is never touched: of a history that is broken,
//! what its row remembers is evidence, and stays.
//!
//! A row that was altered is of the version that it should be, or claims a later one, so that a
//! conditional put would leave it alone; and one that cannot be read has no version to compare.
//! It is therefore taken away first, and then the asset is projected from a history that is loaded
//! after that. Whatever newer row was taken away with it by bad luck was made of events that this
//! history has too. In between, readers of the asset fold its history, as always without a row.

use ledger::StoreError;
use ledger::audit::{Finding, Kind};
use ledger::id::Key;

use super::Walk;
use crate::rows::Rows;
use crate::runner::{Projected, Runner};

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
        match kind {
            Kind::RowMissing | Kind::RowStale | Kind::Parked => self.project(key).await.map(Some),
            Kind::RowAltered => {
                self.erase(key).await?;
                self.project(key).await.map(Some)
            }
            Kind::RowOrphaned => {
                self.erase(key).await?;
                Ok(Some("the row was taken away".to_owned()))
            }
            _ => Ok(None),
        }
    }

    async fn erase(&self, key: &Key) -> Result<(), StoreError> {
        let list = self.audit.views.generations().await?;
        let rows = self.audit.views.rows(list.current);
        rows.erase(&key.tenant, rows.part_of(key), &key.asset.to_string()).await
    }

    async fn project(&self, key: &Key) -> Result<String, StoreError> {
        let (journal, views) = (self.audit.journal.clone(), self.audit.views.clone());
        let runner = Runner::new(journal, views, self.audit.effects.clone());
        match runner.redrive(key).await {
            Some(Projected::Row(_)) => Ok("the row was written again from its events".to_owned()),
            Some(Projected::Parked) => Ok("nothing: its events make no row".to_owned()),
            Some(Projected::Failed(error)) => Err(error),
            None => Ok("nothing: the journal has no event of it".to_owned()),
        }
    }
}
