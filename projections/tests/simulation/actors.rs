//! The actors: clients, others in S3, notifications, stream shards and followers.

use std::sync::Arc;
use std::time::Duration;

use ledger::asset::{AssetStatus, Declaration};
use ledger::history::History;
use ledger::id::{AssetId, Key};
use ledger::journal::Arrival;
use ledger::objects::CurrentObject;
use ledger::record::EventSource;
use ledger::service::{Caller, Refusal};
use ledger::testing::Faulty;
use ledger::testing::objects::Told;
use projections::follower::JournalFollower;
use projections::runner::ProjectionHint;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::listener::listener;
use crate::world::{SimulatedFeed, SimulatedStore, SimulatedTable, Simulation};

/// Clients at once.
const CLIENTS: usize = 3;
/// Actions per client.
const DEEDS: usize = 10;
/// Rounds of each other actor; each starts some milliseconds after the previous one.
pub(crate) const ROUNDS: usize = 10;

/// Runs all actors, with faults.
pub(crate) async fn live<J: SimulatedStore, V: SimulatedTable>(world: &Arc<Simulation<J, V>>) {
    let mut actors = JoinSet::new();
    for _ in 0..CLIENTS {
        actors.spawn(client(world.clone()));
    }
    actors.spawn(notifications(world.clone()));
    actors.spawn(onlooker(world.clone()));
    actors.spawn(listener(world.clone()));
    if world.feed != SimulatedFeed::Follower {
        actors.spawn(shard(world.clone()));
        actors.spawn(shard(world.clone()));
    }
    if world.feed != SimulatedFeed::Stream {
        actors.spawn(follow(world.clone()));
        actors.spawn(follow(world.clone()));
    }
    while let Some(ended) = actors.join_next().await {
        ended.unwrap();
    }
}

pub(crate) async fn pause<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, ms: u64) {
    sleep(Duration::from_millis(world.chance.below(ms))).await;
}

async fn client<J: SimulatedStore, V: SimulatedTable>(world: Arc<Simulation<J, V>>) {
    for _ in 0..DEEDS {
        pause(&world, 8).await;
        world.tick();
        let known = world.seen().known.clone();
        match world.chance.pick(&known) {
            Some(asset) => drop(world.mortal(deed(&world, *asset)).await),
            None if world.chance.happens(500) => drop(world.mortal(create(&world)).await),
            None => {}
        }
    }
}

async fn create<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>) {
    let declared =
        Declaration { size: world.chance.happens(50).then_some(3), ..Declaration::plain() };
    if let Ok(history) = world.service.create(&world.caller(EventSource::Api), declared).await {
        world.seen().known.push(history.asset().key.asset);
        acknowledge(world, &history, &[AssetStatus::Created]).await;
    }
}

async fn deed<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, asset: AssetId) {
    match world.chance.below(42) {
        0..=1 => create(world).await,
        2..=8 => upload(world, asset),
        9..=13 => upload_and_confirm(world, asset).await,
        14..=18 => confirm(world, asset).await,
        19..=23 => delete(world, asset).await,
        24..=30 => restore(world, asset).await,
        31..=33 => purge(world, asset).await,
        34..=35 => mark_deleted(world, asset),
        36 => rewrite_and_look(world, asset).await,
        37 => hide_or_show(world, asset),
        _ => remove_a_version(world, asset),
    }
}

/// By a plain URL, which replaces an object, or by one that never replaces an object.
fn upload<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, asset: AssetId) {
    let (key, bytes) = (world.key(asset), world.chance.draw().to_be_bytes());
    if world.chance.happens(300) {
        world.bucket.put_if_absent(&key, &bytes);
    } else {
        world.bucket.put(&key, &bytes[..if world.chance.happens(500) { 3 } else { 8 }]);
    }
}

/// A hasty client: uploads again during its confirmation.
async fn upload_and_confirm<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    asset: AssetId,
) {
    upload(world, asset);
    let again = async {
        pause(world, 10).await;
        upload(world, asset);
    };
    futures::join!(confirm(world, asset), again);
}

async fn expected<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    asset: AssetId,
) -> Option<u64> {
    if world.chance.happens(700) {
        return None;
    }
    let read = world.reader.current(&world.key(asset)).await;
    read.unwrap().map(|asset| asset.version)
}

