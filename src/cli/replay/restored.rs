//! A journal that was restored from a copy, with rows that followed another one.

use anyhow::{Context, bail};
use projections::follower::LOST;
use projections::position::{Position, PositionCommit, Positions};
use stores::SqliteJournal;
use stores::SqliteViews;
use stores::sqlite::OpenMode;

use crate::cli::store_options::{StoreKind, StoreOptions};

/// The journal of a data folder, and the position of its rows.
pub(super) struct Followed {
    journal: SqliteJournal,
    views: SqliteViews,
    /// The journal's end when this was opened: a scan that begins later has all events before it.
    end: Position,
}

impl Followed {
    /// For a data folder; tables on AWS have no position.
    pub(super) async fn open(stores: &StoreOptions) -> anyhow::Result<Option<Self>> {
        if stores.store != StoreKind::Sqlite {
            return Ok(None);
        }
        let journal = SqliteJournal::open(stores.folder(), OpenMode::Existing).await?;
        let views = SqliteViews::open(stores.folder(), OpenMode::OrCreate)?;
        let end = Position::last_of(&journal).await?;
        Ok(Some(Self { journal, views, end }))
    }

    /// Refuses rows that followed another journal: an operator must confirm the restore.
    pub(super) async fn refuse_another(&self) -> anyhow::Result<()> {
        if self.views.load().await?.is_in(&self.journal).await? {
            return Ok(());
        }
        bail!("{LOST}")
    }

    /// Lets following continue from the journal's end before its rows were built, if it cannot
    /// continue from its own position.
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
