//! Replays on the stores, while assets are changed and projected: no event is missed, and the new
//! rows equal the old ones, byte for byte.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use engine::{Engine, Tables};
use ledger::id::Tenant;
use ledger::journal::{Arrivals, Journal};
use ledger::testing::Chance;
use projections::feed::{self, LanedFeed};
use projections::follower::JournalFollower;
use projections::position::Positions;
use projections::replay::{Difference, Replay, ReplayOptions, ReplayOutcome, ReplayReport};
use projections::runner::ProjectionHint;
use projections::testing::{Clock, MemoryViews, Story, walk};
use projections::views::ListQuery;
use projections::{Generations, Runner};
use stores::sqlite::OpenMode;
use stores::{DynamoJournal, SqliteJournal};
use stores::{DynamoViews, SqliteViews};
use tempfile::TempDir;
use tokio::sync::watch;

/// Assets that exist before a replay, in files and on the engine, which is slower.
const IN_FILES: u32 = 1_500;
const ON_DYNAMODB: u32 = 400;

fn replay(
    journal: &Arc<impl Journal + 'static>,
    table: &Arc<impl Generations + 'static>,
) -> Replay {
    Replay {
        journal: journal.clone(),
        table: table.clone(),
        effects: Arc::new(Clock::default()),
        options: ReplayOptions {
            tenant: None,
            segments: 2,
            rate: None,
            keep: Some(TimeDelta::hours(1)),
            accept_broken: false,
            accept_restored: false,
            fresh: false,
        },
        tally: Arc::default(),
        stop: watch::Sender::new(false).subscribe(),
    }
}

fn switched(outcome: ReplayOutcome) -> ReplayReport {
    match outcome {
        ReplayOutcome::Switched(_, report) => report,
        other => panic!("not switched: {other:?}"),
    }
}

fn story(nth: u32) -> Story {
    Story::begin("main", nth).received()
}

async fn append(journal: &dyn Journal, stories: &[Story]) {
    let appends = stories.iter().map(|story| story.append_to(journal));
    futures::future::join_all(appends).await;
}

/// Changes assets and creates new ones, in any order, and hints at each event.
async fn live(
    before: u32,
    journal: Arc<dyn Journal>,
    runner: Option<Runner>,
) -> BTreeMap<u32, Story> {
    let (chance, mut changed) = (Chance::new(7), BTreeMap::<u32, Story>::new());
    for _ in 0..before / 3 {
        let nth = u32::try_from(chance.below(u64::from(before) * 2)).unwrap() + 1;
        let story = match changed.remove(&nth) {
            Some(story) if story.version() == 4 => story.then(ledger::asset::Event::Restored),
            Some(story) if story.version() > 4 => story,
            Some(story) => story.deleted(),
            None => story(nth).uploaded(),
        };
        story.append_to(&*journal).await;
        if let Some(runner) = &runner {
            let (key, version) = (story.key.clone(), story.version());
            let hint = ProjectionHint { key, version, lines: Vec::new() };
            assert!(runner.project(&[hint]).await.failed.is_empty());
        }
        changed.insert(nth, story);
    }
    changed
}

async fn assert_no_drift(before: u32, table: &dyn Generations, changed: &BTreeMap<u32, Story>) {
    let before = (1..=before).map(|nth| (nth, story(nth)));
    let mut all: BTreeMap<u32, Story> = before.collect();
    all.extend(changed.clone());
    let rows = table.rows(table.generations().await.unwrap().current);
    let query = ListQuery::all(Tenant::default(), usize::MAX);
    let mut found = BTreeMap::new();
    let mut next = Some(query);
    while let Some(query) = next {
        let page = rows.list(&query).await.unwrap();
        next = page.next.map(|after| ListQuery { after: Some(after), ..query });
        found.extend(page.assets.into_iter().map(|asset| (asset.key.clone(), asset)));
    }
    assert_eq!(found.len(), all.len());
    for story in all.values() {
        assert_eq!(found.get(&story.key), Some(&story.asset()));
    }
}

async fn sqlite(folder: &Path) -> (Arc<SqliteJournal>, Arc<SqliteViews>) {
    let journal = SqliteJournal::open(folder, OpenMode::OrCreate).await.unwrap();
    (Arc::new(journal), Arc::new(SqliteViews::open(folder, OpenMode::OrCreate).unwrap()))
}

