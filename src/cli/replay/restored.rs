//! A journal that was put back from a copy, beside rows that followed another one.

use anyhow::{Context, bail};
use projections::follower::LOST;
use projections::position::{Position, PositionCommit, Positions};
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::OpenMode;

use crate::cli::store_options::{StoreKind, StoreOptions};

/// The journal of a data folder and how far its rows have followed it.
pub(super) struct Followed {
    journal: SqliteJournal,
    views: SqliteViews,
    /// The journal's end when this was opened: whatever came before is in a scan that begins later.
    end: Position,
}

impl Followed {
    /// Of a data folder; tables on AWS keep no position.
    pub(super) async fn open(stores: &StoreOptions) -> anyhow::Result<Option<Self>> {
        if stores.store != StoreKind::Sqlite {
            return Ok(None);
        }
        let journal = SqliteJournal::open(stores.folder(), OpenMode::Existing).await?;
        let views = SqliteViews::open(stores.folder(), OpenMode::OrCreate)?;
        let end = Position::last_of(&journal).await?;
        Ok(Some(Self { journal, views, end }))
    }

    /// Refuses rows that followed another journal: a person says whether that is meant.
    pub(super) async fn refuse_another(&self) -> anyhow::Result<()> {
        if self.views.load().await?.is_in(&self.journal).await? {
            return Ok(());
        }
        bail!("{LOST}")
    }

    /// Lets following go on from where the journal ended before its rows were made, if it could
    /// not go on from where it is.
    pub(super) async fn accept(&self) -> anyhow::Result<()> {
        loop {
            let from = self.views.load().await?;
            if from.is_in(&self.journal).await? {
                return Ok(());
            }
            let moved = self.views.commit(&[], &[], &from, &self.end).await;
            if matches!(
                moved.context("cannot move the cursor of the rows")?,
                PositionCommit::Moved(_)
            ) {
                return Ok(());
            }
        }
    }
}
