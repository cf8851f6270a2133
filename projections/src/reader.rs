//! Reads: a single asset is always current, lists may lag by a moment.
//!
//! Reads never write. A late row will arrive anyway, and a repair here would double the load while
//! the runner is behind. An altered row has its version already, and a put of the same version
//! would not replace it. It is reported, and a rebuild repairs it.

use std::cmp::Reverse;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use ledger::StoreError;
use ledger::asset::Asset;
use ledger::error::chain;
use ledger::id::Key;
use ledger::journal::Journal;
use ledger::service;

use crate::follower::FollowerProgress;
use crate::measure;
use crate::views::{AssetPage, ListQuery, UnreadableRow, Views};

/// Histories that are read concurrently in place of unreadable rows.
const FOLDS: usize = 16;

/// The entry point of the read side.
#[derive(Clone)]
pub struct Reader {
    journal: Arc<dyn Journal>,
    views: Arc<dyn Views>,
    rows: Option<FollowerProgress>,
}

impl Reader {
    /// Reads rows from `views` and checks them against `journal`.
    pub fn new(journal: Arc<dyn Journal>, views: Arc<dyn Views>) -> Self {
        Self { journal, views, rows: None }
    }

    /// The same with a follower in this process, which may not have projected all events yet.
    #[must_use]
    pub fn made_by(self, rows: FollowerProgress) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// The current state of the asset, also of a purged one; `None` if it never existed.
    ///
    /// The row is used only if it is the fold of the journal's last event. A late row, or one with
    /// an altered head, is detected on every read and folded anew.
    pub async fn current(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        let (row, last) = tokio::join!(self.views.get_eventually(key), self.journal.last(key));
        let Some(last) = last.map_err(|error| error.about(key))? else { return Ok(None) };
        // An unavailable read table costs speed, not answers: the journal is the source of truth.
        let row = row.unwrap_or_else(|error| {
            let asset = key.partition();
            tracing::warn!(asset, kind = ?error.kind, cause = chain(&error), "cannot read a row");
            None
        });
        if let Some(row) = &row
            && row.version == last.version
            && row.head == last.hash()
        {
            return Ok(Some(row.clone()));
        }
        let asset = self.folded(key).await?;
        tell_apart(row.as_ref(), asset.as_ref());
        Ok(asset)
    }

    /// A page of assets, newest first; it may lag by a moment.
    ///
    /// An asset whose row is unreadable is folded from the journal. If its history is unreadable
    /// too, the page omits it and has all other assets.
    pub async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError> {
        // Asked before the read: rows that are completed meanwhile do no harm.
        let incomplete = match &self.rows {
            Some(rows) => rows.is_filling().await,
            None => false,
        };
        let mut page = self.views.list(query).await?;
        page.incomplete |= incomplete;
        let unreadable = std::mem::take(&mut page.unreadable);
        if unreadable.is_empty() {
            return Ok(page);
        }
        let folds = unreadable.into_iter().map(|row| self.instead(query, row));
        let folded: Vec<_> = stream::iter(folds).buffered(FOLDS).try_collect().await?;
        page.assets.extend(folded.into_iter().flatten());
        page.assets.sort_unstable_by_key(|asset| Reverse(asset.key.asset));
        Ok(page)
    }

    /// The journal's state of an asset whose row is unreadable, if it belongs to the list.
    async fn instead(
        &self,
        query: &ListQuery,
        row: UnreadableRow,
    ) -> Result<Option<Asset>, StoreError> {
        let key = Key { tenant: query.tenant.clone(), asset: row.asset };
        let asset = key.partition();
        measure::unreadable();
        tracing::warn!(asset, cause = row.error, "cannot read a row of a list");
        let left_out = |cause: &str| {
            measure::left_out();
            tracing::warn!(asset, cause, "an asset was left out of a list");
            Ok(None)
        };
        match self.folded(&key).await {
            Ok(Some(found)) => Ok(Some(found).filter(|found| query.takes(found))),
            Ok(None) => left_out("it has no event"),
            Err(error) if error.kind.is_of_one_asset() => left_out(&chain(&error)),
            Err(error) => Err(error),
        }
    }