async fn dynamodb() -> (Tables, Arc<DynamoJournal>, Arc<DynamoViews>) {
    let tables = Engine::new().tables().await;
    let journal = DynamoJournal::new(tables.client.clone(), &tables.journal);
    let views = DynamoViews::new(tables.client.clone(), &tables.views, 4);
    (tables, Arc::new(journal), Arc::new(views))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_in_files_that_are_followed_meanwhile() {
    let folder = TempDir::new().unwrap();
    let (journal, table) = sqlite(folder.path()).await;
    append(&*journal, &(1..=IN_FILES).map(story).collect::<Vec<_>>()).await;
    let runner = Runner::new(journal.clone(), table.clone(), Arc::new(Clock::default()));
    let mut follower = JournalFollower::new(
        journal.clone() as Arc<dyn Arrivals>,
        table.clone() as Arc<dyn Positions>,
        runner,
    );
    let (mut progress, (end, ends)) = (follower.progress(), watch::channel(false));
    let following = tokio::spawn(async move { follower.run(ends).await });
    let living = tokio::spawn(live(IN_FILES, journal.clone(), None));
    let mut replays = 0;
    while !living.is_finished() || replays == 0 {
        switched(replay(&journal, &table).run().await.unwrap());
        replays += 1;
    }
    let changed = living.await.unwrap();
    assert!(progress.caught_up().await);
    assert_no_drift(IN_FILES, &*table, &changed).await;
    end.send_replace(true);
    following.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_on_dynamodb_whose_stream_is_projected_meanwhile() {
    let (_, journal, table) = dynamodb().await;
    append(&*journal, &(1..=ON_DYNAMODB).map(story).collect::<Vec<_>>()).await;
    let runner = Runner::new(journal.clone(), table.clone(), Arc::new(Clock::default()));
    let living = tokio::spawn(live(ON_DYNAMODB, journal.clone(), Some(runner)));
    let mut replays = 0;
    while !living.is_finished() || replays == 0 {
        switched(replay(&journal, &table).run().await.unwrap());
        replays += 1;
    }
    let changed = living.await.unwrap();
    assert_no_drift(ON_DYNAMODB, &*table, &changed).await;
}

/// A process that is killed half way, while assets are changed, and the next process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_killed_half_way_on_dynamodb_is_gone_on_with() {
    let assets = 600;
    let (_, journal, table) = dynamodb().await;
    append(&*journal, &(1..=assets).map(story).collect::<Vec<_>>()).await;
    let runner = Runner::new(journal.clone(), table.clone(), Arc::new(Clock::default()));
    let living = tokio::spawn(live(assets, journal.clone(), Some(runner)));
    let mut killed = replay(&journal, &table);
    (killed.options.segments, killed.options.rate) = (1, Some(150));
    let work = tokio::spawn(async move { killed.run().await });
    let begun = loop {
        assert!(!work.is_finished(), "it came to its end before it was killed");
        let saved = table.progress().await.unwrap();
        if let Some(saved) = saved.filter(|saved| saved.stretches[0].assets > 0) {
            break saved;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    assert!(!begun.stretches[0].done && begun.stretches[0].assets < u64::from(assets));
    assert_ne!(table.generations().await.unwrap().current, begun.generation);

    let mut again = replay(&journal, &table);
    again.effects = Arc::new(Clock(Clock::default().0 + TimeDelta::hours(1)));
    switched(again.run().await.unwrap());
    assert_eq!(table.generations().await.unwrap().current, begun.generation, "it began anew");
    let changed = living.await.unwrap();
    assert_no_drift(assets, &*table, &changed).await;
}

/// All data of the rows of a generation in a file, without its number.
fn raw(folder: &Path, generation: u32) -> Vec<Vec<rusqlite::types::Value>> {
    let file = rusqlite::Connection::open(folder.join("views.sqlite")).unwrap();
    let table = if generation == 1 { "assets".to_owned() } else { format!("assets_{generation}") };
    let select = format!("SELECT * FROM {table} WHERE generation = ?1 ORDER BY pk, sk");
    let mut select = file.prepare(&select).unwrap();
    let columns = select.column_count();
    let row = |row: &rusqlite::Row<'_>| (1..columns).map(|at| row.get(at)).collect();
    select.query_map([generation], row).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Stories of every state, with every declaration.
fn stories() -> Vec<Story> {
    let grown = |nth: u32| match nth % 5 {
        0 => Story::begin("main", nth),
        1 => story(nth),
        2 => story(nth).uploaded(),
        3 => story(nth).uploaded().deleted(),
        _ => story(nth).deleted().purged(),
    };
    (1..=300).map(grown).collect()
}

#[tokio::test]
async fn a_replay_of_files_makes_the_same_rows_byte_for_byte() {
    let folder = TempDir::new().unwrap();
    let (journal, table) = sqlite(folder.path()).await;
    append(&*journal, &stories()).await;
    let runner = Runner::new(journal.clone(), table.clone(), Arc::new(early()));
    for story in stories() {
        runner.redrive(&story.key).await;
    }
    let mut replay = replay(&journal, &table);
    replay.effects = Arc::new(early());
    let report = switched(replay.run().await.unwrap());
    assert_eq!(report.differences.count(Difference::Same), 300);
    let (old, new) = (raw(folder.path(), 1), raw(folder.path(), 2));
    assert_eq!((old.len(), old == new), (300, true));
}

/// A time before any tombstone expires.
fn early() -> Clock {
    Clock(Clock::default().0 - TimeDelta::days(1) + TimeDelta::hours(1))
}

type Items = Vec<BTreeMap<String, String>>;

/// All data of the rows of a generation in a table, without its number.
async fn items(tables: &Tables, generation: u32) -> Items {
    let all = tables.client.scan().table_name(&tables.views).into_paginator().items().send();
    let all = all.collect::<Result<Vec<_>, _>>().await.unwrap();
    let between = format!("#{generation}#");
    let ours = all.into_iter().filter(|item| item["pk"].as_s().unwrap().contains(&between));
    let text = |(name, value)| (name, format!("{value:?}").replace(&between, "#n#"));
    let mut ours: Items = ours.map(|item| item.into_iter().map(text).collect()).collect();
    ours.sort();
    ours
}

#[tokio::test]
async fn a_replay_on_dynamodb_makes_the_same_rows_byte_for_byte() {
    let (tables, journal, table) = dynamodb().await;
    append(&*journal, &stories()).await;
    let runner = Runner::new(journal.clone(), table.clone(), Arc::new(early()));
    for story in stories() {
        runner.redrive(&story.key).await;
    }
    let mut replay = replay(&journal, &table);
    replay.effects = Arc::new(early());
    switched(replay.run().await.unwrap());
    let (old, new) = (items(&tables, 1).await, items(&tables, 2).await);
    assert_eq!((old.len(), old == new), (300, true));
}

/// A replay interrupted at any step leaves the read rows unchanged; the next completes it.
#[tokio::test]
async fn one_that_is_cut_off_anywhere_is_gone_on_with() {
    let folder = TempDir::new().unwrap();
    let (journal, table) = sqlite(folder.path()).await;
    let stories: Vec<_> = (1..=IN_FILES).map(story).collect();
    append(&*journal, &stories).await;
    for (hour, millis) in (1..).zip([1, 3, 10, 30, 100, 300]) {
        let before = table.generations().await.unwrap().current;
        let [mut work, mut again] = [replay(&journal, &table), replay(&journal, &table)];
        // An hour later the lease of `work` has expired.
        let at = |hours| Clock(Clock::default().0 + TimeDelta::hours(hours));
        (work.effects, again.effects) = (Arc::new(at(2 * hour)), Arc::new(at(2 * hour + 1)));
        let short = tokio::time::timeout(Duration::from_millis(millis), work.run()).await;
        let now = table.generations().await.unwrap().current;
        if short.is_err() && now != before {
            // The switch was its last step: it took effect, and only its answer was lost.
            assert_no_drift(IN_FILES, &*table, &BTreeMap::new()).await;
        }
        let report = switched(again.run().await.unwrap());
        assert_eq!((report.events, report.assets), (u64::from(IN_FILES) * 2, u64::from(IN_FILES)));
        assert_no_drift(IN_FILES, &*table, &BTreeMap::new()).await;
    }
}

/// The new rows cover every event of the journal: they would hide events that the feed does not
/// have.
#[tokio::test]
async fn what_was_never_projected_is_announced_before_the_new_rows_are_read() {
    let Tables { client, journal, views, .. } = Engine::new().tables().await;
    let journal = Arc::new(DynamoJournal::new(client.clone(), journal));
    let table = Arc::new(DynamoViews::new(client, views, 2));
    let runner = Runner::new(journal.clone(), table.clone(), Arc::new(Clock::default()));
    let [whole, behind, lost] = [story(1), story(2), story(3)];
    for (story, known) in [(&whole, 2), (&behind, 1), (&lost, 0)] {
        journal.append(&story.key, story.lines[0].clone()).await.unwrap();
        if known == 1 {
            runner.redrive(&story.key).await;
        }
        story.append_to(&*journal).await;
        if known == 2 {
            runner.redrive(&story.key).await;
        }
    }
    let feed = LanedFeed::new(table.lanes().unwrap(), journal.clone(), Arc::new(Clock::default()));
    let query = feed::FeedQuery {
        tenant: Tenant::default(),
        after: None,
        limit: 9,
        kind: None,
        actor: None,
    };
    assert_eq!(walk(&feed, query.clone()).await.0.len(), 3);
    let replay = replay(&journal, &table);
    replay.rehearse(&MemoryViews::default()).await.unwrap();
    assert_eq!(walk(&feed, query.clone()).await.0.len(), 3, "a dry run tells nobody");
    let report = switched(replay.run().await.unwrap());
    let [lagging, missing] = [Difference::Lagging, Difference::Missing];
    assert_eq!([lagging, missing].map(|it| report.differences.count(it)), [1, 1]);
    let told = walk(&feed, query).await.0;
    for story in [&whole, &behind, &lost] {
        let own = told.iter().filter(|event| event.key == story.key);
        assert_eq!(own.map(|event| event.line.version).collect::<Vec<_>>(), [1, 2]);
    }
}
