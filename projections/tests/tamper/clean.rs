//! No false alarms: on many clean assets, and beside a constant writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use ledger::asset::Event;
use ledger::audit::{Finding, FindingKind};
use ledger::id::Tenant;
use ledger::record::StoredLine;
use ledger::testing::streams;
use projections::audit::RowAudit;
use projections::runner::ProjectionHint;
use projections::testing::{Clock, Story};
use projections::totals::Usage;
use projections::views::PutOutcome;
use projections::{Runner, TotalsReader};

use crate::store::{dynamodb, sqlite};
use crate::{TamperFixture, findings};

/// Clean assets, of every state.
const CLEAN: u32 = 10_000;
/// Assets written during the audit, and the writes to each.
const BUSY: u32 = 8;
const CHANGES: usize = 30;

fn story(nth: u32) -> Story {
    let story = Story::begin("main", nth);
    match nth % 5 {
        0 => story,
        1 => story.received(),
        2 => story.received().uploaded(),
        3 => story.received().uploaded().deleted(),
        _ => story.received().deleted().purged(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_clean_assets_none_is_reported() {
    let world = sqlite().await;
    for hundred in (0..CLEAN).map(story).collect::<Vec<_>>().chunks(500) {
        join_all(hundred.iter().map(|story| world.keep(story))).await;
    }
    let (found, (assets, events, rows)) = findings(&world.audit()).await;
    assert_eq!((found.len(), assets, rows), (0, CLEAN.into(), CLEAN.into()));
    println!("false alarms: 0 on {assets} clean assets with {events} events and {rows} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_stream_is_examined_and_needs_no_row() {
    let (stream, lines) = streams::access(&Tenant::default());
    let altered = streams::altered(&lines[1], "ann", "eve");
    let cases: [(Vec<StoredLine>, &[FindingKind]); 3] = [
        (lines.clone(), &[]),
        (vec![lines[0].clone(), altered, lines[2].clone()], &[FindingKind::Edited]),
        (lines[..2].to_vec(), &[]), // cut: a checkpoint shows it
    ];
    for (lines, kinds) in cases {
        let (sqlite, dynamodb) = (sqlite().await, dynamodb().await);
        let mut worlds = vec![dynamodb];
        // A file refuses unlinked events.
        worlds.extend(kinds.is_empty().then_some(sqlite));
        for world in worlds {
            world.keep(&Story::begin("main", 1).received()).await;
            for line in &lines {
                world.journal.append_to(&stream, line.clone()).await.unwrap();
            }
            let whole = findings(&world.audit()).await;
            let repaired = findings(&RowAudit { repair: true, ..world.audit() }).await;
            let narrowed = RowAudit { tenant: "other".parse().ok(), ..world.audit() };
            for (found, figures) in [whole, repaired, findings(&narrowed).await] {
                assert_eq!(found.iter().map(|it| it.kind).collect::<Vec<_>>(), kinds);
                assert!(found.iter().all(|it| it.asset == "main#access" && it.repair.is_none()));
                assert_eq!((figures.0, figures.1), (1, 2 + lines.len() as u64));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_every_tenant_are_held_against_the_journal() {
    for world in [sqlite().await, dynamodb().await] {
        let stories = ["a", "a-b", "aa"].map(|of| Story::begin(of, 1).received().uploaded());
        for story in &stories {
            world.keep(story).await;
        }
        assert_eq!(world.findings().await, []);
        let rows = world.views.rows(world.views.generations().await.unwrap().current);
        // The last row of a tenant, and a row of another tenant with too few events.
        let gone = Story::begin("gone", 2);
        let ahead = stories[1].clone().deleted();
        for asset in [gone.asset(), ahead.asset()] {
            rows.put(&asset).await.unwrap();
        }
        let told = |mut found: Vec<Finding>| {
            found.sort_by(|a, b| a.asset.cmp(&b.asset));
            found.into_iter().map(|it| (it.asset, it.kind)).collect::<Vec<_>>()
        };
        let found = told(world.findings().await);
        let cut = (ahead.key.partition(), FindingKind::Truncated);
        assert_eq!(found, [cut, (gone.key.partition(), FindingKind::RowOrphaned)]);
        let mended = findings(&RowAudit { repair: true, ..world.audit() }).await.0;
        let hint = format!("`replay --asset gone#{} --accept-restored`", gone.key.asset);
        let says = |it: &Finding| it.repair.as_ref().is_some_and(|repair| repair.contains(&hint));
        assert!(mended.iter().any(says), "{mended:?}");
        let narrowed = RowAudit { tenant: "aa".parse().ok(), ..world.audit() };
        assert_eq!(told(findings(&narrowed).await.0), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_that_the_assets_do_not_make_are_told_and_summed_again() {
    for world in [sqlite().await, dynamodb().await] {
        for nth in 0..10 {
            world.keep(&story(nth)).await;
        }
        let rows = world.views.rows(world.views.generations().await.unwrap().current);
        summed_at(&world, Clock::default()).await;
        assert_eq!(world.findings().await, []);
        let tenant = Tenant::default();
        let mut altered = rows.totals(None).await.unwrap().remove(&tenant).unwrap().unwrap();
        altered.revision += 1;
        let usage = altered.figures.get_mut("usage").unwrap();
        *usage.get_mut("bytes").unwrap() += 1;
        let bytes = usage["bytes"];
        assert_eq!(rows.put_totals(&tenant, &altered).await.unwrap(), PutOutcome::Written);
        let found = world.findings().await;
        let [drifted] = &found[..] else { panic!("{found:?}") };
        assert_eq!((drifted.kind, &*drifted.asset), (FindingKind::TotalsDrifted, "main#usage"));
        assert_eq!(drifted.says, format!("bytes is {bytes}, and its events make it {}", bytes - 1));
        let other = RowAudit { tenant: "other".parse().ok(), ..world.audit() };
        assert_eq!(findings(&other).await.0, []);
        let mended = findings(&RowAudit { repair: true, ..world.audit() }).await.0;
        assert!(mended[0].repair.is_some());
        assert_eq!(world.findings().await, []);
    }
}

/// Sums the rows of the tenant again, and stores the totals.
async fn summed_at(world: &TamperFixture, clock: Clock) {
    let (journal, views) = (world.journal.clone(), world.views.clone());
    let reader = TotalsReader::new(journal, views, Arc::new(clock), Duration::ZERO);
    reader.read(&Usage, &Tenant::default()).await.unwrap();
}

/// Deletes and restores, and updates the rows a little later, like streams.
async fn write(world: &TamperFixture, nth: u32) {
    let runner =
        Runner::new(world.journal.clone(), world.views.clone(), Arc::new(Clock::default()));
    let mut story = Story::begin("main", nth);
    for change in 0..CHANGES {
        story.append_to(world.journal.as_ref()).await;
        tokio::time::sleep(Duration::from_millis(u64::from(nth) % 7)).await;
        let (key, version) = (story.key.clone(), story.version());
        let report = runner.project(&[ProjectionHint { key, version, lines: Vec::new() }]).await;
        assert_eq!(report.projected, 1);
        let next =
            if change % 2 == 0 { Event::SoftDeleted { reason: None } } else { Event::Restored };
        story = story.then(next);
    }
}

async fn nothing_is_reported_beside_a_writer(world: TamperFixture, store: &str) {
    let (mut audit, done) = (world.audit(), AtomicBool::new(false));
    // The maximum time of a row's update.
    audit.patience = Duration::from_secs(30);
    let writing = async {
        join_all((0..BUSY).map(|nth| write(&world, nth))).await;
        done.store(true, Ordering::Relaxed);
    };
    let looking = async {
        let mut audits = 0;
        while !done.load(Ordering::Relaxed) {
            // The events are from then on.
            summed_at(&world, Clock(Clock::default().0 - TimeDelta::days(1))).await;
            assert_eq!(findings(&audit).await.0, []);
            audits += 1;
        }
        audits
    };
    let ((), audits) = tokio::join!(writing, looking);
    assert!(audits > 0);
    println!("{store}: false alarms: 0 in {audits} audits beside {BUSY} writers");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_sqlite_nothing_is_reported_beside_a_writer() {
    nothing_is_reported_beside_a_writer(sqlite().await, "sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_dynamodb_nothing_is_reported_beside_a_writer() {
    nothing_is_reported_beside_a_writer(dynamodb().await, "dynamodb").await;
}
