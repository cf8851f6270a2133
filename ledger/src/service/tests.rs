//! What the service adds to the rules: observing, retrying, and recording nothing twice.

mod repeats;
mod table;
mod world;

use chrono::TimeDelta;

use super::*;
use crate::asset::{AssetStatus, AssetStatus as S, Declaration, EVENTS_MAX, Event};
use crate::chain::Hash;
use crate::journal::Appended;
use world::{Mishap, ServiceFixture, caller, kinds};

fn swept(recorded: u32, swept: usize) -> Reconciled {
    Reconciled { recorded, swept, ..Reconciled::default() }
}

#[tokio::test]
async fn confirming_records_first_that_the_bytes_were_received() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    let version = world.put(asset);
    let history = world.service.confirm(&caller(), asset, None).await.unwrap();
    assert_eq!(kinds(&history), ["created", "received", "uploaded"]);
    assert!(history.asset().is_pinned(&version));
}

#[tokio::test]
async fn confirming_pins_what_is_current_and_not_what_was_received_before() {
    let world = ServiceFixture::new();
    let asset = world.received().await;
    let newer = world.put(asset);
    let history = world.service.confirm(&caller(), asset, None).await.unwrap();
    assert_eq!(kinds(&history), ["created", "received", "received", "uploaded"]);
    assert!(history.asset().is_pinned(&newer));
}

#[tokio::test]
async fn bytes_that_are_not_the_declared_ones_are_recorded_and_not_confirmed() {
    let world = ServiceFixture::new();
    let declared = Declaration { size: Some(1 << 20), ..Declaration::plain() };
    let created = world.service.create(&caller(), declared).await.unwrap();
    let asset = created.asset().key.asset;
    world.put(asset);
    let refusal = world.service.confirm(&caller(), asset, None).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Rejected(Rejection::Mismatch { field: "size" })));
    assert_eq!(world.kinds(asset).await, ["created", "received"]);
}

#[tokio::test]
async fn the_same_notification_twice_is_recorded_once() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    world.put(asset);
    assert_eq!(world.look(asset).await, Reconciled { recorded: 1, ..Reconciled::default() });
    assert_eq!(world.look(asset).await, Reconciled::default());
}

#[tokio::test]
async fn a_notification_that_races_a_confirmation_is_not_recorded_again() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    world.put(asset);
    let other = world.another_service();
    world.before_append(async move {
        other.look(&caller(), asset).await.unwrap();
    });
    let history = world.service.confirm(&caller(), asset, None).await.unwrap();
    assert_eq!(kinds(&history), ["created", "received", "uploaded"]);
}

#[tokio::test]
async fn if_match_is_checked_before_anything_is_done() {
    let world = ServiceFixture::new();
    let asset = world.received().await;
    for stale in [0, 1, 3] {
        let refusal = world.service.delete(&caller(), asset, Some(stale), None).await.unwrap_err();
        let conflict = Rejection::VersionConflict { actual: 2 };
        assert!(matches!(refusal, Refusal::Rejected(r) if r == conflict), "{stale}");
    }
    assert!(world.service.delete(&caller(), asset, Some(2), None).await.is_ok());
}

#[tokio::test]
async fn if_match_is_checked_again_after_a_lost_race() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    let other = world.another_service();
    world.before_append(async move {
        other.delete(&caller(), asset, None, None).await.unwrap();
        other.restore(&caller(), asset, None).await.unwrap();
    });
    let refusal = world.service.delete(&caller(), asset, Some(3), None).await.unwrap_err();
    let conflict = Rejection::VersionConflict { actual: 5 };
    assert!(matches!(refusal, Refusal::Rejected(r) if r == conflict));
}

#[tokio::test]
async fn without_if_match_a_lost_race_is_decided_anew() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    let other = world.another_service();
    world.before_append(async move {
        other.delete(&caller(), asset, None, None).await.unwrap();
    });
    let history = world.service.delete(&caller(), asset, None, None).await.unwrap();
    assert_eq!(kinds(&history), ["created", "received", "uploaded", "soft_deleted"]);
}