    async fn folded(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        let history = self.journal.history(key).await.map_err(|error| error.about(key))?;
        let history = service::fold(key, history).await?;
        Ok(history.map(|history| history.asset().clone()))
    }
}

/// Logs why a row was not used. Only a late row is normal. The asset was read after the row, so a
/// row beyond it cannot have been folded from this journal.
fn tell_apart(row: Option<&Asset>, asset: Option<&Asset>) {
    let (Some(row), Some(asset)) = (row, asset) else { return };
    let (name, at, reached) = (asset.key.partition(), row.version, asset.version);
    if row.version > asset.version {
        tracing::warn!(
            asset = name,
            row = at,
            journal = reached,
            "a row has events that the journal does not have"
        );
    } else if row.version == asset.version && row.head != asset.head {
        tracing::warn!(
            asset = name,
            version = at,
            "a row was altered: its head differs from the event's hash"
        );
    } else {
        tracing::debug!(asset = name, row = at, journal = reached, "a row lags");
    }
}

#[cfg(test)]
mod unreadable;

#[cfg(test)]
mod tests {
    use ledger::chain::Hash;
    use ledger::testing::{Faulty, InjectedFault, MemoryJournal};

    use super::*;
    use crate::testing::{MemoryViews, Story};

    struct World {
        journal: Arc<MemoryJournal>,
        views: Arc<MemoryViews>,
        story: Story,
    }

    /// An asset of three events in the journal, without a row.
    async fn world() -> World {
        let story = Story::begin("main", 1).received().uploaded();
        let journal = Arc::new(MemoryJournal::default());
        story.append_to(&*journal).await;
        World { journal, views: Arc::default(), story }
    }

    impl World {
        async fn assert_current(&self) {
            let reader = Reader::new(self.journal.clone(), self.views.clone());
            assert_eq!(reader.current(&self.story.key).await.unwrap(), Some(self.story.asset()));
        }
    }

    #[tokio::test]
    async fn what_never_existed_is_nothing_even_if_there_is_a_row() {
        let World { journal, views, .. } = world().await;
        let stranger = Story::begin("main", 2);
        views.put(&stranger.asset()).await.unwrap();
        let reader = Reader::new(journal, views);
        assert_eq!(reader.current(&stranger.key).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_row_that_is_missing_or_lags_is_not_believed() {
        let world = world().await;
        world.assert_current().await;
        for version in 1..=3 {
            world.views.put(&world.story.at(version)).await.unwrap();
            world.assert_current().await;
        }
    }

    #[tokio::test]
    async fn a_row_whose_head_was_altered_or_that_is_beyond_the_journal_is_not_believed() {
        let mut altered = world().await.story.asset();
        altered.head = Hash::of(b"forged");
        altered.declared.filename = Some("forged.pdf".to_owned());
        let beyond = world().await.story.deleted().asset();
        for doubtful in [altered, beyond] {
            let world = world().await;
            world.views.put(&doubtful).await.unwrap();
            world.assert_current().await;
        }
    }

    #[tokio::test]
    async fn a_row_that_is_current_saves_folding_the_history() {
        let World { story, .. } = world().await;
        let journal = Faulty::planned(MemoryJournal::default(), |name| {
            (name == "history").then_some(InjectedFault::Before)
        });
        story.append_to(journal.inner()).await;
        let views = MemoryViews::default();
        views.put(&story.asset()).await.unwrap();
        let reader = Reader::new(Arc::new(journal), Arc::new(views));
        assert_eq!(reader.current(&story.key).await.unwrap(), Some(story.asset()));
    }

    #[tokio::test]
    async fn a_read_table_that_is_away_costs_no_answers() {
        let World { journal, story, .. } = world().await;
        let views = Faulty::planned(MemoryViews::default(), |_| Some(InjectedFault::Before));
        let reader = Reader::new(journal, Arc::new(views));
        assert_eq!(reader.current(&story.key).await.unwrap(), Some(story.asset()));
    }
}
