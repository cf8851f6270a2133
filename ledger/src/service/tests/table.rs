//! The table of `docs/API.md` again, through the service: the recorded events and the answer of
//! each input, for an asset in each state and the bucket in the matching state.

use super::world::{ServiceFixture, caller};
use super::*;

type Cell = (&'static [&'static str], Answer);

/// The answer to the caller, as the HTTP status that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Done,
    NotFound,
    Forbidden,
    Gone,
}
use Answer::{Done, Forbidden, Gone, NotFound};

#[derive(Debug, Clone, Copy)]
enum Input {
    /// A current version that is not the pinned one.
    Created,
    Confirm,
    Delete,
    Restore,
    /// The pinned version is missing, and no removal was reported.
    Missing,
    /// The pinned version is gone, and the key has no other.
    Removed,
    /// The pinned version is gone, and another one is current.
    RemovedUnderAnother,
    Purge,
}
use Input as I;

async fn cell(state: AssetStatus, input: Input) -> (Vec<&'static str>, Answer) {
    let world = ServiceFixture::new();
    let asset = match state {
        AssetStatus::Created => world.created().await,
        AssetStatus::Received => world.received().await,
        AssetStatus::Uploaded => world.uploaded().await,
        AssetStatus::Deleted => world.deleted().await,
        AssetStatus::Purging => world.purging().await,
        AssetStatus::Purged => world.purged().await,
    };
    assert_eq!(world.status(asset).await, state);
    let before = world.kinds(asset).await.len();
    let answer = give(&world, asset, input).await;
    let recorded = world.kinds(asset).await.split_off(before);
    (recorded, answer)
}

async fn give(world: &ServiceFixture, asset: AssetId, input: Input) -> Answer {
    let service = &world.service;
    let outcome = match input {
        I::Confirm => service.confirm(&caller(), asset, None).await.map(drop),
        I::Delete => service.delete(&caller(), asset, None, None).await.map(drop),
        I::Restore => service.restore(&caller(), asset, None).await.map(drop),
        I::Purge => service.purge(&caller(), asset, None).await.map(drop),
        I::Created => {
            world.put(asset);
            service.look(&caller(), asset).await.map(drop)
        }
        I::Missing | I::Removed | I::RemovedUnderAnother => {
            if matches!(input, I::RemovedUnderAnother) {
                world.put(asset);
            }
            let pin = world.history(asset).await.asset().pin.clone();
            let pin = pin.map(|pin| pin.version_id).unwrap_or_default();
            world.bucket.inner.remove(&world.key(asset), &pin);
            let looked = if matches!(input, I::Missing) {
                service.look(&caller(), asset).await
            } else {
                service.look_for_removed(&caller(), asset, &pin).await
            };
            looked.map(drop)
        }
    };
    answer(outcome)
}

fn answer(outcome: Result<(), Refusal>) -> Answer {
    use Rejection as R;
    match outcome {
        Ok(()) => Done,
        Err(Refusal::Rejected(R::NotFound)) => NotFound,
        Err(Refusal::Rejected(R::Purged)) => Gone,
        Err(Refusal::Rejected(
            R::NotReceived(_) | R::NotDeleted(_) | R::BeingPurged | R::PinGone,
        )) => Forbidden,
        Err(other) => panic!("{other}"),
    }
}

async fn column(input: Input, cells: [Cell; 6]) {
    use AssetStatus as S;
    let rows = [S::Created, S::Received, S::Uploaded, S::Deleted, S::Purging, S::Purged];
    for (state, (recorded, answer)) in rows.into_iter().zip(cells) {
        assert_eq!(cell(state, input).await, (recorded.to_vec(), answer), "{state:?} × {input:?}");
    }
}

#[tokio::test]
async fn a_new_version_is_current() {
    let nothing: Cell = (&[], Done);
    let again: Cell = (&["received"], Done);
    let swept: Cell = (&["purged"], Done);
    column(I::Created, [again, again, nothing, nothing, swept, nothing]).await;
}

#[tokio::test]
async fn confirm() {
    let uploaded: Cell = (&["uploaded"], Done);
    let no: Cell = (&[], Forbidden);
    column(I::Confirm, [no, uploaded, (&[], Done), no, no, (&[], NotFound)]).await;
}

#[tokio::test]
async fn delete() {
    let deleted: Cell = (&["soft_deleted"], Done);
    let already: Cell = (&[], Done);
    column(I::Delete, [deleted, deleted, deleted, already, already, (&[], NotFound)]).await;
}

#[tokio::test]
async fn restore() {
    let no: Cell = (&[], Forbidden);
    column(I::Restore, [no, no, no, (&["restored"], Done), no, (&[], Gone)]).await;
}

#[tokio::test]
async fn the_pinned_version_is_missing() {
    let nothing: Cell = (&[], Done);
    let purged: Cell = (&["purged"], Done);
    column(I::Missing, [nothing, nothing, nothing, nothing, purged, nothing]).await;
}

#[tokio::test]
async fn the_pinned_version_is_gone() {
    let nothing: Cell = (&[], Done);
    let purged: Cell = (&["purged"], Done);
    column(I::Removed, [nothing, purged, purged, purged, purged, nothing]).await;
}

#[tokio::test]
async fn the_pinned_version_is_gone_under_another() {
    let received: Cell = (&["received"], Done);
    let purged: Cell = (&["purged"], Done);
    let cells = [received, received, purged, purged, purged, (&[] as &[_], Done)];
    column(I::RemovedUnderAnother, cells).await;
}

#[tokio::test]
async fn purge() {
    let no: Cell = (&[], Forbidden);
    let all: Cell = (&["purge_requested", "purged"], Done);
    column(I::Purge, [no, no, no, all, (&["purged"], Done), (&[], Gone)]).await;
}

#[tokio::test]
async fn an_asset_that_does_not_exist_is_not_found_by_anybody() {
    let world = ServiceFixture::new();
    let nobody = AssetId::new(time::after(None, world.effects.now()), 7);
    for input in [I::Confirm, I::Delete, I::Restore, I::Purge, I::Created] {
        let outcome = match input {
            I::Confirm => world.service.confirm(&caller(), nobody, None).await.map(drop),
            I::Delete => world.service.delete(&caller(), nobody, None, None).await.map(drop),
            I::Restore => world.service.restore(&caller(), nobody, None).await.map(drop),
            I::Purge => world.service.purge(&caller(), nobody, None).await.map(drop),
            _ => world.service.look(&caller(), nobody).await.map(drop),
        };
        assert_eq!(answer(outcome), NotFound, "{input:?}");
    }
    assert!(world.service.history(&world.key(nobody)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_deleted_asset_takes_its_first_object_and_stays_deleted() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    world.service.delete(&caller(), asset, None, None).await.unwrap();
    let version = world.put(asset);
    world.look(asset).await;
    let history = world.history(asset).await;
    assert_eq!(kinds(&history), ["created", "soft_deleted", "received"]);
    assert!(
        history.asset().is_pinned(&version) && history.asset().status() == AssetStatus::Deleted
    );
    let restored = world.service.restore(&caller(), asset, None).await.unwrap();
    assert_eq!(restored.asset().status(), AssetStatus::Received);
}

#[tokio::test]
async fn restoring_without_its_bytes_is_forbidden() {
    let world = ServiceFixture::new();
    let asset = world.deleted().await;
    let pin = world.history(asset).await.asset().pin.clone().unwrap();
    world.remove(asset, &pin.version_id);
    assert_eq!(give(&world, asset, I::Restore).await, Forbidden);
}
