//! Follows a local journal: projects every arrival, without a gap, in the order of arrival.
//!
//! Rows and position are saved in one transaction. If the journal does not have the position, the
//! position is of another journal, or this one has lost events: the rows may then be the only
//! evidence of them. So following stops, the rows stay unchanged, and an operator decides.

use std::sync::Arc;
use std::time::Duration;

use ledger::error::{StoreErrorKind, chain};
use ledger::journal::{Arrival, Arrivals};
use ledger::{Backoff, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::measure;
use crate::position::{Position, Positions};
use crate::runner::{ProjectionHint, Runner};

/// Arrivals of one step: enough to make the cost of reading and of saving the position small.
const BATCH: usize = 512;
/// The shortest time from one step to the next while both are small: under load a step then has
/// many arrivals, and one after a pause begins at once.
const PACE: Duration = Duration::from_millis(2);
/// The period of checks for appends by other processes, and for a moved position.
const POLL: Duration = Duration::from_secs(1);
/// The waits after failures.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), BACKOFF_MAX);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long a list waits for following to begin, which takes some reads of both stores.
const BEGINNING: Duration = Duration::from_secs(1);
/// How often expired tombstones are dropped.
const SWEEP: Duration = Duration::from_hours(1);

/// The period of log reminders that following has stopped.
const REMIND: Duration = Duration::from_hours(1);
/// The remedy for rows that follow another journal.
pub const LOST: &str = "the rows follow another journal: this one lost events, or was restored or \
    copied from an earlier moment. Nothing is projected and no row is changed. Run `asset-ledger \
    verify`; then restore the right journal, or accept this one with `asset-ledger replay \
    --accept-restored`";

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FollowStep {
    /// There were new arrivals.
    Moved,
    /// There were none.
    Idle,
    /// The journal does not have the position.
    Lost,
}

/// Keeps the rows up to date with a local journal.
pub struct JournalFollower {
    arrivals: Arc<dyn Arrivals>,
    positions: Arc<dyn Positions>,
    runner: Runner,
    /// The start of the next step, after it was verified to be in this journal.
    position: Option<Position>,
    told: watch::Sender<u64>,
    lost: watch::Sender<bool>,
    /// The last arrival when this was created: later ones lag by moments and are not missing.
    there: u64,
    /// The last arrival that must be projected; `None` before it is known.
    goal: watch::Sender<Option<u64>>,
    reminded: Option<Instant>,
    swept: Option<Instant>,
}

impl JournalFollower {
    /// A follower of `arrivals` that keeps its position in `positions`, next to the rows that
    /// `runner` writes.
    pub fn new(arrivals: Arc<dyn Arrivals>, positions: Arc<dyn Positions>, runner: Runner) -> Self {
        let (told, lost) = (watch::Sender::new(0), watch::Sender::new(false));
        let (position, reminded, swept, goal) = (None, None, None, watch::Sender::new(None));
        let there = *arrivals.latest().borrow();
        Self { arrivals, positions, runner, position, told, lost, there, goal, reminded, swept }
    }

    /// The follower's progress, for other tasks.
    #[must_use]
    pub fn progress(&self) -> FollowerProgress {
        let (latest, position) = (self.arrivals.latest(), self.told.subscribe());
        let (lost, goal) = (self.lost.subscribe(), self.goal.subscribe());
        FollowerProgress { latest, position, lost, goal }
    }

    /// Follows until `shutdown` turns true or its sender is gone. A step that has begun is
    /// finished. A failing store is retried with increasing pauses.
    pub async fn run(&mut self, mut shutdown: watch::Receiver<bool>) {
        let mut latest = self.arrivals.latest();
        let mut failures = 0;
        while !*shutdown.borrow() && shutdown.has_changed().is_ok() {
            latest.borrow_and_update();
            let begun = Instant::now();
            let pause = match self.step().await {
                Ok(FollowStep::Moved) => {
                    failures = 0;
                    if self.is_close_to(*latest.borrow()) {
                        sleep_until(begun + PACE).await;
                    }
                    continue;
                }
                Ok(FollowStep::Idle | FollowStep::Lost) => {
                    failures = 0;
                    POLL
                }
                Err(error) => {
                    failures += 1;
                    back_off(failures, &error)
                }
            };
            tokio::select! {
                () = ended(&mut shutdown) => return,
                Ok(()) = latest.changed(), if failures == 0 => {}
                // Another process may have moved the position, or replaced the journal.
                () = sleep(pause) => self.position = None,
            }
        }
    }

    /// Whether the next step has few arrivals.
    fn is_close_to(&self, latest: u64) -> bool {
        let left = self.position.map(|position| latest.saturating_sub(position.number));
        left.is_some_and(|left| left < BATCH as u64)
    }

    /// Projects all arrivals, and returns the number of the last.
    pub async fn catch_up(&mut self) -> Result<u64, StoreError> {
        loop {
            match self.step().await? {
                FollowStep::Moved => {}
                FollowStep::Idle => return Ok(*self.told.borrow()),
                FollowStep::Lost => return Err(StoreError::new(StoreErrorKind::Corrupt, LOST)),
            }
        }
    }

    /// Projects the next arrivals.
    async fn step(&mut self) -> Result<FollowStep, StoreError> {
        let Some(from) = self.start().await? else { return Ok(FollowStep::Lost) };
        let batch = self.arrivals.arrivals(from.number, BATCH).await?;
        let Some(last) = batch.last() else {
            self.sweep().await;
            return Ok(FollowStep::Idle);
        };
        let to = Position { number: last.number, hash: last.hash() };
        let hints: Vec<ProjectionHint> = batch.into_iter().map(hint).collect();
        // Cleared first: after a lost reply, or a faster follower, the position is unknown and is
        // read again.
        self.position = None;
        if self.runner.follow(&hints, &*self.positions, &from, &to).await? {
            self.arrive(to);
        }
        Ok(FollowStep::Moved)
    }

    /// The start of the next step; `None` if this journal does not have it.
    async fn start(&mut self) -> Result<Option<Position>, StoreError> {
        if let Some(position) = self.position {
            return Ok(Some(position));
        }
        let position = self.positions.load().await?;
        let lost = !position.is_in(&*self.arrivals).await?;
        self.lost.send_if_modified(|told| std::mem::replace(told, lost) != lost);
        measure::position_lost(lost);
        if lost {
            self.remind(&position);
            return Ok(None);
        }
        self.reminded = None;
        self.begin(&position);
        self.arrive(position);
        Ok(Some(position))
    }

    /// Records the initial backlog, once: with missing or very late rows, lists lack most assets.
    fn begin(&self, position: &Position) {
        let far = self.there.saturating_sub(position.number) > BATCH as u64;
        let goal = if far || position.number == 0 { self.there } else { 0 };
        self.goal.send_if_modified(|told| told.is_none() && told.replace(goal).is_none());
    }

    fn remind(&mut self, position: &Position) {
        if self.reminded.is_some_and(|reminded| reminded.elapsed() < REMIND) {
            return;
        }
        self.reminded = Some(Instant::now());
        tracing::error!(position = position.number, hash = %position.hash, "{LOST}");
    }

    fn arrive(&mut self, position: Position) {
        self.position = Some(position);
        self.told
            .send_if_modified(|told| std::mem::replace(told, position.number) != position.number);
    }

    /// Drops expired tombstones periodically. A failure does not stop the projection.
    async fn sweep(&mut self) {
        if self.swept.is_some_and(|swept| swept.elapsed() < SWEEP) {
            return;
        }
        self.swept = Some(Instant::now());
        if let Err(error) = self.runner.sweep().await {
            tracing::warn!(cause = chain(&error), "cannot remove expired tombstones");
        }
    }
}

/// The progress of a follower, and of the journal.
#[derive(Debug, Clone)]
pub struct FollowerProgress {
    latest: watch::Receiver<u64>,
    position: watch::Receiver<u64>,
    lost: watch::Receiver<bool>,
    goal: watch::Receiver<Option<u64>>,
}

impl FollowerProgress {
    /// Whether following has stopped because the rows are of another journal.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Whether the initial backlog is still being projected. If following has not begun, this waits
    /// for it: until then the backlog is unknown.
    pub async fn is_filling(&self) -> bool {
        let _ = timeout(BEGINNING, self.begun()).await;
        match *self.goal.borrow() {
            Some(goal) => *self.position.borrow() < goal,
            // Rows of another journal are not projected further.
            None => !self.is_lost(),
        }
    }

    async fn begun(&self) {
        let (mut goal, mut lost) = (self.goal.clone(), self.lost.clone());
        tokio::select! {
            _ = goal.wait_for(Option::is_some) => (),
            _ = lost.wait_for(|lost| *lost) => (),
        }
    }

    /// The number of known arrivals that are not projected yet, at most.
    #[must_use]
    pub fn lag(&self) -> u64 {
        let position = *self.position.borrow();
        self.latest.borrow().saturating_sub(position)
    }

    /// Waits until every arrival before this call is projected; `false` if the follower ended
    /// before.
    pub async fn caught_up(&mut self) -> bool {
        let goal = *self.latest.borrow();
        self.reached(goal).await
    }

    /// Waits until the follower is at or after an arrival; `false` if it ended before.
    pub async fn reached(&mut self, number: u64) -> bool {
        self.position.wait_for(|position| *position >= number).await.is_ok()
    }
}

/// An arrival without a valid event is a hint too: its asset has to be parked.
fn hint(Arrival { key, line, .. }: Arrival) -> ProjectionHint {
    match line {
        Ok(line) => ProjectionHint { key, version: line.version, lines: vec![line] },
        Err(stray) => {
            ProjectionHint { key, version: stray.version.parse().unwrap_or(1), lines: vec![] }
        }
    }
}

async fn ended(shutdown: &mut watch::Receiver<bool>) {
    // A dropped sender is the end as well.
    let _ = shutdown.wait_for(|end| *end).await;
}

fn back_off(failures: u32, error: &StoreError) -> Duration {
    let pause = BACKOFF.pause(failures - 1);
    tracing::warn!(failures, ?pause, kind = ?error.kind, cause = chain(error),
        "the projection stopped and will be retried");
    pause
}

#[cfg(test)]
mod tests {
    use ledger::id::Tenant;
    use ledger::journal::Journal;
    use ledger::testing::{Faulty, InjectedFault, MemoryJournal};

    use super::*;
    use crate::reader::Reader;
    use crate::testing::following::{Running, append_mixed, assert_rows, follower, stories};
    use crate::testing::{Clock, MemoryViews, Story};
    use crate::views::{ListQuery, Views};

    fn in_memory() -> (Arc<MemoryJournal>, Arc<MemoryViews>) {
        (Arc::default(), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn rows_follow_the_journal_from_its_beginning_and_as_it_grows() {
        let (journal, views) = in_memory();
        let stories = stories(600);
        append_mixed(&*journal, &stories[..500]).await;
        let mut running = Running::start(follower(&journal, &views));
        assert_eq!(running.progress.lag(), 1500);
        assert!(running.progress.caught_up().await);
        assert_rows(&*views, &stories[..500]).await;
        append_mixed(&*journal, &stories[500..]).await;
        assert!(running.progress.caught_up().await);
        assert_eq!(running.progress.lag(), 0);
        assert_rows(&*views, &stories).await;
        running.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_arrival_after_a_pause_is_projected_at_once_and_the_next_ones_share_a_step() {
        let (journal, views) = in_memory();
        let mut running = Running::start(follower(&journal, &views));
        let stories = stories(60);
        for round in stories.chunks(3) {
            sleep(POLL).await;
            let began = Instant::now();
            append_mixed(&*journal, &round[..1]).await;
            assert!(running.progress.caught_up().await);
            assert_eq!(began.elapsed(), Duration::ZERO);
            for story in &round[1..] {
                append_mixed(&*journal, std::slice::from_ref(story)).await;
            }
            assert!(running.progress.caught_up().await);
            assert!((PACE..PACE * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
        }
        assert_rows(&*views, &stories).await;
        running.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn rows_that_are_still_to_be_made_are_known_to_be_missing() {
        let (journal, views) = in_memory();
        let mut first = follower(&journal, &views);
        let stories = stories(200);
        append_mixed(&*journal, &stories).await;
        first.start().await.unwrap();
        assert!(!first.progress().is_filling().await, "what comes later is a lag of moments");

        let mut again = follower(&journal, &views);
        let reader = Reader::new(journal, views).made_by(again.progress());
        let all = ListQuery::all(Tenant::default(), 999);
        assert!(reader.list(&all).await.unwrap().incomplete, "nobody knows yet");
        again.start().await.unwrap();
        for (step, incomplete) in [(0, true), (1, true), (2, false)] {
            if step > 0 {
                assert_eq!(again.step().await.unwrap(), FollowStep::Moved);
            }
            let page = reader.list(&all).await.unwrap();
            assert_eq!(page.incomplete, incomplete, "{step}");
        }
        assert_eq!(reader.list(&all).await.unwrap().assets.len(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_goes_on_where_the_last_one_ended() {
        let read = Arc::new(std::sync::Mutex::new(0));
        let reads = Arc::clone(&read);
        let journal = Arc::new(Faulty::planned(MemoryJournal::default(), move |name| {
            *reads.lock().unwrap() += u32::from(name == "history");
            None
        }));
        let views = Arc::new(MemoryViews::default());
        let stories = stories(3);
        append_mixed(&*journal, &stories).await;
        assert_eq!(follower(&journal, &views).catch_up().await.unwrap(), 9);
        let more = stories[0].clone().deleted();
        more.append_to(journal.inner()).await;
        assert_eq!(follower(&journal, &views).catch_up().await.unwrap(), 10);
        assert_eq!(views.get(&more.key).await.unwrap(), Some(more.asset()));
        assert_eq!(*read.lock().unwrap(), 1, "only the asset that moved on was folded again");
    }

    #[tokio::test(start_paused = true)]
    async fn rows_and_position_are_saved_together_or_not_at_all() {
        for fault in [InjectedFault::Before, InjectedFault::After] {
            let journal = Arc::new(MemoryJournal::default());
            let mut once = Some(fault);
            let plan = move |name| if name == "commit" { once.take() } else { None };
            let views = Arc::new(Faulty::planned(MemoryViews::default(), plan));
            let stories = stories(3);
            append_mixed(&*journal, &stories).await;
            follower(&journal, &views).catch_up().await.unwrap_err();
            let saved = if fault == InjectedFault::After { &stories[..] } else { &[] };
            assert_rows(views.inner(), saved).await;
            assert_eq!(follower(&journal, &views).catch_up().await.unwrap(), 9, "{fault:?}");
            assert_rows(views.inner(), &stories).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stores_that_fail_for_a_while_are_asked_again_and_nothing_is_skipped() {
        let faulty = |every: u32| {
            let mut calls = 0_u32;
            move |_| {
                calls += 1;
                match calls % every {
                    0 => Some(InjectedFault::After),
                    3 => Some(InjectedFault::Before),
                    _ => None,
                }
            }
        };
        let journal = Arc::new(Faulty::planned(MemoryJournal::default(), faulty(7)));
        let views = Arc::new(Faulty::planned(MemoryViews::default(), faulty(11)));
        let stories = stories(4);
        let mut running = Running::start(follower(&journal, &views));
        append_mixed(journal.inner(), &stories[..2]).await;
        assert!(running.progress.caught_up().await);
        append_mixed(journal.inner(), &stories[2..]).await;
        assert!(running.progress.caught_up().await);
        assert_rows(views.inner(), &stories).await;
        running.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_for_long_is_awaited() {
        let (away, is_away) = watch::channel(true);
        let views = Arc::new(Faulty::planned(MemoryViews::default(), move |_| {
            is_away.borrow().then_some(InjectedFault::Before)
        }));
        let journal = Arc::new(MemoryJournal::default());
        let stories = stories(1);
        append_mixed(&*journal, &stories).await;
        let mut running = Running::start(follower(&journal, &views));
        let hour = Duration::from_hours(1);
        timeout(hour, running.progress.caught_up()).await.unwrap_err();
        assert_eq!(running.progress.lag(), 3);
        away.send_replace(false);
        let soon = timeout(BACKOFF_MAX, running.progress.caught_up());
        assert!(soon.await.unwrap());
        assert_rows(views.inner(), &stories).await;
        running.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_history_does_not_stop_the_others() {
        let (journal, views) = in_memory();
        let stories = stories(3);
        let mut broken = stories[1].clone();
        broken.lines[1].body = broken.lines[1].body.replace("anonymous", "somebody");
        let told = [stories[0].clone(), broken, stories[2].clone()];
        append_mixed(&*journal, &told).await;
        let reached = follower(&journal, &views).catch_up().await.unwrap();
        assert_eq!(reached, 9);
        assert_rows(&*views, &[stories[0].clone(), stories[2].clone()]).await;
        assert_eq!(views.parked(&stories[1].key.tenant, 9).await.unwrap()[0].key, stories[1].key);
    }

    #[tokio::test(start_paused = true)]
    async fn a_named_stream_beside_the_assets_is_passed_over() {
        let (journal, views) = in_memory();
        let stories = stories(3);
        append_mixed(&*journal, &stories[..2]).await;
        let (stream, lines) = ledger::testing::streams::access(&Tenant::default());
        let mut running = Running::start(follower(&journal, &views));
        for line in lines {
            journal.append_to(&stream, line).await.unwrap();
            assert!(running.progress.caught_up().await);
        }
        append_mixed(&*journal, &stories[2..]).await;
        assert!(running.progress.caught_up().await);
        running.stop().await;
        assert_rows(&*views, &stories).await;
        assert_eq!(views.parked(&Tenant::default(), 9).await.unwrap(), []);
    }

    /// The rows of a follower that caught up with the stories' events.
    async fn followed(stories: &[Story]) -> Arc<MemoryViews> {
        let (journal, views) = in_memory();
        append_mixed(&*journal, stories).await;
        follower(&journal, &views).catch_up().await.unwrap();
        views
    }

    #[tokio::test(start_paused = true)]
    async fn rows_of_another_journal_stay_as_they_are() {
        let stories = stories(4);
        // Empty; shorter than the position; as long, with other events; longer, with others.
        for others in [&stories[..0], &stories[..1], &stories[1..3], &stories[1..4]] {
            let views = followed(&stories[..2]).await;
            let begun = views.load().await.unwrap();
            let restored = Arc::new(MemoryJournal::default());
            append_mixed(&*restored, others).await;
            let running = Running::start(follower(&restored, &views));
            sleep(POLL * 3).await;
            assert!(running.progress.is_lost());
            running.stop().await;
            let error = follower(&restored, &views).catch_up().await.unwrap_err();
            assert!(error.to_string().contains("--accept-restored"), "{error}");
            assert_rows(&*views, &stories[..2]).await;
            assert_eq!(views.load().await.unwrap(), begun);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn following_goes_on_once_the_position_is_one_of_the_journal() {
        let stories = stories(2);
        let views = followed(&stories).await;
        let restored = Arc::new(MemoryJournal::default());
        stories[0].append_to(&*restored).await;
        let mut running = Running::start(follower(&restored, &views));
        sleep(POLL * 3).await;
        assert!(running.progress.is_lost());
        let (from, to) =
            (views.load().await.unwrap(), Position::last_of(&*restored).await.unwrap());
        views.commit(&[], &[], &from, &to).await.unwrap();
        let more = stories[0].clone().deleted();
        more.append_to(&*restored).await;
        assert!(running.progress.reached(4).await);
        sleep(POLL * 3).await;
        assert!(!running.progress.is_lost());
        assert_eq!(views.get(&more.key).await.unwrap(), Some(more.asset()));
        running.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_asset_whose_row_is_contradicted_is_set_aside_and_holds_up_nobody() {
        let stories = stories(3);
        let views = followed(&stories).await;
        // The last event of the first asset is cut, and others are appended.
        let (cut, last) = (Arc::new(MemoryJournal::default()), &stories[2]);
        let other = stories[0].first(2);
        let other = other.deleted().then(ledger::asset::Event::Restored);
        for story in &stories {
            for line in &story.lines[..2] {
                cut.append(&story.key, line.clone()).await.unwrap();
            }
        }
        for story in &stories[1..] {
            cut.append(&story.key, story.lines[2].clone()).await.unwrap();
        }
        let from = views.load().await.unwrap();
        let to = Position::last_of(&*cut).await.unwrap();
        views.commit(&[], &[], &from, &to).await.unwrap();
        let moved = last.clone().deleted();
        other.append_to(&*cut).await;
        moved.append_to(&*cut).await;
        follower(&cut, &views).catch_up().await.unwrap();
        assert_eq!(views.get(&other.key).await.unwrap(), Some(stories[0].asset()));
        assert_eq!(views.get(&moved.key).await.unwrap(), Some(moved.asset()));
        let parked = views.contradicted(&other.key.tenant, 9).await.unwrap();
        assert_eq!((&parked[0].key, parked.len()), (&other.key, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn two_followers_of_one_view_are_harmless() {
        let (journal, views) = in_memory();
        let stories = stories(800);
        let running = [(); 2].map(|()| Running::start(follower(&journal, &views)));
        for some in stories.chunks(100) {
            append_mixed(&*journal, some).await;
            tokio::task::yield_now().await;
        }
        for mut running in running {
            assert!(running.progress.caught_up().await);
            running.stop().await;
        }
        assert_rows(&*views, &stories).await;
        assert_eq!(views.load().await.unwrap().number, 2400);
    }

    /// A journal to which another process appends, without a notification in this one.
    struct Deaf(MemoryJournal);

    #[async_trait::async_trait]
    impl Arrivals for Deaf {
        async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
            self.0.arrivals(after, limit).await
        }

        fn latest(&self) -> watch::Receiver<u64> {
            watch::Sender::new(0).subscribe()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_other_processes_append_is_found_without_being_told() {
        let journal = Arc::new(Deaf(MemoryJournal::default()));
        let views = Arc::new(MemoryViews::default());
        let whole = Arc::new(MemoryJournal::default());
        let runner = Runner::new(whole.clone(), views.clone(), Arc::new(Clock::default()));
        let mut running =
            Running::start(JournalFollower::new(journal.clone(), views.clone(), runner));
        let begun = Instant::now();
        for story in &stories(2) {
            story.append_to(&*whole).await;
            story.append_to(&journal.0).await;
        }
        assert!(running.progress.reached(6).await);
        assert!(begun.elapsed() <= POLL);
        assert_rows(&*views, &stories(2)).await;
        running.stop().await;
    }

    #[tokio::test(start_paused = true)]
    async fn expired_tombstones_go() {
        let (journal, views) = in_memory();
        let purged = Story::begin("main", 1).received().deleted().purged();
        purged.append_to(&*journal).await;
        let at = |days| Clock(purged.asset().updated_at + chrono::TimeDelta::days(days));
        for (days, there) in [(7, true), (8, false)] {
            let runner = Runner::new(journal.clone(), views.clone(), Arc::new(at(days)));
            let mut follower = JournalFollower::new(journal.clone(), views.clone(), runner);
            follower.catch_up().await.unwrap();
            assert_eq!(views.get(&purged.key).await.unwrap().is_some(), there, "day {days}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_ends_when_told_and_when_nobody_is_left_to_tell_it() {
        let (journal, views) = in_memory();
        let start = || Running::start(follower(&journal, &views));
        start().stop().await;
        let Running { task, shutdown, mut progress } = start();
        drop(shutdown);
        task.await.unwrap();
        stories(1)[0].append_to(&*journal).await;
        assert!(!progress.caught_up().await);
    }
}
