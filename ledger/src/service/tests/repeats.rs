//! Commands with an idempotency key that are sent again.

use chrono::TimeDelta;
use tokio::task::JoinSet;

use super::world::{Mishap, ServiceFixture, caller};
use super::*;
use crate::asset::{AssetStatus, Declaration, Reason, UploadKind};
use crate::idempotency::IdempotencyKey;
use crate::service::{Answered, AssetChange as C};

/// The same caller in another request.
fn later(request: usize) -> Caller {
    Caller { request: format!("request {request}"), ..caller() }
}

fn key(subject: &str, name: &str) -> IdempotencyKey {
    IdempotencyKey::new(subject, name).unwrap()
}

impl ServiceFixture {
    async fn asked(
        &self,
        asset: AssetId,
        expected: Option<u64>,
        change: &C,
        key: &IdempotencyKey,
    ) -> Result<Answered, Refusal> {
        self.service.change(&caller(), asset, expected, change.clone(), Some(key)).await
    }

    async fn created_once(&self, declared: &Declaration, key: &IdempotencyKey) -> Answered {
        self.service.create_once(&caller(), declared.clone(), Some(key)).await.unwrap()
    }
}

fn told(answered: &Answered) -> (u64, AssetStatus, bool) {
    let asset = answered.asset();
    (asset.version, asset.status(), answered.replayed)
}

#[tokio::test]
async fn a_repeated_command_is_answered_as_it_was_and_changes_nothing() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    let (delete, k) = (C::Delete(None), key("me", "k"));
    let first = world.asked(asset, Some(3), &delete, &k).await.unwrap();
    assert_eq!(told(&first), (4, AssetStatus::Deleted, false));
    world.service.restore(&caller(), asset, None).await.unwrap();

    let again = world.asked(asset, Some(3), &delete, &k).await.unwrap();
    assert_eq!(told(&again), (4, AssetStatus::Deleted, true), "before the version is compared");
    assert_eq!(again.asset(), first.asset());
    assert_eq!(world.status(asset).await, AssetStatus::Uploaded, "it stays restored");
    assert_eq!(world.history(asset).await.entries().len(), 5);

    let new = world.asked(asset, Some(5), &delete, &key("me", "l")).await.unwrap();
    assert_eq!(told(&new), (6, AssetStatus::Deleted, false), "another key is another command");
}

#[tokio::test]
async fn a_key_is_of_one_request_on_an_asset() {
    let world = ServiceFixture::new();
    let (asset, other, k) = (world.uploaded().await, world.uploaded().await, key("me", "k"));
    let reason = |text: &str| C::Delete(Some(Reason::new(text.to_owned()).unwrap()));
    world.asked(asset, None, &reason("old"), &k).await.unwrap();
    for (expected, change) in
        [(Some(3), reason("old")), (None, reason("bad")), (None, C::Delete(None)), (None, C::Purge)]
    {
        let refused = world.asked(asset, expected, &change, &k).await.unwrap_err();
        assert!(matches!(refused, Refusal::Reused), "{expected:?} {change:?}: {refused}");
    }
    let purged = world.asked(asset, None, &C::Restore, &key("you", "k")).await.unwrap();
    assert!(!purged.replayed, "another subject's key is another key");
    let deleted = world.asked(other, None, &reason("old"), &k).await.unwrap();
    assert!(!deleted.replayed, "another asset has another memory");
}

#[tokio::test]
async fn a_command_that_changed_nothing_needs_no_memory() {
    let world = ServiceFixture::new();
    let (asset, k) = (world.deleted().await, key("me", "k"));
    for _ in 0..2 {
        let answered = world.asked(asset, None, &C::Delete(None), &k).await.unwrap();
        assert_eq!(told(&answered), (4, AssetStatus::Deleted, false));
    }
    let refused = world.asked(asset, None, &C::Confirm, &k).await.unwrap_err();
    assert!(matches!(refused, Refusal::Rejected(Rejection::NotReceived(_))), "{refused}");
}

#[tokio::test]
async fn a_confirmation_is_of_its_second_event() {
    let world = ServiceFixture::new();
    let (asset, k) = (world.created().await, key("me", "k"));
    world.put(asset);
    let first = world.asked(asset, Some(1), &C::Confirm, &k).await.unwrap();
    assert_eq!(told(&first), (3, AssetStatus::Uploaded, false));
    world.service.delete(&caller(), asset, None, None).await.unwrap();
    let again = world.asked(asset, Some(1), &C::Confirm, &k).await.unwrap();
    assert_eq!(told(&again), (3, AssetStatus::Uploaded, true));
}

