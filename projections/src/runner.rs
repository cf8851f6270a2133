//! Projects: folds assets from the journal to rows, prompted by hints.
//!
//! A hint says "asset A has reached version n". The row is then folded anew from A's whole history;
//! a hint is never applied to a row. Late, duplicate, reordered and lost hints change only the
//! delay.
//!
//! In a feed of lanes, the events that an asset's row lacks are announced before the row is
//! written. So no row is ahead of the feed, and the row shows which events are to be announced.

mod batch;
mod follow;
mod time_limit;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use futures::{StreamExt, stream};
use ledger::asset::Asset;
use ledger::error::{StoreErrorKind, chain};
use ledger::history::History;
use ledger::id::Key;
use ledger::journal::Journal;
use ledger::{Effects, StoreError, command_label, service};
use tokio::time::Instant;

use crate::feed::{Announcement, Announcer, FeedLane};
use crate::generations::{self, Generation, GenerationList, Generations, LeasedList};
use crate::measure;
use crate::quarantine::ContradictedAssets;
use crate::rows::Rows;
use crate::views::{Parked, PutOutcome};

use batch::{AssetHints, by_asset};
pub use batch::{BatchReport, FailedHint, ProjectedAsset, ProjectionHint};
use time_limit::TimeLimit;

/// Assets projected concurrently. Enough that their writes share a group commit and the round trips
/// to a remote store overlap; few enough not to throttle it.
const AT_ONCE: usize = 16;
/// Bytes kept of a parked asset's error message: a forged event may make it long.
const ERROR_MAX: usize = 1024;

/// Writes rows folded from the journal, to every listed generation.
#[derive(Clone)]
pub struct Runner {
    journal: Arc<dyn Journal>,
    views: Arc<dyn Generations>,
    effects: Arc<dyn Effects>,
    announcer: Option<Announcer>,
    told: Option<Arc<ContradictedAssets>>,
    leased: Arc<LeasedList>,
}

impl Runner {
    /// A runner from `journal` to `views`. If the feed is stored with the rows, it also announces
    /// the events, so no writer of rows can omit this.
    pub fn new(
        journal: Arc<dyn Journal>,
        views: Arc<dyn Generations>,
        effects: Arc<dyn Effects>,
    ) -> Self {
        let announcer = views.lanes().map(|lanes| Announcer::new(lanes, effects.clone()));
        let leased = Arc::new(LeasedList::new(views.clone(), effects.clone()));
        Self { journal, views, effects, announcer, told: None, leased }
    }

    /// Announces events also if the read table has no feed of its own.
    #[must_use]
    pub fn announcing(self, announcer: Announcer) -> Self {
        Self { announcer: Some(announcer), ..self }
    }

    /// Reports contradicted assets to the command side of this process.
    #[must_use]
    pub fn telling(self, told: Arc<ContradictedAssets>) -> Self {
        Self { told: Some(told), ..self }
    }

    /// Projects each asset that the hints name, once, in its current state. A failure of one asset
    /// never stops the others.
    ///
    /// The list of generations is chosen after the hints, and before any fold, and its lease is not
    /// over then. An older list could lack a generation that was announced meanwhile. If the scan
    /// that fills that generation had passed the asset before the event, the event would be missing
    /// there.
    pub async fn project(&self, hints: &[ProjectionHint]) -> BatchReport {
        command_label::scope("project", self.project_all(hints, TimeLimit::default())).await
    }

    /// [`Runner::project`], ended at `end`. The assets that were not reached have failed. Those of
    /// the first hints are begun first.
    pub async fn project_until(&self, hints: &[ProjectionHint], end: Instant) -> BatchReport {
        command_label::scope("project", self.project_all(hints, TimeLimit::until(end))).await
    }

    async fn project_all(&self, hints: &[ProjectionHint], limit: TimeLimit) -> BatchReport {
        if hints.is_empty() {
            return BatchReport::default();
        }
        let written = match limit.fold(self.leased.list()).await {
            Ok(list) => self.written(&list),
            Err(error) => return BatchReport::failed(hints.len(), &error),
        };
        let mut report = BatchReport::default();
        for (told, outcome) in self.run(by_asset(hints), &written, limit).await {
            report.count(outcome, &told.hints);
        }
        report.failed.sort_by_key(|failed| failed.hint);
        report
    }

