//! Projecting with a position that follows a local journal: rows and position in one transaction.

use ledger::{StoreError, command_label};

use super::Runner;
use super::batch::{ProjectedAsset, ProjectionHint, by_asset};
use super::time_limit::TimeLimit;
use crate::position::{Position, PositionCommit, Positions};

impl Runner {
    /// Projects the hints and moves a position with them, rows and position in one transaction;
    /// returns whether it was moved. Assets are parked before the position passes their arrival.
    pub(crate) async fn follow(
        &self,
        hints: &[ProjectionHint],
        positions: &dyn Positions,
        from: &Position,
        to: &Position,
    ) -> Result<bool, StoreError> {
        command_label::scope("project", self.follow_all(hints, positions, from, to)).await
    }

    async fn follow_all(
        &self,
        hints: &[ProjectionHint],
        positions: &dyn Positions,
        from: &Position,
        to: &Position,
    ) -> Result<bool, StoreError> {
        let list = self.leased.list().await?;
        let (generations, written) = (list.written().collect::<Vec<_>>(), self.written(&list));
        let (mut told, mut histories) = (Vec::new(), Vec::new());
        for (folded, it) in self.fold_all(by_asset(hints), &written, TimeLimit::default()).await {
            match folded {
                Ok(folded) => {
                    told.push(it);
                    histories.push(folded.history);
                }
                Err(error) => settled(self.failed(&it, error, &written).await)?,
            }
        }
        loop {
            let apart = match positions.commit(&generations, &histories, from, to).await? {
                PositionCommit::Elsewhere => return Ok(false),
                PositionCommit::Moved(puts) => {
                    for ((told, history), put) in told.iter().zip(&histories).zip(puts) {
                        self.measure(told, history.asset(), put);
                    }
                    return Ok(true);
                }
                PositionCommit::Apart(apart) => apart,
            };
            let (told_now, histories_now) =
                (std::mem::take(&mut told), std::mem::take(&mut histories));
            for (it, history) in told_now.into_iter().zip(histories_now) {
                if apart.contains(&it.key) {
                    settled(self.written_to(&it, &history, &written).await)?;
                } else {
                    told.push(it);
                    histories.push(history);
                }
            }
        }
    }
}

fn settled(outcome: ProjectedAsset) -> Result<(), StoreError> {
    match outcome {
        ProjectedAsset::Failed(error) => Err(error),
        ProjectedAsset::Row(_) | ProjectedAsset::Parked => Ok(()),
    }
}
