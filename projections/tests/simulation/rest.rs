//! The checks after all activity has ended.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use ledger::asset::{AssetStatus, Event};
use ledger::history::History;
use ledger::id::Key;
use ledger::objects::CurrentObject;
use ledger::record::EventSource;

use projections::TotalsReader;
use projections::totals::{TenantProjection, Usage};
use projections::views::ListQuery;

use crate::actors::{follower, hint};
use crate::world::{CommandOutcome, SimulatedFeed, SimulatedStore, SimulatedTable, Simulation};

/// Faults stop, and everything in the bucket is shown. Each key is reconciled twice, since a
/// missing version is gone only after a delay. All stream records are delivered, in any order.
pub(crate) async fn settle<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>) {
    world.faults.stop();
    world.bucket.reveal();
    let mut all: Vec<_> = keys(world).await.into_iter().collect();
    all.extend(all.clone());
    for (place, key) in all.iter().enumerate() {
        if place == all.len() / 2 {
            world.effects.advance(TimeDelta::minutes(16));
        }
        let looked = world.service.look(&world.caller(EventSource::Reconcile), key.asset).await;
        if let Err(refusal) = looked {
            world.violated(format!("{}: without faults, a look is refused: {refusal}", key.asset));
        }
    }
    if world.feed != SimulatedFeed::Follower {
        let arrivals = world.journal.arrivals(0, 10_000).await.unwrap();
        let mut hints: Vec<_> = arrivals.into_iter().map(|it| hint(world, it)).collect();
        world.chance.shuffle(&mut hints);
        for batch in hints.chunks(4) {
            let report = world.runner().project(batch).await;
            if !report.failed.is_empty() || report.parked > 0 {
                world.violated(format!("without faults, a batch came to {report:?}"));
            }
        }
    }
    if world.feed != SimulatedFeed::Stream {
        follower(world).catch_up().await.unwrap();
    }
}

async fn keys<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>) -> BTreeSet<Key> {
    world.arrived().await.into_iter().map(|arrival| arrival.key).collect()
}

/// Checks every asset; returns the violations.
pub(crate) async fn check<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
) -> CommandOutcome {
    let mut outcome = CommandOutcome::default();
    let mut restored = 0;
    for key in keys(world).await {
        let Some(history) = world.history(&key).await else { continue };
        for entry in history.entries() {
            *outcome.kinds.entry(entry.record.event.kind()).or_default() += 1;
            restored += u64::from(entry.record.event == Event::Restored);
        }
        outcome.assets += 1;
        outcome.events += history.asset().version;
        outcome.heads.push(history.asset().head);
        for fault in faults(world, &key, &history).await {
            let kinds: Vec<_> = history.entries().iter().map(|e| e.record.event.kind()).collect();
            world.violated(format!("{}: {fault} ({kinds:?})", key.asset));
        }
    }
    check_parked(world).await;
    check_list(world).await;
    check_usage(world).await;
    world.hear_out().await;
    let seen = world.seen();
    outcome.violations.clone_from(&seen.violations);
    outcome.crashes = seen.crashes;
    outcome.told = seen.told;
    outcome.acknowledged = seen.acknowledged.len() as u64;
    if restored > seen.restores {
        outcome.violations.push(format!("{restored} restored, {} asked for", seen.restores));
    }
    outcome
}

async fn check_parked<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>) {
    let parked = world.rows().await.parked(&world.tenant, 10).await.unwrap();
    if !parked.is_empty() {
        world.violated(format!("set aside without cause: {parked:?}"));
    }
}

/// The list has the tenant's assets and no other.
async fn check_list<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>) {
    let mut expected = Vec::new();
    for key in keys(world).await {
        let Some(history) = world.history(&key).await else { continue };
        expected.extend((history.asset().status() != AssetStatus::Purged).then_some(key));
    }
    let query = ListQuery::all(world.tenant.clone(), 10_000);
    let listed = world.rows().await.list(&query).await.unwrap().assets;
    let listed: Vec<_> = listed.into_iter().rev().map(|asset| asset.key).collect();
    if listed != expected {
        world.violated(format!("the list is {listed:?}, and the assets are {expected:?}"));
    }
}