#[tokio::test]
async fn a_purge_is_of_its_second_event_and_continues_until_then() {
    let world = ServiceFixture::new();
    let (asset, k) = (world.deleted().await, key("me", "k"));
    world.bucket_away(true);
    assert!(world.asked(asset, Some(4), &C::Purge, &k).await.is_err(), "S3 failed half way");
    world.bucket_away(false);
    let continued = world.asked(asset, Some(4), &C::Purge, &k).await.unwrap();
    assert_eq!(told(&continued), (6, AssetStatus::Purged, false));
    let again = world.asked(asset, Some(4), &C::Purge, &k).await.unwrap();
    assert_eq!(told(&again), (6, AssetStatus::Purged, true), "not the 410 of a second purge");
}

#[tokio::test]
async fn a_lost_reply_is_no_repetition() {
    let world = ServiceFixture::new();
    let (asset, k) = (world.uploaded().await, key("me", "k"));
    world.mishap(Mishap::SentTwice);
    let answered = world.asked(asset, None, &C::Delete(None), &k).await.unwrap();
    assert!(!answered.replayed);
    world.mishap(Mishap::SentTwice);
    assert!(!world.created_once(&Declaration::plain(), &k).await.replayed);
}

#[tokio::test]
async fn one_of_two_racing_repeats_executes() {
    let world = ServiceFixture::new();
    let (asset, k) = (world.uploaded().await, key("me", "k"));
    let (other, theirs) = (world.another_service(), k.clone());
    world.before_append(async move {
        other.change(&later(1), asset, None, C::Delete(None), Some(&theirs)).await.unwrap();
    });
    let answered = world.asked(asset, None, &C::Delete(None), &k).await.unwrap();
    assert_eq!(told(&answered), (4, AssetStatus::Deleted, true));
}

#[tokio::test]
async fn a_key_creates_one_asset() {
    let world = ServiceFixture::new();
    let (declared, k) = (Declaration::plain(), key("me", "k"));
    let first = world.created_once(&declared, &k).await;
    assert_eq!(told(&first), (1, AssetStatus::Created, false));
    let asset = first.asset().key.asset;
    world.put(asset);
    world.look(asset).await;
    world.effects.advance(TimeDelta::seconds(1));
    let again = world.created_once(&declared, &k).await;
    assert_eq!(told(&again), (1, AssetStatus::Created, true));
    assert_eq!(again.asset(), first.asset(), "as it was then");

    let other = Declaration { upload: UploadKind::Declared, ..Declaration::plain() };
    let refused = world.service.create_once(&caller(), other, Some(&k)).await.unwrap_err();
    assert!(matches!(refused, Refusal::Reused), "{refused}");
    let refused = world.asked(asset, None, &C::Confirm, &k).await.unwrap_err();
    assert!(matches!(refused, Refusal::Reused), "{refused}");
    for other in [key("you", "k"), key("me", "l")] {
        assert_ne!(world.created_once(&declared, &other).await.asset().key.asset, asset);
    }
}

#[tokio::test]
async fn an_asset_whose_creation_was_interrupted_is_created_by_the_repeat() {
    let world = ServiceFixture::new();
    let (declared, k) = (Declaration::plain(), key("me", "k"));
    world.mishap(Mishap::NotSent);
    world.service.create_once(&caller(), declared.clone(), Some(&k)).await.unwrap_err();
    let created = world.created_once(&declared, &k).await;
    assert!(!created.replayed);
    assert_eq!(world.created_once(&declared, &k).await.asset(), created.asset());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_create_one_asset() {
    let world = ServiceFixture::new();
    let (service, mut racing) = (Arc::new(world.service), JoinSet::new());
    for nth in 0..64 {
        let service = service.clone();
        racing.spawn(async move {
            service.create_once(&later(nth), Declaration::plain(), Some(&key("me", "k"))).await
        });
    }
    let all: Vec<_> = racing.join_all().await.into_iter().map(Result::unwrap).collect();
    assert!(all.iter().all(|it| it.asset() == all[0].asset()), "{all:?}");
    assert_eq!(all.iter().filter(|it| !it.replayed).count(), 1, "one of them created it");
}