#[tokio::test]
async fn ones_own_received_is_no_conflict_with_if_match() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    world.put(asset);
    let history = world.service.confirm(&caller(), asset, Some(1)).await.unwrap();
    assert_eq!(history.asset().version, 3);
}

#[tokio::test]
async fn ones_own_received_is_no_conflict_when_its_reply_was_lost_on_the_way() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    world.put(asset);
    world.mishap(Mishap::SentTwice);
    let history = world.service.confirm(&caller(), asset, Some(1)).await.unwrap();
    assert_eq!(kinds(&history), ["created", "received", "uploaded"]);
}

#[tokio::test]
async fn a_change_that_was_sent_twice_is_appended_once() {
    let world = ServiceFixture::new();
    world.mishap(Mishap::SentTwice);
    let asset = world.created().await;
    assert_eq!(world.kinds(asset).await, ["created"]);
    world.mishap(Mishap::SentTwice);
    world.service.delete(&caller(), asset, Some(1), None).await.unwrap();
    world.mishap(Mishap::SentTwice);
    world.service.restore(&caller(), asset, Some(2)).await.unwrap();
    assert_eq!(world.kinds(asset).await, ["created", "soft_deleted", "restored"]);
}

#[tokio::test]
async fn a_change_whose_reply_was_lost_is_not_made_again_by_asking_again() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    world.mishap(Mishap::ReplyLost);
    let lost = world.service.delete(&caller(), asset, None, None).await.unwrap_err();
    assert!(matches!(lost, Refusal::Store(error) if error.kind == StoreErrorKind::Unavailable));
    world.service.delete(&caller(), asset, None, None).await.unwrap();
    world.mishap(Mishap::ReplyLost);
    world.service.purge(&caller(), asset, None).await.unwrap_err();
    world.service.purge(&caller(), asset, None).await.unwrap();
    let all = ["created", "received", "uploaded", "soft_deleted", "purge_requested", "purged"];
    assert_eq!(world.kinds(asset).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_race_that_was_lost_five_times_is_given_up() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    for _ in 0..5 {
        let other = world.another_service();
        world.before_append(async move {
            other.delete(&caller(), asset, None, None).await.unwrap();
            other.restore(&caller(), asset, None).await.unwrap();
        });
    }
    let before = world.history(asset).await.asset().version;
    let refusal = world.service.delete(&caller(), asset, None, None).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Contended));
    let after = world.history(asset).await;
    assert_eq!(after.asset().version, before + 10, "all of it by the other");
    assert!(world.service.delete(&caller(), asset, None, None).await.is_ok());
}

#[tokio::test]
async fn the_last_try_may_be_the_one_that_was_sent_twice() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    for _ in 0..4 {
        let other = world.another_service();
        world.before_append(async move {
            other.delete(&caller(), asset, None, None).await.unwrap();
            other.restore(&caller(), asset, None).await.unwrap();
        });
    }
    world.mishap(Mishap::SentTwice);
    let history = world.service.delete(&caller(), asset, None, None).await.unwrap();
    assert_eq!(history.asset().status(), AssetStatus::Deleted);
}

#[tokio::test]
async fn a_delete_marker_deletes_and_says_that_it_came_through_s3_whoever_saw_it() {
    for source in [EventSource::S3, EventSource::Reconcile] {
        let world = ServiceFixture::new();
        let asset = world.uploaded().await;
        world.mark_deleted(asset);
        world.service.look(&world::caller_by(source), asset).await.unwrap();
        let history = world.history(asset).await;
        let last = history.entries().last().unwrap();
        assert_eq!(
            (last.record.event.kind(), last.record.cause.source),
            ("soft_deleted", EventSource::S3)
        );
    }
}