async fn confirm<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, asset: AssetId) {
    let expected = expected(world, asset).await;
    let done = world.service.confirm(&world.caller(EventSource::Api), asset, expected).await;
    answered(world, done, &[AssetStatus::Uploaded]).await;
}

async fn delete<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, asset: AssetId) {
    let expected = expected(world, asset).await;
    let done = world.service.delete(&world.caller(EventSource::Api), asset, expected, None).await;
    answered(world, done, &[AssetStatus::Deleted, AssetStatus::Purging]).await;
}

async fn restore<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, asset: AssetId) {
    world.seen().restores += 1;
    let expected = expected(world, asset).await;
    let done = world.service.restore(&world.caller(EventSource::Api), asset, expected).await;
    answered(world, done, &[AssetStatus::Created, AssetStatus::Received, AssetStatus::Uploaded])
        .await;
}

async fn purge<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, asset: AssetId) {
    let expected = expected(world, asset).await;
    let done = world.service.purge(&world.caller(EventSource::Api), asset, expected).await;
    answered(world, done, &[AssetStatus::Purging, AssetStatus::Purged]).await;
}

/// Deletes a version or a delete marker permanently, directly in the bucket.
fn remove_a_version<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    asset: AssetId,
) {
    let key = world.key(asset);
    if let Some(id) = world.chance.pick(&world.bucket.ids(&key)) {
        world.bucket.remove(&key, id);
        world.seen().removed.insert((key.clone(), id.clone()));
        note_unreplaced(world, &key);
    }
}

/// The bucket is being restored or replicated: an existing version is hidden for a while.
fn hide_or_show<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, asset: AssetId) {
    let key = world.key(asset);
    match world.chance.pick(&world.bucket.ids(&key)) {
        Some(id) if world.chance.happens(700) => {
            world.bucket.hide(id);
            note_unreplaced(world, &key);
        }
        _ => world.bucket.reveal(),
    }
}

/// Deletes a key without a version, directly in the bucket.
fn mark_deleted<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, asset: AssetId) {
    let key = world.key(asset);
    world.bucket.mark_deleted(&key);
    note_unreplaced(world, &key);
}

/// Deletes the key, uploads it again and destroys the old versions, while reconciling runs.
async fn rewrite_and_look<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    asset: AssetId,
) {
    let (key, caller) = (world.key(asset), world.caller(EventSource::Reconcile));
    let old = world.bucket.ids(&key);
    mark_deleted(world, asset);
    let rewrite = async {
        pause(world, 20).await;
        upload(world, asset);
        for id in old.into_iter().filter(|id| world.bucket.remove(&key, id)) {
            world.seen().removed.insert((key.clone(), id));
        }
        // The upload may have failed: while it waited, another actor may have removed the delete
        // marker that permitted it.
        note_unreplaced(world, &key);
    };
    let _ = futures::join!(world.service.look(&caller, asset), rewrite);
}

fn note_unreplaced<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, key: &Key) {
    if !matches!(world.bucket.shows(key), CurrentObject::Object(_)) {
        let seen = &mut *world.seen();
        let gone = seen.removed.iter().filter(|(of, _)| of == key).map(|(_, id)| id.clone());
        seen.unreplaced.extend(gone);
    }
}

async fn answered<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    outcome: Result<History, Refusal>,
    promised: &[AssetStatus],
) {
    match outcome {
        Ok(history) => acknowledge(world, &history, promised).await,
        Err(Refusal::Store(error)) if error.kind == ledger::error::StoreErrorKind::Corrupt => {
            world.violated(ledger::error::chain(&error));
        }
        Err(_) => {}
    }
}

/// An acknowledged change is permanent, and every later read shows it.
async fn acknowledge<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    history: &History,
    promised: &[AssetStatus],
) {
    let asset = history.asset();
    if !promised.contains(&asset.status()) {
        world.violated(format!(
            "{}: answered {:?}, not {promised:?}",
            asset.key.asset,
            asset.status()
        ));
    }
    world.seen().acknowledged.push((asset.key.clone(), asset.version, asset.head));
    let read = world.reader.current(&asset.key).await.unwrap();
    if read.as_ref().is_none_or(|read| read.version < asset.version) {
        let read = read.map(|read| read.version);
        world.violated(format!("{}: read {read:?} after {}", asset.key.asset, asset.version));
    }
}