/// The usage is the sum over the folds of the journal.
async fn check_usage<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>) {
    let mut expected = vec![0; Usage.figures().len()];
    for key in keys(world).await {
        let Some(history) = world.history(&key).await else { continue };
        let asset = history.asset();
        if asset.status() != AssetStatus::Purged {
            expected.iter_mut().zip(Usage.fold(asset)).for_each(|(sum, share)| *sum += share);
        }
    }
    let (journal, views) = (world.journal.clone(), world.views.clone());
    let reader = TotalsReader::new(journal, views, world.effects.clone(), Duration::ZERO);
    let summed = reader.summed(&Usage, Some(&world.tenant)).await.unwrap();
    let figures: Vec<_> = Usage.figures().iter().map(|it| summed[0].1.figures[*it]).collect();
    if figures != expected {
        world.violated(format!("the usage is {figures:?}, and the assets make it {expected:?}"));
    }
}

async fn faults<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    key: &Key,
    history: &History,
) -> Vec<String> {
    let mut faults = Vec::new();
    let asset = history.asset();
    let row = world.rows().await.get(key).await.unwrap();
    if row.as_ref() != Some(asset) {
        faults.push(format!("the row is {row:?}, but the fold is {asset:?}"));
    }
    let versions = history.entries().iter().map(|entry| entry.record.version);
    if !versions.eq(1..=asset.version) {
        faults.push("its versions have gaps".to_owned());
    }
    let seen = world.seen();
    for (_, version, head) in seen.acknowledged.iter().filter(|(of, ..)| of == key) {
        let there = history.at_version(*version).map(|then| then.head);
        if there != Some(*head) {
            faults.push(format!("version {version} was acknowledged as {head}, and is {there:?}"));
        }
    }
    drop(seen);
    faults.extend(pin_fault(world, key, history));
    faults.extend(purge_fault(world, history));
    faults.extend(life_fault(history));
    faults
}

/// The pin fits the bucket.
fn pin_fault<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    key: &Key,
    history: &History,
) -> Option<String> {
    let asset = history.asset();
    let current = world.bucket.shows(key);
    let pin = asset.pin.as_ref().map(|pin| pin.version_id.as_str());
    let pin_held = pin.is_some_and(|pin| world.bucket.holds(key, pin));
    let fits = match (asset.status(), &current) {
        (AssetStatus::Created, current) => {
            pin.is_none() && !matches!(current, CurrentObject::Object(_))
        }
        (AssetStatus::Received, CurrentObject::Object(version)) => pin == Some(&version.version_id),
        (AssetStatus::Received, CurrentObject::Absent) | (AssetStatus::Purging, _) => false,
        // Received under a marker: it was restored from that marker.
        (AssetStatus::Received | AssetStatus::Uploaded, _)
        | (AssetStatus::Deleted, CurrentObject::Object(_)) => pin_held,
        (AssetStatus::Deleted, _) => pin.is_none() || pin_held,
        (AssetStatus::Purged, _) => world.bucket.ids(key).is_empty(),
    };
    let ids = || world.bucket.ids(key);
    (!fits).then(|| format!("{:?} with pin {pin:?}, but S3 holds {:?}", asset.status(), ids()))
}

/// Bytes are destroyed only on a request, or if the pinned version was destroyed in the bucket. For
/// an unconfirmed asset, no other version may then have replaced it.
fn purge_fault<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    history: &History,
) -> Option<String> {
    let purged = history.entries().last().filter(|last| last.record.event == Event::Purged)?;
    let before = history.at_version(purged.record.version - 1)?;
    let (key, pin) = (before.key.clone(), before.pin.as_ref().map(|pin| pin.version_id.clone()));
    let seen = world.seen();
    let vanished = |pin: String| seen.removed.contains(&(key, pin));
    let grounds = match before.status() {
        AssetStatus::Purging => true,
        AssetStatus::Received => pin.is_some_and(|pin| seen.unreplaced.contains(&pin)),
        _ => pin.is_some_and(vanished),
    };
    (!grounds).then(|| format!("it was purged without grounds when it was {:?}", before.status()))
}

/// A deleted asset returns only by a restore, and confirmed bytes stay the same.
fn life_fault(history: &History) -> Option<String> {
    let hidden = |status| {
        matches!(status, AssetStatus::Deleted | AssetStatus::Purging | AssetStatus::Purged)
    };
    history.entries().iter().skip(1).find_map(|entry| {
        let version = entry.record.version;
        let (before, after) = (history.at_version(version - 1)?, history.at_version(version)?);
        let restored =
            entry.record.event == Event::Restored && before.status() == AssetStatus::Deleted;
        let resurrected = hidden(before.status()) && !hidden(after.status()) && !restored;
        let swapped = before.confirmed && before.pin != after.pin;
        (resurrected || swapped).then(|| format!("version {version} should not have happened"))
    })
}