#[tokio::test]
async fn confirming_under_a_delete_marker_does_not_delete_in_the_name_of_whoever_confirms() {
    let world = ServiceFixture::new();
    let asset = world.received().await;
    world.mark_deleted(asset);
    let refusal = world.service.confirm(&caller(), asset, None).await.unwrap_err();
    let deleted = Rejection::NotReceived(AssetStatus::Deleted);
    assert!(matches!(refusal, Refusal::Rejected(r) if r == deleted));
    let history = world.history(asset).await;
    assert_eq!(history.entries().last().unwrap().record.cause.source, EventSource::S3);
}

#[tokio::test]
async fn a_restored_asset_is_not_deleted_again_by_the_marker_that_still_lies_there() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    world.mark_deleted(asset);
    world.look(asset).await;
    world.service.restore(&caller(), asset, None).await.unwrap();
    assert_eq!(world.look(asset).await.recorded, 0);
    assert_eq!(world.status(asset).await, AssetStatus::Uploaded);

    world.mark_deleted(asset);
    world.look(asset).await;
    assert_eq!(world.status(asset).await, AssetStatus::Deleted, "another marker is another delete");
}

#[tokio::test]
async fn purging_deletes_every_version_and_says_so_when_none_is_left() {
    let world = ServiceFixture::new();
    let asset = world.deleted().await;
    world.put(asset);
    world.mark_deleted(asset);
    let history = world.service.purge(&caller(), asset, None).await.unwrap();
    assert_eq!(kinds(&history)[4..], ["purge_requested", "purged"]);
    assert_eq!(world.versions(asset), [""; 0]);
}

#[tokio::test]
async fn a_purge_that_failed_half_way_goes_on_when_it_is_asked_for_again() {
    let world = ServiceFixture::new();
    let asset = world.purging().await;
    assert_eq!(world.last(asset).await, "purge_requested");
    let history = world.service.purge(&caller(), asset, None).await.unwrap();
    assert_eq!(kinds(&history)[4..], ["purge_requested", "purged"], "one request, one end");
}

#[tokio::test]
async fn a_purge_that_failed_half_way_is_ended_by_any_look() {
    let world = ServiceFixture::new();
    let asset = world.purging().await;
    world.put(asset);
    assert_eq!(world.look(asset).await, swept(1, 2));
    assert_eq!(world.status(asset).await, AssetStatus::Purged);
}

#[tokio::test]
async fn a_purge_is_not_ended_while_bytes_that_landed_amid_it_are_left() {
    let world = ServiceFixture::new();
    let asset = world.deleted().await;
    let key = world.key(asset);
    world.amid_look(move |bucket| drop(bucket.put(&key, b"late")));
    let history = world.service.purge(&caller(), asset, None).await.unwrap();
    assert_eq!(history.asset().status(), AssetStatus::Purging);
    assert_eq!(world.look(asset).await, swept(1, 1));
    assert_eq!(world.status(asset).await, AssetStatus::Purged);
}

#[tokio::test]
async fn bytes_that_land_after_the_purge_are_deleted_and_counted() {
    let world = ServiceFixture::new();
    let asset = world.purged().await;
    world.put(asset);
    assert_eq!(world.look(asset).await, swept(0, 1));
    assert_eq!(world.versions(asset), [""; 0]);
}

#[tokio::test]
async fn a_version_is_pinned_again_when_the_one_that_replaced_it_is_gone() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    let first = world.put(asset);
    world.look(asset).await;
    let second = world.put(asset);
    world.look(asset).await;
    world.remove(asset, &second);
    world.look(asset).await;
    let history = world.history(asset).await;
    assert_eq!(kinds(&history), ["created", "received", "received", "received"]);
    assert!(history.asset().is_pinned(&first));
}

#[tokio::test]
async fn bytes_that_land_while_the_pinned_ones_vanish_are_pinned_and_not_destroyed() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    let pinned = world.put(asset);
    world.look(asset).await;
    world.mark_deleted(asset);
    let key = world.key(asset);
    world.amid_look(move |bucket| {
        bucket.put(&key, b"newer");
        assert!(bucket.remove(&key, &pinned));
    });
    world.look(asset).await;
    assert_eq!(world.kinds(asset).await, ["created", "received", "received"]);
    assert_eq!(world.versions(asset).len(), 2, "the marker and the newer bytes");
}