/// S3's notifications: late, twice, in another order, some lost.
async fn notifications<J: SimulatedStore, V: SimulatedTable>(world: Arc<Simulation<J, V>>) {
    let mut waiting: Vec<Told> = Vec::new();
    for _ in 0..ROUNDS {
        pause(&world, 15).await;
        waiting.extend(world.bucket.take_notifications());
        world.chance.shuffle(&mut waiting);
        let now = waiting.split_off(waiting.len() / 2);
        for told in now {
            if world.chance.happens(200) {
                continue; // lost
            }
            if world.chance.happens(200) {
                waiting.push(told.clone()); // and again, later
            }
            // One bucket has the objects of all tenants.
            let caller = world.caller(EventSource::S3);
            let caller = Caller { tenant: told.key.tenant.clone(), ..caller };
            let (service, asset) = (&world.service, told.key.asset);
            let looked = match &told.removed {
                Some(id) => world.mortal(service.look_for_removed(&caller, asset, id)).await,
                None => world.mortal(service.look(&caller, asset)).await,
            };
            if !matches!(looked, Some(Ok(_))) {
                waiting.push(told);
            }
        }
    }
}

/// A shard of the stream: every event, but late, twice, in another order, in batches with gaps;
/// failed records are retried.
async fn shard<J: SimulatedStore, V: SimulatedTable>(world: Arc<Simulation<J, V>>) {
    let (mut read, mut waiting) = (0, Vec::new());
    for _ in 0..ROUNDS {
        pause(&world, 15).await;
        let arrivals = world.journal.arrivals(read, 1_000).await.unwrap();
        read = arrivals.last().map_or(read, |last| last.number);
        waiting.extend(arrivals.into_iter().map(|arrival| hint(&world, arrival)));
        world.chance.shuffle(&mut waiting);
        let count = usize::try_from(world.chance.below(waiting.len() as u64 + 1)).unwrap();
        let batch = waiting.split_off(waiting.len() - count);
        match world.mortal(world.runner().project(&batch)).await {
            Some(report) => {
                waiting.extend(report.failed.iter().map(|failed| batch[failed.hint].clone()));
                waiting.extend(batch.iter().filter(|_| world.chance.happens(100)).cloned());
            }
            None => waiting.extend(batch),
        }
    }
}

/// A stream record has its event; a bare hint does not.
pub(crate) fn hint<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
    arrival: Arrival,
) -> ProjectionHint {
    let Arrival { key, line, .. } = arrival;
    let line = line.unwrap();
    let version = line.version;
    let lines = if world.chance.happens(800) { vec![line] } else { Vec::new() };
    ProjectionHint { key, version, lines }
}

async fn follow<J: SimulatedStore, V: SimulatedTable>(world: Arc<Simulation<J, V>>) {
    let mut follower = follower(&world);
    for _ in 0..ROUNDS {
        pause(&world, 15).await;
        if world.mortal(follower.catch_up()).await.is_none() {
            follower = self::follower(&world);
        }
    }
}

pub(crate) fn follower<J: SimulatedStore, V: SimulatedTable>(
    world: &Simulation<J, V>,
) -> JournalFollower {
    let arrivals = Faulty::new(world.journal.clone(), world.faults.clone());
    JournalFollower::new(Arc::new(arrivals), Arc::new(world.table()), world.runner())
}

/// Reads rows continuously: each is a version of the asset, and none is older than one that was
/// read before.
async fn onlooker<J: SimulatedStore, V: SimulatedTable>(world: Arc<Simulation<J, V>>) {
    for _ in 0..ROUNDS {
        pause(&world, 15).await;
        let known = world.seen().known.clone();
        for asset in known {
            look_at_row(&world, &world.key(asset)).await;
        }
    }
}

async fn look_at_row<J: SimulatedStore, V: SimulatedTable>(world: &Simulation<J, V>, key: &Key) {
    let Some(row) = world.rows().await.get(key).await.unwrap() else { return };
    let then = world.history(key).await.and_then(|history| history.at_version(row.version));
    if then.as_ref() != Some(&row) {
        world.violated(format!("{}: a row that never was the asset: {row:?}", key.asset));
    }
    let before = world.seen().rows.insert(key.clone(), row.version).unwrap_or(0);
    if before > row.version {
        world.violated(format!("{}: row {before} became {}", key.asset, row.version));
    }
}
