//! The contract of [`Lanes`], each part a test of its own.

use chrono::{DateTime, TimeDelta};

use super::settle;
use crate::feed::{FeedLane, FeedWeek, LaneEntry, LaneWrite, Lanes};

/// Verifies that the lanes of `make`, empty each time, keep the contract of [`Lanes`].
///
/// # Panics
/// If they do not.
pub async fn lanes<L: Lanes>(make: impl AsyncFn() -> L) {
    a_new_lane_is_empty(make().await).await;
    a_place_is_written_once(make().await).await;
    places_come_in_order_from_where_they_are_asked_for(make().await).await;
    lanes_do_not_meet(make().await).await;
    an_entry_that_expires_says_when(make().await).await;
}

#[allow(clippy::expect_used, reason = "the tenants are named here")]
fn lane(tenant: &str, number: u8) -> FeedLane {
    FeedLane { tenant: tenant.parse().expect("a tenant's name"), number, week: None }
}

fn place(number: u64, text: &str) -> LaneEntry {
    LaneEntry { number, text: text.to_owned(), expires_at: None }
}

async fn put(lanes: &impl Lanes, lane: &FeedLane, place: &LaneEntry) -> (LaneWrite, bool) {
    settle(async || lanes.put(lane, place).await).await
}

async fn end(lanes: &impl Lanes, lane: &FeedLane) -> u64 {
    settle(async || lanes.last(lane).await).await.0.map_or(0, |last| last.number)
}

async fn numbers(lanes: &impl Lanes, lane: &FeedLane, from: u64, limit: usize) -> Vec<u64> {
    let found = settle(async || lanes.places(lane, from, limit).await).await.0;
    found.iter().map(|place| place.number).collect()
}

async fn a_new_lane_is_empty(lanes: impl Lanes) {
    let lane = lane("main", 0);
    assert_eq!(end(&lanes, &lane).await, 0);
    assert!(numbers(&lanes, &lane, 1, 10).await.is_empty());
}

async fn a_place_is_written_once(lanes: impl Lanes) {
    let (lane, one) = (lane("main", 0), place(1, "one\nof two lines"));
    let (placed, first_try) = put(&lanes, &lane, &one).await;
    // After a failed attempt, the entry may have our own text.
    assert!(
        placed == LaneWrite::Written || !first_try && placed == LaneWrite::Taken(one.text.clone())
    );
    for again in [&one, &place(1, "other")] {
        assert_eq!(put(&lanes, &lane, again).await.0, LaneWrite::Taken(one.text.clone()));
    }
    assert_eq!(end(&lanes, &lane).await, 1);
    let found = settle(async || lanes.places(&lane, 1, 10).await).await.0;
    assert_eq!(found, [one]);
}

async fn places_come_in_order_from_where_they_are_asked_for(lanes: impl Lanes) {
    let lane = lane("main", 3);
    for number in 1..=12 {
        put(&lanes, &lane, &place(number, "text")).await;
        assert_eq!(end(&lanes, &lane).await, number);
    }
    assert_eq!(numbers(&lanes, &lane, 1, 100).await, (1..=12).collect::<Vec<_>>());
    assert_eq!(numbers(&lanes, &lane, 9, 3).await, [9, 10, 11]);
    assert_eq!(numbers(&lanes, &lane, 12, 3).await, [12]);
    assert!(numbers(&lanes, &lane, 13, 3).await.is_empty());
}

async fn lanes_do_not_meet(lanes: impl Lanes) {
    let in_week = |seconds| {
        lane("main", 0)
            .in_week(Some(FeedWeek::of(DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds))))
    };
    let [one, other] = [1, 2_000_000].map(in_week);
    let all = [lane("main", 0), lane("main", 1), lane("other", 0), one, other];
    for (number, lane) in (1..).zip(&all) {
        put(&lanes, lane, &place(number, "text")).await;
    }
    for (number, lane) in (1..).zip(&all) {
        assert_eq!(end(&lanes, lane).await, number);
        assert_eq!(numbers(&lanes, lane, 1, 10).await, [number]);
    }
}

async fn an_entry_that_expires_says_when(lanes: impl Lanes) {
    let at = DateTime::UNIX_EPOCH + TimeDelta::days(40_000);
    let lane = lane("main", 2).in_week(Some(FeedWeek::of(at)));
    let [kept, expiring] =
        [None, Some(at)].map(|expires_at| LaneEntry { expires_at, ..place(1, "text") });
    let expiring = LaneEntry { number: 2, ..expiring };
    put(&lanes, &lane, &kept).await;
    put(&lanes, &lane, &expiring).await;
    assert_eq!(settle(async || lanes.places(&lane, 1, 9).await).await.0, [kept, expiring.clone()]);
    assert_eq!(settle(async || lanes.last(&lane).await).await.0, Some(expiring));
}