#[tokio::test]
async fn confirmed_bytes_that_vanish_end_the_asset_and_whatever_lies_over_them() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    let pinned = world.put(asset);
    world.service.confirm(&caller(), asset, None).await.unwrap();
    world.put(asset);
    world.remove(asset, &pinned);
    assert_eq!(world.look_for_removed(asset, &pinned).await, swept(1, 1));
    assert_eq!(world.last(asset).await, "purged");
    assert_eq!(world.versions(asset), [""; 0]);
}

#[tokio::test]
async fn an_overwrite_of_confirmed_bytes_is_flagged_and_changes_nothing() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    world.put(asset);
    assert_eq!(world.look(asset).await, Reconciled { overwrite: true, ..Reconciled::default() });
    assert_eq!(world.last(asset).await, "uploaded");
}

#[tokio::test]
async fn what_the_journal_can_refuse_is_refused_also_while_the_bucket_is_away() {
    let world = ServiceFixture::new();
    let (purged, live) = (world.purged().await, world.uploaded().await);
    world.bucket_away(true);
    let refusal = world.service.restore(&caller(), purged, None).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Rejected(Rejection::Purged)), "{refusal}");
    let refusal = world.service.restore(&caller(), live, None).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Rejected(Rejection::NotDeleted(_))), "{refusal}");
    assert!(world.service.delete(&caller(), live, None, None).await.is_ok(), "nothing to look at");
}

#[tokio::test]
async fn time_goes_forward_also_when_the_clock_goes_back() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    for _ in 0..3 {
        world.effects.advance(-TimeDelta::hours(1));
        world.service.delete(&caller(), asset, None, None).await.unwrap();
        world.service.restore(&caller(), asset, None).await.unwrap();
    }
    let history = world.history(asset).await;
    let times: Vec<_> = history.entries().iter().map(|entry| entry.record.at).collect();
    assert_eq!(times.len(), 7);
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[tokio::test]
async fn what_would_come_after_the_last_recordable_time_is_refused_and_not_written() {
    for last in ["9999-12-31T23:59:59.999999Z", "9998-12-31T23:59:59.999999Z"] {
        let world = ServiceFixture::new();
        let asset = AssetId::new(world.effects.now(), 7);
        world.created_at(asset, time::parse(last).unwrap()).await;
        let refusal = world.service.delete(&caller(), asset, None, None).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Rejected(Rejection::OutOfTime)), "{refusal}");
        assert_eq!(world.kinds(asset).await, ["created"], "no trace");
    }
}

#[tokio::test]
async fn a_clock_beyond_the_last_recordable_time_creates_nothing() {
    let world = ServiceFixture::new();
    for at in [time::END, time::FIRST - TimeDelta::microseconds(1)] {
        world.effects.set(at);
        let refusal = world.service.create(&caller(), Declaration::plain()).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Rejected(Rejection::OutOfTime)), "{refusal}");
    }
}

/// An event that its own reader would refuse must be detected before it is stored.
#[tokio::test]
async fn an_event_that_is_over_a_limit_is_not_written() {
    let world = ServiceFixture::new();
    let asset = world.created().await;
    let odd = Caller { tenant: Tenant::default(), actor: "x".repeat(129), ..caller() };
    let refusal = world.service.delete(&odd, asset, None, None).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Store(_)), "{refusal}");
    assert_eq!(world.kinds(asset).await, ["created"]);
    assert!(world.service.create(&odd, Declaration::plain()).await.is_err());
}