    /// Projects a parked asset again from the journal, after an operator has checked the cause.
    /// `None` if the journal has no event of it: the id may be mistyped, and nothing is parked.
    pub async fn redrive(&self, key: &Key) -> Option<ProjectedAsset> {
        let known = async { Ok((self.journal.last(key).await?, self.leased.renewed().await?)) };
        let (last, written) = match known.await {
            Ok((last, present)) => (last?, self.written(&present)),
            Err(error) => return Some(ProjectedAsset::Failed(error)),
        };
        let (lines, hints) = (Vec::new(), Vec::new());
        let told = vec![AssetHints { key: key.clone(), version: last.version, lines, hints }];
        let outcome = self.run(told, &written, TimeLimit::default()).await.pop();
        outcome.map(|(_, outcome)| outcome)
    }

    /// Drops expired tombstones and expired generations, and returns the number of rows.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        let now = self.effects.now();
        let list = self.views.generations().await?;
        let tombstones = self.views.rows(list.current).sweep(now).await?;
        Ok(tombstones + generations::tidy(&*self.views, now).await?)
    }

    fn written(&self, list: &GenerationList) -> TargetGenerations {
        let rows = list.written().map(|generation| self.views.rows(generation)).collect();
        TargetGenerations { current: list.current, rows }
    }

    /// Folds all, then announces all, then writes all: a common announcement takes few entries.
    async fn run(
        &self,
        told: Vec<AssetHints>,
        to: &TargetGenerations,
        limit: TimeLimit,
    ) -> Vec<(AssetHints, ProjectedAsset)> {
        let write = |(folded, told): (Result<FoldedAsset, StoreError>, AssetHints)| async move {
            let write = async {
                match folded {
                    Ok(folded) => self.written_to(&told, &folded.history, to).await,
                    Err(error) => self.failed(&told, error, to).await,
                }
            };
            let outcome = limit.write(write).await;
            (told, outcome)
        };
        let folded = self.fold_all(told, to, limit).await;
        stream::iter(folded).map(write).buffer_unordered(AT_ONCE).collect().await
    }

    /// Folds all and announces all. An asset that could not be announced is an error, not written.
    async fn fold_all(
        &self,
        told: Vec<AssetHints>,
        to: &TargetGenerations,
        limit: TimeLimit,
    ) -> Vec<(Result<FoldedAsset, StoreError>, AssetHints)> {
        let fold =
            |told: AssetHints| async move { (limit.fold(self.folded(&told, to)).await, told) };
        let folded: Vec<_> = stream::iter(told).map(fold).buffered(AT_ONCE).collect().await;
        let lanes = folded.iter().map(|(_, told)| FeedLane::of(&told.key));
        let unheard = limit.announce(self.announce(&folded), lanes).await;
        let heard = |(folded, told): (Result<FoldedAsset, StoreError>, AssetHints)| match unheard
            .get(&FeedLane::of(&told.key))
        {
            Some(error) if folded.is_ok() => (Err(error.clone()), told),
            _ => (folded, told),
        };
        folded.into_iter().map(heard).collect()
    }

    async fn folded(
        &self,
        told: &AssetHints,
        to: &TargetGenerations,
    ) -> Result<FoldedAsset, StoreError> {
        let history = self.fold(told).await?;
        let announced = match &self.announcer {
            // A redrive may follow the removal of a row, which a replica may still show.
            Some(_) if told.hints.is_empty() => version(to, &told.key).await?,
            Some(_) => announced(to, &history).await?,
            None => 0,
        };
        Ok(FoldedAsset { history, announced })
    }

    /// Announces the events that the rows lack, and returns the lanes that failed.
    async fn announce(
        &self,
        folded: &[(Result<FoldedAsset, StoreError>, AssetHints)],
    ) -> BTreeMap<FeedLane, StoreError> {
        let Some(announcer) = &self.announcer else { return BTreeMap::new() };
        let folded = folded.iter().filter_map(|(folded, _)| folded.as_ref().ok());
        let news =
            folded.map(|folded| Announcement::of(&folded.history, folded.announced)).collect();
        announcer.announce(news).await
    }

    async fn written_to(
        &self,
        told: &AssetHints,
        history: &History,
        to: &TargetGenerations,
    ) -> ProjectedAsset {
        match self.write(told, history, to).await {
            Ok(PutOutcome::Contradicted(version)) => self.contradicted(told, version, to).await,
            Ok(put) => ProjectedAsset::Row(put),
            Err(error) => self.failed(told, error, to).await,
        }
    }

    /// An unreadable history parks the asset; a store failure is retried.
    async fn failed(
        &self,
        told: &AssetHints,
        error: StoreError,
        to: &TargetGenerations,
    ) -> ProjectedAsset {
        if !error.kind.is_of_one_asset() {
            return ProjectedAsset::Failed(error);
        }
        // A row would void a plain parking, also a row with an event that the history lacks.
        match self.contradiction(&told.key, to).await {
            Ok(Some(version)) => self.contradicted(told, version, to).await,
            Ok(None) => self.park(told, &error, to).await,
            Err(error) => ProjectedAsset::Failed(error),
        }
    }

    /// The version of the asset's row, if it is of an event that its history does not have. The row
    /// is read before the history. A broken history contradicts nothing here: it is parked for that
    /// fault.
    async fn contradiction(
        &self,
        key: &Key,
        to: &TargetGenerations,
    ) -> Result<Option<u64>, StoreError> {
        let Some(rows) = to.first() else { return Ok(None) };
        let row = match rows.get(key).await {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(None),
            Err(error) if error.kind.is_of_one_asset() => return Ok(None),
            Err(error) => return Err(error),
        };
        let history = match self.journal.history(key).await {
            Ok(lines) => service::read(key, lines),
            Err(error) => Err(error),
        };
        match history {
            Ok(Some(history)) if history.has(row.version, row.head) => Ok(None),
            Ok(_) => Ok(Some(row.version)),
            Err(error) if error.kind.is_of_one_asset() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn write(
        &self,
        told: &AssetHints,
        history: &History,
        to: &TargetGenerations,
    ) -> Result<PutOutcome, StoreError> {
        let mut put = put_checked(history, to).await?;
        // Another process may have written a newer row since, of events that the journal has now.
        // An event that this history lacks is not written here: it was not announced.
        if matches!(put, PutOutcome::Contradicted(_))
            && self.contradiction(&told.key, to).await?.is_none()
        {
            put = PutOutcome::Stale;
        }
        self.measure(told, history.asset(), put);
        Ok(put)
    }

    fn measure(&self, told: &AssetHints, asset: &Asset, put: PutOutcome) {
        match put {
            // A redrive depends on the operator's time, and does not measure lag.
            PutOutcome::Written if told.hints.is_empty() => measure::repaired(),
            PutOutcome::Written => measure::visible(asset.updated_at, self.effects.now()),
            PutOutcome::Stale => measure::stale(),
            PutOutcome::Contradicted(_) => {}
        }
    }

    /// Parks an asset whose row, of this version, contradicts its history. Under an old list the
    /// row may be of a generation that was replaced because of that: then the hints are retried.
    async fn contradicted(
        &self,
        told: &AssetHints,
        version: u64,
        to: &TargetGenerations,
    ) -> ProjectedAsset {
        match self.leased.renewed().await {
            Ok(list) if list.current == to.current => {}
            Ok(list) => {
                let context = format!("views: generation {} is current now", list.current);
                let error = StoreError::new(StoreErrorKind::Unavailable, context);
                return ProjectedAsset::Failed(error);
            }
            Err(error) => return ProjectedAsset::Failed(error),
        }
        let error = format!(
            "the row is of version {version}, whose event the journal does not have: the journal \
             was changed or cut, or the row was. `verify` tells more; `replay --asset {} \
             --accept-restored` accepts the journal's version",
            told.key.label()
        );
        tracing::error!(
            asset = told.key.partition(),
            version,
            cause = error,
            "an asset is contradicted: its row was not changed, and commands on it are refused"
        );
        let (key, at) = (told.key.clone(), self.effects.now());
        let version = version.max(told.version);
        let parked = Parked { key, version, error, at, contradicted: true };
        let outcome = self.set_aside(parked, to).await;
        if let (ProjectedAsset::Parked, Some(commands)) = (&outcome, &self.told) {
            commands.tell(&told.key);
        }
        outcome
    }

    async fn fold(&self, told: &AssetHints) -> Result<History, StoreError> {
        if let Some(history) = told.history() {
            return Ok(history);
        }
        if let Some(history) = self.fold_eventually(told).await? {
            return Ok(history);
        }
        match service::fold(&told.key, self.journal.history(&told.key).await?).await? {
            Some(history) if history.asset().version >= told.version => Ok(history),
            short => Err(too_short(told, short.as_ref())),
        }
    }

    /// The history by the cheaper read, if it verifies and has the newest event of the batch.
    /// Anything else may be a replica that lags, and only the consistent read can tell.
    async fn fold_eventually(&self, told: &AssetHints) -> Result<Option<History>, StoreError> {
        let Some(newest) = told.newest() else { return Ok(None) };
        let folded = match self.journal.history_eventually(&told.key).await {
            Ok(lines) => service::fold(&told.key, lines).await,
            Err(error) => Err(error),
        };
        match folded {
            Ok(history) => Ok(history.filter(|it| it.has(told.version, newest.hash()))),
            Err(error) if error.kind.is_of_one_asset() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn park(
        &self,
        told: &AssetHints,
        error: &StoreError,
        to: &TargetGenerations,
    ) -> ProjectedAsset {
        let mut cause = chain(error);
        cause.truncate(cause.floor_char_boundary(ERROR_MAX));
        let asset = told.key.partition();
        tracing::error!(asset, version = told.version, cause, "an asset was parked");
        let (key, version, at) = (told.key.clone(), told.version, self.effects.now());
        let parked = Parked { key, version, error: cause, at, contradicted: false };
        self.set_aside(parked, to).await
    }

    async fn set_aside(&self, parked: Parked, to: &TargetGenerations) -> ProjectedAsset {
        match try_join_all(to.first().map(|rows| rows.park(&parked))).await {
            Ok(_) => {
                measure::parked();
                ProjectedAsset::Parked
            }
            Err(error) => ProjectedAsset::Failed(error),
        }
    }
}

/// The generations to write.
struct TargetGenerations {
    current: Generation,
    /// The rows of each, those of the current one first.
    rows: Vec<Arc<dyn Rows>>,
}

impl TargetGenerations {
    fn first(&self) -> Option<&Arc<dyn Rows>> {
        self.rows.first()
    }
}

/// The result of folding one asset.
struct FoldedAsset {
    history: History,
    /// The number of its events that its row, and so the feed, has.
    announced: u64,
}

/// Writes the row of a history to every generation: the result for the current one, or the first
/// contradiction.
async fn put_checked(history: &History, to: &TargetGenerations) -> Result<PutOutcome, StoreError> {
    let puts = try_join_all(to.rows.iter().map(|rows| rows.put_checked(history))).await?;
    Ok(puts.first().copied().unwrap_or(PutOutcome::Stale))
}

/// How many events of a history were announced, by the cheaper read of its row. An earlier row, or
/// none, shows less: events are announced again, and none is omitted. A row of an event that this
/// history does not have may be a removed one, and is read again.
async fn announced(to: &TargetGenerations, history: &History) -> Result<u64, StoreError> {
    let (Some(rows), key) = (to.first(), &history.asset().key) else { return Ok(0) };
    match rows.get_eventually(key).await {
        Ok(None) => Ok(0),
        Ok(Some(row)) if history.has(row.version, row.head) => Ok(row.version),
        Ok(Some(_)) => version(to, key).await,
        Err(error) if error.kind.is_of_one_asset() => version(to, key).await,
        Err(error) => Err(error),
    }
}

/// The version of an asset's row in the current generation. An unreadable row counts as none:
/// announcing twice is better than omitting.
async fn version(to: &TargetGenerations, key: &Key) -> Result<u64, StoreError> {
    let Some(rows) = to.first() else { return Ok(0) };
    match rows.get(key).await {
        Ok(row) => Ok(row.map_or(0, |row| row.version)),
        Err(error) if error.kind.is_of_one_asset() => Ok(0),
        Err(error) => Err(error),
    }
}

fn too_short(told: &AssetHints, history: Option<&History>) -> StoreError {
    let has = history.map_or(0, |history| history.asset().version);
    let context = format!("the journal has {has} events of it, not {}", told.version);
    StoreError::new(StoreErrorKind::Corrupt, context)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ledger::id::Tenant;
    use ledger::testing::{Faulty, InjectedFault, MemoryJournal};

    use super::*;
    use crate::testing::{Clock, MemoryViews, Story};
    use crate::views::Views;

    /// A journal and a read table, with calls counted by name and failing as planned.
    struct World {
        journal: Arc<Faulty<MemoryJournal>>,
        views: Arc<Faulty<MemoryViews>>,
        read: Arc<AtomicUsize>,
    }

    fn world(mut faults: Vec<(&'static str, InjectedFault)>) -> World {
        let read = Arc::new(AtomicUsize::new(0));
        let mut views_faults = faults.clone();
        let take = |faults: &mut Vec<(&'static str, InjectedFault)>, name| {
            faults.iter().position(|(of, _)| *of == name).map(|at| faults.remove(at).1)
        };
        let reads = Arc::clone(&read);
        let journal = Faulty::planned(MemoryJournal::default(), move |name| {
            reads.fetch_add(usize::from(name == "history"), Ordering::Relaxed);
            take(&mut faults, name)
        });
        let views =
            Faulty::planned(MemoryViews::default(), move |name| take(&mut views_faults, name));
        World { journal: Arc::new(journal), views: Arc::new(views), read }
    }

    impl World {
        fn runner(&self) -> Runner {
            let (journal, views) = (Arc::clone(&self.journal), Arc::clone(&self.views));
            Runner::new(journal, views, Arc::new(Clock::default()))
        }

        async fn project(&self, hints: &[ProjectionHint]) -> (usize, usize, usize, Vec<usize>) {
            let report = self.runner().project(hints).await;
            let failed = report.failed.iter().map(|failed| failed.hint).collect();
            (report.projected, report.stale, report.parked, failed)
        }

        async fn row(&self, story: &Story) -> Option<Asset> {
            self.views.inner().get(&story.key).await.unwrap()
        }

        async fn parked(&self) -> Vec<Parked> {
            self.views.inner().parked(&Tenant::default(), 99).await.unwrap()
        }

        fn journal_reads(&self) -> usize {
            self.read.load(Ordering::Relaxed)
        }
    }

    /// The hint of an event that arrives through a stream.
    fn streamed(story: &Story, version: u64) -> ProjectionHint {
        let line = story.lines[usize::try_from(version).unwrap() - 1].clone();
        ProjectionHint { key: story.key.clone(), version, lines: vec![line] }
    }

    fn bare(story: &Story, version: u64) -> ProjectionHint {
        ProjectionHint { key: story.key.clone(), version, lines: Vec::new() }
    }

    fn story(nth: u32) -> Story {
        Story::begin("main", nth).received().uploaded()
    }

    #[tokio::test]
    async fn a_batch_with_the_whole_history_needs_no_journal() {
        let (world, story) = (world(vec![]), story(1));
        let hints = [3, 1, 2, 2].map(|version| streamed(&story, version));
        assert_eq!(world.project(&hints).await, (1, 0, 0, vec![]));
        assert_eq!(world.row(&story).await, Some(story.asset()));
        assert_eq!(world.journal_reads(), 0);
    }

    #[tokio::test]
    async fn a_batch_with_holes_is_made_whole_by_the_journal() {
        for holes in [vec![3], vec![2, 3], vec![1, 3], vec![2]] {
            let (world, story) = (world(vec![]), story(1));
            story.append_to(world.journal.inner()).await;
            let hints: Vec<_> = holes.iter().map(|version| streamed(&story, *version)).collect();
            assert_eq!(world.project(&hints).await, (1, 0, 0, vec![]), "{holes:?}");
            assert_eq!(world.row(&story).await, Some(story.asset()), "{holes:?}");
            assert_eq!(world.journal_reads(), 1);
        }
    }

    #[tokio::test]
    async fn the_highest_version_counts_wherever_it_stands_in_the_batch() {
        let (world, story) = (world(vec![]), story(1));
        story.append_to(world.journal.inner()).await;
        let hints = [bare(&story, 3), streamed(&story, 2), streamed(&story, 1)];
        assert_eq!(world.project(&hints).await, (1, 0, 0, vec![]));
        assert_eq!(world.row(&story).await, Some(story.asset()));
    }

    #[tokio::test]
    async fn events_that_make_no_chain_are_checked_against_the_journal() {
        let (world, story) = (world(vec![]), story(1));
        story.append_to(world.journal.inner()).await;
        let mut forged = streamed(&story, 2);
        forged.lines[0].body = forged.lines[0].body.replace("anonymous", "somebody");
        let hints = [streamed(&story, 1), forged, streamed(&story, 2), streamed(&story, 3)];
        assert_eq!(world.project(&hints).await, (1, 0, 0, vec![]));
        assert_eq!(world.row(&story).await, Some(story.asset()));
        assert_eq!(world.journal_reads(), 1);
    }

    #[tokio::test]
    async fn late_and_double_hints_are_as_good_as_done() {
        let (world, story) = (world(vec![]), story(1));
        story.append_to(world.journal.inner()).await;
        world.project(&[bare(&story, 3)]).await;
        let late = [1, 3, 2].map(|version| streamed(&story, version));
        assert_eq!(world.project(&late).await, (0, 1, 0, vec![]));
        assert_eq!(world.project(&late[..1]).await, (0, 1, 0, vec![]));
        assert_eq!(world.row(&story).await, Some(story.asset()));
    }

    #[tokio::test]
    async fn a_broken_history_is_parked_and_its_neighbours_go_on() {
        let (world, [broken, short, good]) = (world(vec![]), [story(1), story(2), story(3)]);
        good.append_to(world.journal.inner()).await;
        for story in [&broken, &short] {
            world.journal.inner().append(&story.key, story.lines[0].clone()).await.unwrap();
        }
        world.journal.inner().append(&broken.key, broken.lines[2].clone()).await.unwrap();
        let hints = [bare(&broken, 3), bare(&short, 2), bare(&good, 3)];
        assert_eq!(world.project(&hints).await, (1, 0, 2, vec![]));
        assert_eq!(world.row(&good).await, Some(good.asset()));
        let parked = world.parked().await;
        let told: Vec<_> = parked.iter().map(|p| (p.key.asset, p.version, p.at)).collect();
        let at = Clock::default().0;
        assert_eq!(told, [(broken.key.asset, 3, at), (short.key.asset, 2, at)]);
        assert!(parked[0].error.contains("version 2 is missing"), "{}", parked[0].error);
        assert_eq!(parked[1].error, "the journal has 1 events of it, not 2");
    }

    #[tokio::test]
    async fn what_was_parked_is_redriven_once_it_is_mended() {
        let (world, story) = (world(vec![]), story(1));
        world.project(&[bare(&story, 3)]).await;
        assert_eq!(world.parked().await.len(), 1);
        assert!(world.runner().redrive(&story.key).await.is_none());
        assert_eq!(world.parked().await.len(), 1, "it waits until it is mended");

        story.append_to(world.journal.inner()).await;
        let redriven = world.runner().redrive(&story.key).await;
        assert!(matches!(redriven, Some(ProjectedAsset::Row(PutOutcome::Written))), "{redriven:?}");
        assert_eq!(world.row(&story).await, Some(story.asset()));
        assert_eq!(world.parked().await, []);
    }

    #[tokio::test]
    async fn a_redrive_of_what_the_journal_does_not_know_parks_nothing() {
        let (world, broken) = (world(vec![]), story(1));
        assert!(world.runner().redrive(&broken.key).await.is_none());
        assert_eq!(world.parked().await, []);
        world.journal.inner().append(&broken.key, broken.lines[2].clone()).await.unwrap();
        assert!(matches!(world.runner().redrive(&broken.key).await, Some(ProjectedAsset::Parked)));
        assert_eq!(world.parked().await.len(), 1);
    }

    #[tokio::test]
    async fn a_redrive_short_of_the_parked_version_leaves_it_parked() {
        let (world, story) = (world(vec![]), story(1));
        world.project(&[bare(&story, 4)]).await;
        story.append_to(world.journal.inner()).await;
        assert!(matches!(world.runner().redrive(&story.key).await, Some(ProjectedAsset::Row(_))));
        assert_eq!(world.parked().await.len(), 1);
    }

    #[tokio::test]
    async fn a_failed_store_fails_every_hint_of_the_asset_and_no_other() {
        for fault in ["history", "put"] {
            let (world, stories) =
                (world(vec![(fault, InjectedFault::Before)]), [story(1), story(2)]);
            for story in &stories {
                story.append_to(world.journal.inner()).await;
            }
            let [one, two] = &stories;
            let hints = [bare(two, 3), bare(one, 2), bare(two, 1), bare(one, 3)];
            assert_eq!(world.project(&hints).await, (1, 0, 0, vec![0, 2]), "{fault}");
            assert_eq!(world.project(&hints).await, (1, 1, 0, vec![]), "{fault}");
            for story in &stories {
                assert_eq!(world.row(story).await, Some(story.asset()));
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_was_lost_is_no_harm() {
        let (world, story) = (world(vec![("put", InjectedFault::After)]), story(1));
        story.append_to(world.journal.inner()).await;
        assert_eq!(world.project(&[bare(&story, 3)]).await, (0, 0, 0, vec![0]));
        assert_eq!(world.project(&[bare(&story, 3)]).await, (0, 1, 0, vec![]));
    }

    #[tokio::test]
    async fn an_asset_that_cannot_even_be_parked_is_to_be_hinted_again() {
        let (world, story) = (world(vec![("park", InjectedFault::Before)]), story(1));
        assert_eq!(world.project(&[bare(&story, 3)]).await, (0, 0, 0, vec![0]));
        assert_eq!(world.project(&[bare(&story, 3)]).await, (0, 0, 1, vec![]));
    }

    #[tokio::test]
    async fn many_runners_on_the_same_hints_leave_the_same_rows() {
        let (world, stories) = (world(vec![]), [1, 2, 3, 4, 5].map(story));
        for story in &stories {
            story.append_to(world.journal.inner()).await;
        }
        let hint = |at: usize| streamed(&stories[at % 5], (at % 3) as u64 + 1);
        let hints: Vec<_> = (0..40).map(|at| hint(at * 7 % 15)).collect();
        let runner = world.runner();
        let batches = hints.chunks(3).map(|batch| runner.project(batch));
        for report in futures::future::join_all(batches).await {
            assert!(report.failed.is_empty() && report.parked == 0);
        }
        for story in &stories {
            assert_eq!(world.row(story).await, Some(story.asset()));
        }
    }

    #[tokio::test]
    async fn the_story_of_a_forged_event_is_cut_short() {
        let (world, story) = (world(vec![]), story(1));
        let mut forged = story.lines[0].clone();
        forged.body = forged.body.replace(r#""created""#, &format!("{:?}", "💥".repeat(1000)));
        world.journal.inner().append(&story.key, forged).await.unwrap();
        assert_eq!(world.project(&[bare(&story, 1)]).await, (0, 0, 1, vec![]));
        assert!((1000..=ERROR_MAX).contains(&world.parked().await[0].error.len()));
    }
}
