//! Replays in memory: switches, refusals, and concurrent replays.

use std::sync::Mutex;

use ledger::chain::Hash;
use ledger::error::StoreErrorKind;
use ledger::journal::scan::{ScanPosition, Scanned, Segment};
use ledger::journal::{JournalDecorator, Scan};
use ledger::record::StoredLine;
use ledger::testing::{Faulty, InjectedFault, MemoryJournal};
use tokio::sync::watch;

use super::Difference as D;
use super::*;
use crate::generations::GenerationList;
use crate::runner::{ProjectionHint, Runner};
use crate::testing::{Clock, MemoryViews, Story};
use crate::totals::{Totals, Usage};
use crate::views::{ListQuery, PutOutcome, Views};

struct World {
    journal: Arc<MemoryJournal>,
    table: Arc<MemoryViews>,
    stop: watch::Sender<bool>,
}

fn world() -> World {
    World { journal: Arc::default(), table: Arc::default(), stop: watch::Sender::new(false) }
}

fn options() -> ReplayOptions {
    let keep = Some(TimeDelta::hours(1));
    let tenant = None;
    ReplayOptions {
        tenant,
        segments: 3,
        rate: None,
        keep,
        accept_broken: false,
        accept_restored: false,
        fresh: false,
    }
}

fn story(nth: u32) -> Story {
    Story::begin("main", nth).received().uploaded()
}

impl World {
    async fn with(stories: &[Story]) -> Self {
        let world = world();
        for story in stories {
            story.append_to(&*world.journal).await;
        }
        world
    }

    fn replay(&self) -> Replay {
        self.replay_of(self.journal.clone())
    }

    fn replay_of(&self, journal: Arc<dyn Journal>) -> Replay {
        Replay {
            journal,
            table: self.table.clone(),
            effects: Arc::new(Clock::default()),
            options: options(),
            tally: Arc::default(),
            stop: self.stop.subscribe(),
        }
    }

    async fn project(&self, stories: &[Story]) {
        let runner =
            Runner::new(self.journal.clone(), self.table.clone(), Arc::new(Clock::default()));
        for story in stories {
            let (key, version) = (story.key.clone(), story.version());
            runner.project(&[ProjectionHint { key, version, lines: Vec::new() }]).await;
        }
    }

    async fn list(&self) -> GenerationList {
        self.table.generations().await.unwrap()
    }

    /// The current rows, newest first.
    async fn rows(&self) -> Vec<ledger::asset::Asset> {
        let rows = self.table.rows(self.list().await.current);
        let tenant = Tenant::default();
        let all = ListQuery::all(tenant, usize::MAX);
        rows.list(&all).await.unwrap().assets
    }

    async fn assert_rows(&self, stories: &[Story]) {
        let folds: Vec<_> = stories.iter().rev().map(Story::asset).collect();
        assert_eq!(self.rows().await, folds);
    }
}

fn switched(outcome: Result<ReplayOutcome, ReplayError>) -> ReplayReport {
    match outcome {
        Ok(ReplayOutcome::Switched(_, report)) => report,
        other => panic!("not switched: {other:?}"),
    }
}