#[tokio::test]
async fn an_asset_is_shown_as_it_was_at_each_version_and_moment() {
    let world = ServiceFixture::new();
    let asset = world.purged().await;
    let history = world.history(asset).await;
    let lived = [S::Created, S::Received, S::Uploaded, S::Deleted, S::Purging, S::Purged];
    for ((version, status), entry) in (1..).zip(lived).zip(history.entries()) {
        let then = history.at_version(version).unwrap();
        assert_eq!((then.version, then.status(), then.head), (version, status, entry.hash));
        assert_eq!(history.as_of(entry.record.at), Some(then.clone()), "that point included");
        let before = history.as_of(entry.record.at - TimeDelta::microseconds(1));
        assert_eq!(before, history.at_version(version - 1));
    }
    assert_eq!(history.at_version(0), None);
    assert_eq!(history.at_version(7), None);
    assert_eq!(history.at_version(6).as_ref(), Some(history.asset()));
}

fn missing() -> Reconciled {
    Reconciled { missing: true, ..Reconciled::default() }
}

#[tokio::test]
async fn a_pinned_version_that_is_missing_for_a_while_ends_nothing() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    let hidden = world.hide(asset).await;
    for _ in 0..3 {
        assert_eq!(world.look(asset).await, missing());
        world.effects.advance(TimeDelta::minutes(5));
    }
    let other = world.look_for_removed(asset, "another").await;
    assert_eq!(other, missing(), "the notice of another version says nothing of this one");
    world.bucket.inner.reveal();
    assert_eq!(world.look(asset).await, Reconciled::default());
    world.hide(asset).await;
    world.effects.advance(TimeDelta::minutes(5));
    assert_eq!(world.look(asset).await, missing(), "it was there meanwhile");
    world.effects.advance(TimeDelta::minutes(15));
    assert_eq!(world.look(asset).await, missing(), "not more than 15 minutes");
    world.bucket.inner.reveal();
    assert_eq!(world.kinds(asset).await, ["created", "received", "uploaded"]);
    assert!(world.history(asset).await.asset().is_pinned(&hidden));
}

#[tokio::test]
async fn a_pinned_version_is_gone_after_two_looks_that_are_far_apart() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    world.hide(asset).await;
    assert_eq!(world.look(asset).await, missing());
    world.effects.advance(TimeDelta::minutes(15) + TimeDelta::microseconds(1));
    assert_eq!(world.look(asset).await.recorded, 1);
    assert_eq!(world.last(asset).await, "purged");
}

#[tokio::test]
async fn a_pinned_version_is_gone_when_s3_says_so_and_a_look_does_not_find_it() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    let pin = world.history(asset).await.asset().pin.clone().unwrap().version_id;
    assert_eq!(world.look_for_removed(asset, &pin).await, Reconciled::default(), "it is there");
    world.hide(asset).await;
    world.look_for_removed(asset, &pin).await;
    assert_eq!(world.last(asset).await, "purged");
}

#[tokio::test]
async fn a_pinned_version_is_gone_when_a_person_says_so() {
    let world = ServiceFixture::new();
    let asset = world.uploaded().await;
    world.hide(asset).await;
    world.service.accept_missing(&caller(), asset).await.unwrap();
    assert_eq!(world.last(asset).await, "purged");
}

#[tokio::test]
async fn what_is_missing_cannot_be_confirmed_and_can_when_it_is_back() {
    let world = ServiceFixture::new();
    let asset = world.received().await;
    world.hide(asset).await;
    let refusal = world.service.confirm(&caller(), asset, None).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Rejected(Rejection::NotReceived(_))), "{refusal}");
    assert_eq!(world.kinds(asset).await, ["created", "received"]);
    world.bucket.inner.reveal();
    world.service.confirm(&caller(), asset, None).await.unwrap();
}

/// While the newer version was missing, the older one was pinned instead.
#[tokio::test]
async fn a_version_that_comes_back_is_pinned_again() {
    let world = ServiceFixture::new();
    let asset = world.received().await;
    let newer = world.put(asset);
    world.look(asset).await;
    for _ in 0..2 {
        world.hide(asset).await;
        world.look(asset).await;
        assert!(!world.history(asset).await.asset().is_pinned(&newer));
        world.bucket.inner.reveal();
        world.look(asset).await;
        assert!(world.history(asset).await.asset().is_pinned(&newer));
    }
}

#[tokio::test]
async fn an_event_of_a_newer_version_is_told_from_a_broken_history() {
    let world = ServiceFixture::new();
    let asset = world.received().await;
    let key = world.key(asset);
    let history = world.service.history(&world.key(asset)).await.unwrap().unwrap();
    let mut lines: Vec<_> = history.entries().iter().map(|entry| entry.line.clone()).collect();
    let newer = lines[1].body.replace("\"type\":\"received\"", "\"type\":\"scanned\"");
    let elsewhere = newer.replace(&history.entries()[0].hash.to_string(), &Hash::ZERO.to_string());
    for (body, kind) in [
        (newer, StoreErrorKind::Newer),
        (elsewhere, StoreErrorKind::Corrupt),
        (String::new(), StoreErrorKind::Corrupt),
    ] {
        lines[1].body = body;
        let error = read(&key, lines.clone()).unwrap_err();
        assert_eq!(error.kind, kind, "{}", lines[1].body);
        assert!(error.to_string().contains(&key.partition()), "{error}");
    }
}

#[tokio::test]
async fn an_asset_has_so_many_events_at_most_and_can_always_be_ended() {
    let world = ServiceFixture::new();
    let asset = world.received().await;
    let history = world.service.history(&world.key(asset)).await.unwrap().unwrap();
    let mut prev = history.asset().head;
    let mut at = history.asset().updated_at;
    for version in 3..=EVENTS_MAX - 3 {
        at += TimeDelta::microseconds(1);
        let event =
            if version % 2 == 1 { Event::SoftDeleted { reason: None } } else { Event::Restored };
        let cause = caller().cause(CommandId::fresh(u128::from(version) << 8));
        let key = world.key(asset);
        let line =
            EventRecord { key: key.clone(), version, event, cause, at, prev }.line().unwrap();
        prev = line.hash();
        assert_eq!(world.append(&key, line).await, Appended::Written);
    }
    let caller = caller();
    let full = |refused: Result<History, Refusal>| {
        matches!(refused, Err(Refusal::Rejected(Rejection::Full)))
    };
    let service = &world.service;
    let before = service.history(&caller.key(asset)).await.unwrap().unwrap();
    assert_eq!(before.asset().version, EVENTS_MAX - 3);
    if before.asset().status() == S::Deleted {
        assert!(full(service.restore(&caller, asset, None).await));
    } else {
        assert!(full(service.confirm(&caller, asset, None).await));
        service.delete(&caller, asset, None, None).await.unwrap();
        assert!(full(service.restore(&caller, asset, None).await));
    }
    let end = service.purge(&caller, asset, None).await.unwrap();
    assert_eq!(end.asset().status(), S::Purged);
    assert!(end.asset().version <= EVENTS_MAX);
}

/// On the single thread of this test, another task runs only if the fold yields.
#[tokio::test]
async fn the_fold_of_a_long_history_lets_other_tasks_run() {
    use std::sync::atomic::{AtomicBool, Ordering};
    for (changes, beside) in [(10, false), (SLICE, true)] {
        let world = ServiceFixture::new();
        let asset = world.received().await;
        for _ in 0..changes / 2 {
            world.service.delete(&caller(), asset, None, None).await.unwrap();
            world.service.restore(&caller(), asset, None).await.unwrap();
        }
        let history = world.service.history(&world.key(asset)).await.unwrap().unwrap();
        let lines = history.entries().iter().map(|entry| entry.line.clone()).collect();
        let turn = Arc::new(AtomicBool::new(false));
        let other = Arc::clone(&turn);
        let other = tokio::spawn(async move { other.store(true, Ordering::Relaxed) });
        fold(&world.key(asset), lines).await.unwrap();
        assert_eq!(turn.load(Ordering::Relaxed), beside, "{changes} changes");
        other.await.unwrap();
    }
}