fn refused(outcome: Result<ReplayOutcome, ReplayError>) -> ReplayReport {
    match outcome {
        Ok(ReplayOutcome::Refused(report)) => report,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn rows_are_made_anew_and_switched_to_and_the_old_ones_kept() {
    let stories: Vec<_> = (1..=700).map(story).collect();
    let world = World::with(&stories).await;
    world.project(&stories[..500]).await;
    let report = switched(world.replay().run().await);
    assert_eq!((report.events, report.assets), (2_100, 700));
    assert_eq!(report.differences.count(Difference::Same), 500);
    assert_eq!(report.differences.count(Difference::Missing), 200);
    world.assert_rows(&stories).await;
    let list = world.list().await;
    assert_eq!(list.written().map(Generation::number).collect::<Vec<_>>(), [2, 1]);

    assert_eq!(world.replay().roll_back().await.unwrap(), Generation::FIRST);
    assert_eq!(world.rows().await.len(), 500);
    world.replay().roll_back().await.unwrap();
    world.assert_rows(&stories).await;
}

#[tokio::test]
async fn what_is_kept_goes_on_being_written_until_it_is_let_go() {
    let mut stories = vec![story(1)];
    let world = World::with(&stories).await;
    switched(world.replay().run().await);
    stories[0] = stories[0].clone().deleted();
    stories[0].append_to(&*world.journal).await;
    world.project(&stories).await;
    let first = world.table.rows(Generation::FIRST);
    assert_eq!(first.get(&stories[0].key).await.unwrap(), Some(stories[0].asset()));
    world.replay().abandon().await.unwrap();
    assert_eq!(world.list().await.written().count(), 1);
}

#[tokio::test]
async fn a_row_that_was_altered_or_lost_or_lags_is_mended() {
    let stories: Vec<_> = (1..=4).map(story).collect();
    let world = World::with(&stories).await;
    world.project(&stories[..1]).await;
    let mut altered = stories[1].asset();
    altered.declared.filename = Some("forged.pdf".to_owned());
    world.table.put(&altered).await.unwrap();
    world.table.put(&stories[2].at(2)).await.unwrap();
    let found = switched(world.replay().run().await).differences;
    for of in [D::Same, D::Altered, D::Lagging, D::Missing] {
        assert_eq!(found.count(of), 1, "{of:?}");
    }
    assert!(found.named.contains(&(altered.key.partition(), D::Altered)));
    world.assert_rows(&stories).await;
}

#[tokio::test]
async fn a_history_that_does_not_verify_is_named_and_the_rows_stay() {
    let stories: Vec<_> = (1..=4).map(story).collect();
    let mut told = stories.clone();
    told[2].lines[1].body = told[2].lines[1].body.replace("anonymous", "somebody");
    let world = World::with(&told).await;
    world.table.put(&stories[0].asset()).await.unwrap();
    let report = refused(world.replay().run().await);
    assert_eq!(report.broken_count, 1);
    assert_eq!(report.broken[0].partition, stories[2].key.partition());
    assert!(report.broken[0].why.contains("version 3"), "{}", report.broken[0].why);
    world.assert_rows(&stories[..1]).await;
    let list = world.list().await;
    assert_eq!((list.current, list.building), (Generation::FIRST, None));

    let mut all_the_same = world.replay();
    all_the_same.options.accept_broken = true;
    assert_eq!(switched(all_the_same.run().await).broken_count, 1);
    let sound = [&stories[..2], &stories[3..]].concat();
    world.assert_rows(&sound).await;
    let rows = world.table.rows(world.list().await.current);
    let parked = rows.parked(&Tenant::default(), 9).await.unwrap();
    assert_eq!(parked.iter().map(|it| &it.key).collect::<Vec<_>>(), [&stories[2].key]);
}

#[tokio::test]
async fn rows_that_know_what_the_journal_does_not_are_a_reason_to_refuse() {
    let (known, other) = (story(1), story(2));
    let mut rewritten = known.asset();
    rewritten.head = Hash::of(b"another last event");
    // An event was cut, and others were appended.
    let mut replaced = known.first(known.lines.len() - 1).asset();
    replaced.head = Hash::of(b"the event that was cut");
    let cases = [
        (rewritten, Difference::Rewritten),
        (replaced, Difference::Rewritten),
        (known.clone().deleted().asset(), Difference::Beyond),
        (other.asset(), Difference::Orphaned),
    ];
    for (row, difference) in cases {
        let world = World::with(std::slice::from_ref(&known)).await;
        world.table.put(&row).await.unwrap();
        let report = refused(world.replay().run().await);
        assert_eq!(report.differences.count(difference), 1, "{difference:?}");
        assert_eq!(report.differences.named[0], (row.key.partition(), difference));
        assert_eq!(world.rows().await, [row], "the rows that are read stay as they were");
        let mut all_the_same = world.replay();
        all_the_same.options.accept_broken = true;
        switched(all_the_same.run().await);
        world.assert_rows(std::slice::from_ref(&known)).await;
    }
}

#[tokio::test]
async fn the_rows_of_every_tenant_are_compared() {
    let (ours, theirs) = (story(1), Story::begin("other", 2).received().uploaded());
    let cut = theirs.first(theirs.lines.len() - 1);
    let world = World::with(&[ours.clone(), cut]).await;
    for story in [&ours, &theirs] {
        world.table.put(&story.asset()).await.unwrap();
    }
    let report = refused(world.replay().run().await);
    assert_eq!(report.differences.named, [(theirs.key.partition(), Difference::Beyond)]);
    assert_eq!(report.differences.count(Difference::Same), 1);
    let mut narrowed = world.replay();
    narrowed.options.tenant = Some(ours.key.tenant.clone());
    assert_eq!(switched(narrowed.run().await).differences.named, []);
}

#[tokio::test]
async fn expired_tombstones_are_left_out_and_are_no_finding() {
    let (long_gone, story) = (Story::begin("main", 1).received().deleted().purged(), story(2));
    let world = World::with(&[long_gone.clone(), story.clone()]).await;
    world.project(&[long_gone.clone(), story.clone()]).await;
    let mut replay = world.replay();
    replay.effects = Arc::new(Clock(long_gone.asset().updated_at + TimeDelta::days(8)));
    let report = switched(replay.run().await);
    assert_eq!(report.differences.count(Difference::Expired), 1);
    let rows = world.table.rows(world.list().await.current);
    assert_eq!(rows.get(&long_gone.key).await.unwrap(), None);
}

#[tokio::test]
async fn a_dry_run_tells_the_same_and_changes_nothing() {
    let stories: Vec<_> = (1..=5).map(story).collect();
    let world = World::with(&stories).await;
    world.project(&stories[..3]).await;
    let found = world.replay().rehearse(&MemoryViews::default()).await.unwrap().unwrap();
    assert_eq!(found.differences.count(Difference::Same), 3);
    assert_eq!(found.differences.count(Difference::Missing), 2);
    assert_eq!(world.list().await, GenerationList::default());
    assert_eq!(world.table.progress().await.unwrap(), None);
    world.assert_rows(&stories[..3]).await;
}

/// A journal that stops or interrupts the replay after a number of pages.
struct Stopping {
    journal: Arc<MemoryJournal>,
    stop: watch::Sender<bool>,
    after: Mutex<u32>,
    read: Mutex<Vec<Option<ScanPosition>>>,
}

impl JournalDecorator for Stopping {
    type Inner = MemoryJournal;

    fn inner(&self) -> &MemoryJournal {
        &self.journal
    }

    async fn page(
        &self,
        of: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        self.read.lock().unwrap().push(after.cloned());
        let left = {
            let mut left = self.after.lock().unwrap();
            *left = left.saturating_sub(1);
            *left
        };
        if left == 0 {
            self.stop.send_replace(true);
        }
        self.journal.page(of, after).await
    }
}

#[tokio::test]
async fn a_named_stream_is_passed_over_whole_or_broken() {
    for (cut, from) in [(0, "ann"), (1, "ann"), (0, "key_created")] {
        let stories: Vec<_> = (1..=9).map(story).collect();
        let world = World::with(&stories).await;
        world.project(&stories).await;
        let (stream, mut lines) = ledger::testing::streams::access(&Tenant::default());
        lines[1] = ledger::testing::streams::altered(&lines[1], from, "other");
        for line in lines.into_iter().skip(cut) {
            world.journal.append_to(&stream, line).await.unwrap();
        }
        let report = switched(world.replay().run().await);
        assert_eq!((report.assets, report.broken_count, report.unknown_count), (9, 0, 0));
        world.assert_rows(&stories).await;
        assert_eq!(world.table.parked(&Tenant::default(), 9).await.unwrap(), []);
    }
}

#[tokio::test]
async fn one_that_was_stopped_is_gone_on_with_where_it_was() {
    let stories: Vec<_> = (1..=2_000).map(story).collect();
    let world = World::with(&stories).await;
    let stopping = |after: u32| {
        let (journal, stop) = (world.journal.clone(), world.stop.clone());
        Arc::new(Stopping { journal, stop, after: after.into(), read: Mutex::default() })
    };
    let mut one = world.replay_of(stopping(300));
    one.options.segments = 1;
    assert!(matches!(one.run().await, Ok(ReplayOutcome::Stopped)));
    assert_eq!(world.list().await.current, Generation::FIRST);
    let left = world.table.progress().await.unwrap().unwrap();
    assert!(left.stopped && left.stretches[0].assets > 0 && !left.stretches[0].done);

    world.stop.send_replace(false);
    let rest = stopping(u32::MAX);
    let report = switched(world.replay_of(rest.clone()).run().await);
    assert_eq!((report.events, report.assets), (6_000, 2_000));
    assert_eq!(rest.read.lock().unwrap()[0], left.stretches[0].place, "it was read again");
    world.assert_rows(&stories).await;
}

#[tokio::test]
async fn one_that_is_begun_anew_goes_on_with_nothing() {
    let stories: Vec<_> = (1..=3).map(story).collect();
    let world = World::with(&stories).await;
    world.stop.send_replace(true);
    assert!(matches!(world.replay().run().await, Ok(ReplayOutcome::Stopped)));
    world.stop.send_replace(false);
    let mut fresh = world.replay();
    fresh.options.fresh = true;
    match fresh.run().await {
        Ok(ReplayOutcome::Switched(generation, _)) => assert_eq!(generation.number(), 3),
        other => panic!("{other:?}"),
    }
}

/// The table of a replay whose process was killed, or is still running.
async fn begun_by_another(world: &World) -> ReplayProgress {
    let list = world.list().await;
    let announced = list.announced("another", Clock::default().0).unwrap();
    assert!(world.table.replace(&list, &announced).await.unwrap());
    let generation = announced.building.unwrap().generation;
    let progress = world.replay().begun(generation, "another".to_owned()).await.unwrap();
    assert!(world.table.save(None, &progress).await.unwrap());
    progress
}

#[tokio::test(start_paused = true)]
async fn one_that_was_killed_is_taken_over_after_a_silence() {
    let world = World::with(&[story(1)]).await;
    begun_by_another(&world).await;
    let begun = tokio::time::Instant::now();
    switched(world.replay().run().await);
    assert!(begun.elapsed() >= begin::LEASE_TIMEOUT.to_std().unwrap());
    world.assert_rows(&[story(1)]).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_at_once_the_second_is_told() {
    let world = World::with(&[story(1)]).await;
    let lives = begun_by_another(&world).await;
    let sign = async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        let at = lives.at + TimeDelta::seconds(3);
        let alive = ReplayProgress { at, ..lives.clone() };
        assert!(world.table.save(Some(&lives), &alive).await.unwrap());
    };
    let replay = world.replay();
    let (second, ()) = tokio::join!(replay.run(), sign);
    assert!(matches!(second, Err(ReplayError::Busy(generation)) if generation == lives.generation));
    assert_eq!(world.list().await.current, Generation::FIRST);
    assert_eq!(world.table.progress().await.unwrap().unwrap().run, "another");
}

#[tokio::test(start_paused = true)]
async fn two_that_begin_at_the_same_moment_do_not_both_work() {
    let stories: Vec<_> = (1..=50).map(story).collect();
    let world = World::with(&stories).await;
    let mut slow = [world.replay(), world.replay()];
    for (seed, replay) in (7..).zip(&mut slow) {
        replay.effects = Arc::new(ledger::testing::TestEffects::seeded(seed));
        replay.options.rate = Some(2);
    }
    let [one, other] = &slow;
    let (one, other) = tokio::join!(one.run(), other.run());
    let told = [&one, &other].map(|it| matches!(it, Err(ReplayError::Busy(_))));
    assert_eq!(told.iter().filter(|told| **told).count(), 1, "{one:?} {other:?}");
    world.assert_rows(&stories).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_was_taken_over_gives_way() {
    let world = World::with(&(1..=50).map(story).collect::<Vec<_>>()).await;
    let mut slow = world.replay();
    slow.options.rate = Some(2);
    let thief = async {
        tokio::time::sleep(std::time::Duration::from_millis(4_500)).await;
        let there = world.table.progress().await.unwrap().unwrap();
        let stolen = ReplayProgress { run: "thief".to_owned(), ..there.clone() };
        assert!(world.table.save(Some(&there), &stolen).await.unwrap());
    };
    let (slow, ()) = tokio::join!(slow.run(), thief);
    assert!(matches!(slow, Err(ReplayError::TakenOver(_))), "{slow:?}");
    assert_eq!(world.list().await.current, Generation::FIRST);
    assert_eq!(world.table.progress().await.unwrap().unwrap().run, "thief");
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_is_given_up_meanwhile_ends_it() {
    let world = World::with(&(1..=50).map(story).collect::<Vec<_>>()).await;
    let mut slow = world.replay();
    slow.options.rate = Some(2);
    let given_up = async {
        tokio::time::sleep(std::time::Duration::from_millis(4_500)).await;
        let list = world.list().await;
        let without = list.given_up(Clock::default().0);
        assert!(world.table.replace(&list, &without).await.unwrap());
    };
    let (slow, ()) = tokio::join!(slow.run(), given_up);
    assert!(matches!(slow, Err(ReplayError::NotSo(GenerationsError::Gone(_)))), "{slow:?}");
    assert_eq!(world.list().await.current, Generation::FIRST);
}

#[tokio::test(start_paused = true)]
async fn stores_that_fail_for_a_while_are_asked_again() {
    let chance = ledger::testing::Chance::new(1);
    let plan = move |_| match chance.below(10) {
        0 => Some(InjectedFault::After),
        1 => Some(InjectedFault::Before),
        _ => None,
    };
    let stories: Vec<_> = (1..=600).map(story).collect();
    let world = World::with(&stories).await;
    let table = Arc::new(Faulty::planned(MemoryViews::default(), plan));
    let mut replay = world.replay();
    replay.table = table.clone();
    switched(replay.run().await);
    let current = table.inner().rows(table.inner().generations().await.unwrap().current);
    for story in &stories {
        assert_eq!(current.get(&story.key).await.unwrap(), Some(story.asset()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_changes_nothing_twice() {
    let world = World::with(&[story(1)]).await;
    switched(world.replay().run().await);
    let mut once = Some(InjectedFault::After);
    let mut replay = world.replay();
    let table = MemoryViews::default();
    let list = world.list().await;
    assert!(table.replace(&GenerationList::default(), &list).await.unwrap());
    let plan = move |name| if name == "replace" { once.take() } else { None };
    replay.table = Arc::new(Faulty::planned(table, plan));
    assert_eq!(replay.roll_back().await.unwrap(), Generation::FIRST);
    assert_eq!(replay.table.generations().await.unwrap(), list.rolled_back().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_ends_it_and_the_next_goes_on() {
    let stories = [story(1)];
    let world = World::with(&stories).await;
    let mut replay = world.replay();
    replay.table = Arc::new(Faulty::planned(MemoryViews::default(), |name| {
        if name == "put" { Some(InjectedFault::Before) } else { None }
    }));
    let failed = replay.run().await;
    assert!(
        matches!(&failed, Err(ReplayError::Store(it)) if it.kind == StoreErrorKind::Unavailable)
    );
    assert!(replay.table.progress().await.unwrap().unwrap().stopped);
}

#[tokio::test(start_paused = true)]
async fn the_saved_position_is_never_beyond_a_row_that_was_not_written() {
    let stories: Vec<_> = (1..=1_500).map(story).collect();
    let world = World::with(&stories).await;
    for writable in [0, 300, 1_100] {
        let (mut puts, mut replay) = (0, world.replay());
        let table = Arc::new(Faulty::planned(MemoryViews::default(), move |name| {
            puts += u32::from(name == "put");
            if name == "put" && puts > writable { Some(InjectedFault::Before) } else { None }
        }));
        (replay.table, replay.options.segments) = (table.clone(), 1);
        assert!(matches!(replay.run().await, Err(ReplayError::Store(_))));
        let left = table.inner().progress().await.unwrap().unwrap();
        assert!(left.stretches[0].assets <= u64::from(writable), "{left:?}");
        let rows = table.inner().rows(left.generation);
        for story in stories.iter().take(left.stretches[0].assets.try_into().unwrap()) {
            assert_eq!(rows.get(&story.key).await.unwrap(), Some(story.asset()));
        }
    }
}

/// A journal whose pages take time, those of its first segment the least.
struct Slow(Arc<MemoryJournal>);

impl JournalDecorator for Slow {
    type Inner = MemoryJournal;

    fn inner(&self) -> &MemoryJournal {
        &self.0
    }

    async fn page(
        &self,
        of: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        let millis = if of.number == 0 { 1 } else { 5 };
        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
        self.0.page(of, after).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_beside_a_broken_history_saves_no_position_beyond_a_row_that_was_not_written() {
    let mut stories: Vec<_> = (1..=1_600).map(story).collect();
    // Its batch waits while the one before it is written, and the other segment goes on.
    let middle = &mut stories[601].lines[1].body;
    *middle = middle.replace("anonymous", "somebody");
    let world = World::with(&stories).await;
    let mut stops = 0;
    for steps in 1..=30 {
        let table: Arc<MemoryViews> = Arc::default();
        let mut replay = world.replay_of(Arc::new(Slow(world.journal.clone())));
        (replay.table, replay.options.segments) = (table.clone(), 2);
        replay.options.rate = Some(100);
        let stop = async {
            tokio::time::sleep(std::time::Duration::from_millis(100) * steps).await;
            world.stop.send_replace(true);
        };
        let (stopped, ()) = tokio::join!(replay.run(), stop);
        world.stop.send_replace(false);
        match stopped {
            Ok(ReplayOutcome::Stopped) => stops += 1,
            Ok(ReplayOutcome::Refused(_)) => continue,
            other => panic!("{steps}: {other:?}"),
        }
        let left = table.progress().await.unwrap().unwrap();
        let rows = table.rows(left.generation);
        let all = rows.list(&ListQuery::all(Tenant::default(), usize::MAX)).await.unwrap();
        let claimed: u64 = left.stretches.iter().map(|stretch| stretch.assets).sum();
        let there = all.assets.len() as u64;
        assert!(left.broken_count > 0 || claimed <= there, "{steps}: {claimed} of {there}");
    }
    assert!(stops > 5, "{stops}");
}

#[tokio::test]
async fn an_event_of_a_newer_version_is_set_aside_and_keeps_no_other_row_from_being_read() {
    let stories: Vec<_> = (1..=4).map(story).collect();
    for (known, newer) in [("\"uploaded\"", "\"scanned\""), ("\"schema\":1", "\"schema\":2")] {
        let mut told = stories.clone();
        let last = &mut told[2].lines[2].body;
        assert!(last.contains(known), "{last}");
        *last = last.replace(known, newer);
        let world = World::with(&told).await;
        let report = switched(world.replay().run().await);
        assert_eq!((report.broken_count, report.unknown_count), (0, 1), "{newer}");
        let why = &report.unknown[0].why;
        assert!(why.contains("newer version") && why.contains("version 3"), "{why}");
        world.assert_rows(&[&stories[..2], &stories[3..]].concat()).await;
        let rows = world.table.rows(world.list().await.current);
        let parked = rows.parked(&Tenant::default(), 9).await.unwrap();
        assert_eq!(parked.iter().map(|it| &it.key).collect::<Vec<_>>(), [&stories[2].key]);
    }
}

#[tokio::test]
async fn an_event_from_a_source_of_a_newer_version_is_folded_as_any_other() {
    let mut told: Vec<_> = (1..=4).map(story).collect();
    let last = &mut told[2].lines[2].body;
    *last = last.replace("\"source\":\"api\"", "\"source\":\"mail\"");
    assert!(last.contains("mail"), "{last}");
    let world = World::with(&told).await;
    let report = switched(world.replay().run().await);
    assert_eq!((report.broken_count, report.unknown_count), (0, 0));
    world.assert_rows(&told).await;
}

#[tokio::test]
async fn what_no_ledger_wrote_and_is_no_assets_is_passed_over() {
    let world = World::with(&[story(1)]).await;
    assert_eq!(world.table.put(&story(1).asset()).await.unwrap(), PutOutcome::Written);
    let stray = StoredLine { version: 1, body: "not an event".to_owned() };
    world.journal.append(&story(2).key, stray).await.unwrap();
    assert_eq!(refused(world.replay().run().await).broken_count, 1);
}

#[tokio::test]
async fn a_replay_sums_the_rows_that_it_builds() {
    let others = [Story::begin("other", 4), Story::begin("other", 5).received()];
    let stories: Vec<_> = (1..=3).map(story).chain(others).collect();
    let world = World::with(&stories).await;
    for stories in [&[][..], &stories[..], &stories[2..]] {
        world.project(stories).await;
        switched(world.replay().run().await);
        let totals = world.table.rows(world.list().await.current).totals(None).await.unwrap();
        let figures = |(tenant, row): (Tenant, Result<Totals, StoreError>)| {
            let figures = row.unwrap().of(&Usage).unwrap().figures;
            (tenant.to_string(), figures["assets"], figures["awaiting"])
        };
        let figures: Vec<_> = totals.into_iter().map(figures).collect();
        assert_eq!(figures, [("main".to_owned(), 3, 0), ("other".to_owned(), 2, 1)]);
    }
}
