//! The contract of [`Journal`] and [`Arrivals`] as a suite. Every adapter and every decorator runs
//! all of it, each function on its own store without other writers.
//!
//! A failed call is retried as callers retry it: if an append finds its own line in its place, it
//! was written, and its reply was lost.

mod scan;

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Waker};

use chrono::DateTime;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

pub use scan::scan_conformance;

use super::faults::persist;
use super::streams;
use crate::chain::Hash;
use crate::error::StoreErrorKind;
use crate::id::{AssetId, Key, PartitionKey};
use crate::journal::scan::StoredItem;
use crate::journal::{Appended, Arrival, Arrivals, EventPlace, Journal};
use crate::record::StoredLine;

/// Writers that race for one version.
const WRITERS: u64 = 32;
/// Versions for which the writers race.
const ROUNDS: u64 = 8;

/// Text that careless stores alter: quotes, escapes, text that Unicode normalises or cannot show,
/// line separators, characters beyond the first plane, and spaces at the ends.
const ODD: [&str; 7] = [
    r#"{"quotes":"\" ' \\ \n \u0000"}"#,
    "{\"composed\":\"é\",\"decomposed\":\"e\u{301}\"}",
    "{\"emoji\":\"🦀👩‍🚀\",\"private\":\"\u{10ffff}\"}",
    "{\"separators\":\"\u{2028}\u{2029}\u{feff}\u{202e}\"}",
    " {\"spaces\": \"at both ends\"} ",
    "{\"percent\":\"%00 %s ?1 :pk #\"}",
    "",
];

/// The whole contract of [`Journal`].
///
/// # Panics
/// If `journal` violates it.
pub async fn conformance<J: Journal + 'static>(journal: Arc<J>) {
    an_asset_that_does_not_exist_has_no_history(&*journal).await;
    events_come_back_in_order_byte_for_byte(&*journal).await;
    the_second_writer_of_a_version_is_told_who_holds_it(&*journal).await;
    assets_and_tenants_do_not_see_each_other(&*journal).await;
    a_named_stream_is_kept_by_the_same_rules(&*journal).await;
    long_histories_come_back_whole(&*journal).await;
    a_part_of_a_history_begins_after_a_version(&*journal).await;
    events_are_found_at_their_places(&*journal).await;
    of_many_writers_one_wins(journal).await;
}

/// The part of [`Journal`]'s contract about the order of events, which a file checks.
///
/// # Panics
/// If `journal` violates it.
pub async fn links_conformance(journal: &dyn Journal) {
    let key = key("main", 8);
    let linked = |version: u64, prev: Hash| StoredLine {
        version,
        body: format!("{{\"version\":{version},\"prev\":\"{prev}\"}}"),
    };
    let first = linked(1, Hash::ZERO);
    let second = linked(2, first.hash());
    let refused = async |line: &StoredLine, before: &[StoredLine]| {
        let outcome = persist(|| journal.append(&key, line.clone())).await;
        assert!(
            outcome.is_err_and(|error| error.kind == StoreErrorKind::Corrupt),
            "{line:?} was taken"
        );
        assert_eq!(history(journal, &key).await, before, "and nothing was written");
    };
    refused(&second, &[]).await;
    write(journal, &key, &first).await;
    refused(&linked(2, Hash::ZERO), std::slice::from_ref(&first)).await;
    refused(&linked(3, second.hash()), std::slice::from_ref(&first)).await;
    refused(&line(5, "without a word of the one before"), std::slice::from_ref(&first)).await;
    write(journal, &key, &second).await;
    let late = linked(2, Hash::ZERO);
    assert_eq!(append(journal, &key, &late).await, Appended::Taken(second.clone()));
}

/// The whole contract of [`Arrivals`], for an empty journal.
///
/// # Panics
/// If `journal` violates it.
pub async fn arrivals_conformance<J: Journal + Arrivals + 'static>(journal: Arc<J>) {
    arrivals_come_in_the_order_of_their_appends(&*journal).await;
    what_was_not_written_does_not_arrive(&*journal).await;
    a_reader_in_the_midst_of_writers_skips_nothing(Arc::clone(&journal)).await;
    nobody_need_wait_for_an_append_to_be_told_of_it(&*journal).await;
    an_event_of_a_named_stream_does_not_arrive(&*journal).await;
}

async fn an_asset_that_does_not_exist_has_no_history(journal: &dyn Journal) {
    let nobody = key("main", 1);
    assert_eq!(history(journal, &nobody).await, []);
    assert_eq!(last(journal, &nobody).await, None);
}

async fn events_come_back_in_order_byte_for_byte(journal: &dyn Journal) {
    let key = key("main", 2);
    let mut given = Vec::new();
    for (version, body) in (1..).zip(ODD) {
        let line = StoredLine { version, body: body.to_owned() };
        write(journal, &key, &line).await;
        given.push(line);
        assert_eq!(history(journal, &key).await, given, "visible as soon as it was answered");
        assert_eq!(last(journal, &key).await.as_ref(), given.last());
    }
}

async fn a_part_of_a_history_begins_after_a_version(journal: &dyn Journal) {
    let tenant = answer("parts".parse());
    let (stream, lines) = (streams::access(&tenant).0, streams::events(&tenant, 12));
    for line in &lines {
        assert_eq!(append_to(journal, &stream, line).await, Appended::Written);
    }
    let part = async |version, limit| {
        answer(persist(|| journal.events_after(&stream, version, limit)).await)
    };
    assert_eq!(part(0, 100).await, lines);
    assert_eq!(part(9, 100).await, lines[9..], "a text would come before 9");
    assert_eq!(part(2, 3).await, lines[2..5]);
    assert_eq!((part(12, 5).await, part(0, 0).await), (vec![], vec![]));
}

/// More places than one request of DynamoDB takes, some of them twice, and some empty.
async fn events_are_found_at_their_places(journal: &dyn Journal) {
    let keys: Vec<_> = (100..150).map(|nth| key("main", nth)).collect();
    let (mut written, mut places) = (Vec::new(), vec![(key("other", 100), 1)]);
    for key in &keys {
        for version in 1..=3 {
            let line = line(version, &key.partition());
            write(journal, key, &line).await;
            written.push((key.clone(), line));
        }
        places.extend([1, 2, 3, 3, 4].map(|version| (key.clone(), version)));
    }
    let at = async |places: &[EventPlace], consistent| {
        let mut found = answer(persist(|| journal.events_at(places, consistent)).await);
        found.sort_by(|(one, a), (other, b)| (one, a.version).cmp(&(other, b.version)));
        found
    };
    written.sort_by(|(one, a), (other, b)| (one, a.version).cmp(&(other, b.version)));
    assert_eq!(at(&places, true).await, written);
    assert_eq!(at(&[], true).await, []);
    assert_eq!(at(&[(keys[0].clone(), 2)], true).await, written[1..2]);
    let eventually = at(&places, false).await;
    assert!(eventually.iter().all(|event| written.contains(event)), "{eventually:?}");
}

async fn the_second_writer_of_a_version_is_told_who_holds_it(journal: &dyn Journal) {
    let key = key("main", 3);
    let lines: Vec<_> = (1..=3).map(|version| line(version, "first")).collect();
    for line in &lines {
        write(journal, &key, line).await;
    }
    for held in &lines {
        let late = line(held.version, "late");
        assert_eq!(append(journal, &key, &late).await, Appended::Taken(held.clone()));
        let again = persist(|| journal.append(&key, held.clone())).await;
        assert_eq!(answer(again), Appended::Taken(held.clone()), "also to whoever wrote it");
    }
    assert_eq!(history(journal, &key).await, lines, "a version is written once");
}

async fn assets_and_tenants_do_not_see_each_other(journal: &dyn Journal) {
    let keys = [key("main", 4), key("main", 5), key("main-2", 4), key("mai", 4)];
    for key in &keys {
        write(journal, key, &line(1, &key.partition())).await;
    }
    for key in &keys {
        assert_eq!(history(journal, key).await, [line(1, &key.partition())]);
        assert_eq!(last(journal, key).await, Some(line(1, &key.partition())));
    }
}

async fn a_named_stream_is_kept_by_the_same_rules(journal: &dyn Journal) {
    let (stream, lines) = streams::access(&answer("main".parse()));
    for line in &lines {
        assert_eq!(append_to(journal, &stream, line).await, Appended::Written);
    }
    let late = line(2, "late");
    assert_eq!(append_to(journal, &stream, &late).await, Appended::Taken(lines[1].clone()));
    assert_eq!(answer(persist(|| journal.history_of(&stream)).await), lines);
    assert_eq!(answer(persist(|| journal.last_of(&stream)).await).as_ref(), lines.last());
    for other in ["main-2#access", "mai#access", "main#access-2", "main#acces"] {
        let other = answer(PartitionKey::from_partition(other).ok_or("no stream"));
        assert_eq!(answer(persist(|| journal.history_of(&other)).await), []);
        assert_eq!(answer(persist(|| journal.last_of(&other)).await), None);
    }
    let mut kept = Vec::new();
    for segment in answer(persist(|| journal.segments(1)).await) {
        let mut after = None;
        loop {
            let page = answer(persist(|| journal.page(&segment, after.as_ref())).await);
            let of_stream = |it: &StoredItem| it.partition == stream.partition();
            kept.extend(page.items.into_iter().filter(of_stream).map(|it| answer(it.line)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    kept.sort_by_key(|line| line.version);
    assert_eq!(kept, lines);
}

/// Two hundred events of 8 KiB: more than one page of DynamoDB, and versions past 9 and 99, which
/// sort wrongly as text.
async fn long_histories_come_back_whole(journal: &dyn Journal) {
    let key = key("main", 6);
    let body = "x".repeat(8 << 10);
    let lines: Vec<_> = (1..=200).map(|version| line(version, &body)).collect();
    for line in &lines {
        write(journal, &key, line).await;
    }
    assert!(history(journal, &key).await == lines, "200 events came back in order");
    assert!(last(journal, &key).await.as_ref() == lines.last());
}

async fn of_many_writers_one_wins<J: Journal + 'static>(journal: Arc<J>) {
    let key = key("main", 7);
    for version in 1..=ROUNDS {
        let answers = race(&journal, &key, version).await;
        let held = answer(last(&*journal, &key).await.ok_or("nothing is stored"));
        let winners = answers.iter().filter(|(_, a)| *a == Appended::Written);
        let winners: Vec<_> = winners.map(|(line, _)| line).collect();
        assert_eq!(winners, [&held], "one winner of version {version}, and it is stored");
        for (line, answer) in &answers {
            assert!(*line == held || *answer == Appended::Taken(held.clone()), "{answer:?}");
        }
    }
    let versions: Vec<_> = history(&*journal, &key).await.iter().map(|l| l.version).collect();
    assert_eq!(versions, (1..=ROUNDS).collect::<Vec<_>>());
}

async fn race<J: Journal + 'static>(
    journal: &Arc<J>,
    key: &Key,
    version: u64,
) -> Vec<(StoredLine, Appended)> {
    let start = Arc::new(Barrier::new(usize::try_from(WRITERS).unwrap_or(1)));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (journal, key, start) = (Arc::clone(journal), key.clone(), Arc::clone(&start));
        writers.spawn(async move {
            let line = line(version, &format!("writer {writer}"));
            start.wait().await;
            let answer = append(&*journal, &key, &line).await;
            (line, answer)
        });
    }
    writers.join_all().await
}

async fn arrivals_come_in_the_order_of_their_appends<J: Journal + Arrivals>(journal: &J) {
    let latest = journal.latest();
    assert_eq!(arrivals(journal, 0, 10).await, [], "the suite starts on an empty journal");
    let (one, two) = (key("main", 11), key("other", 11));
    let appended =
        [(&one, line(1, "a")), (&two, line(1, "b")), (&one, line(2, "c")), (&two, line(2, "d"))];
    for (key, line) in &appended {
        write(journal, key, line).await;
    }
    let arrived = arrivals(journal, 0, 10).await;
    let told: Vec<_> = arrived.iter().map(|a| (&a.key, a.line.clone())).collect();
    assert_eq!(told, appended.map(|(key, line)| (key, Ok(line))));
    assert!(arrived.is_sorted_by(|a, b| a.number < b.number), "rising and unique: {arrived:?}");
    assert_eq!(Some(*latest.borrow()), arrived.last().map(|a| a.number));
    for (place, arrival) in arrived.iter().enumerate() {
        assert_eq!(arrivals(journal, arrival.number, 10).await, arrived[place + 1..]);
        assert_eq!(arrivals(journal, 0, place).await, arrived[..place], "at most {place}");
    }
}

async fn what_was_not_written_does_not_arrive<J: Journal + Arrivals>(journal: &J) {
    let mut latest = journal.latest();
    let before = *latest.borrow_and_update();
    append(journal, &key("main", 11), &line(1, "late")).await;
    assert_eq!(arrivals(journal, before, 10).await, []);
    assert!(matches!(latest.has_changed(), Ok(false)), "nobody is woken for nothing");
}

async fn a_reader_in_the_midst_of_writers_skips_nothing<J>(journal: Arc<J>)
where
    J: Journal + Arrivals + 'static,
{
    let start = last_number(&*journal).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let journal = Arc::clone(&journal);
        writers.spawn(async move {
            for version in 1..=ROUNDS {
                let line = line(version, &format!("writer {writer}"));
                write(&*journal, &key("crowd", u128::from(writer)), &line).await;
            }
        });
    }
    let followed = follow(&*journal, start, WRITERS * ROUNDS).await;
    writers.join_all().await;
    assert_eq!(followed, arrivals(&*journal, start, usize::MAX >> 1).await, "none came in between");
    let mut per_writer: Vec<_> =
        followed.iter().map(|a| (&a.key, a.line.as_ref().map(|line| line.version).ok())).collect();
    per_writer.sort();
    per_writer.dedup();
    assert_eq!(per_writer.len() as u64, WRITERS * ROUNDS, "each event arrived once");
}

/// Reads arrivals whenever `latest` changes, as a runner does.
async fn follow<J: Arrivals>(journal: &J, mut after: u64, count: u64) -> Vec<Arrival> {
    let mut latest = journal.latest();
    let mut followed = Vec::new();
    while (followed.len() as u64) < count {
        let told = *latest.borrow_and_update();
        let page = arrivals(journal, after, 7).await;
        assert!(!page.is_empty() || told <= after, "told of {told}, which is not to be seen");
        if page.is_empty() {
            assert!(latest.changed().await.is_ok(), "the journal is still open");
        }
        after = page.last().map_or(after, |last| last.number);
        followed.extend(page);
    }
    followed
}

/// A caller that disconnects, as HTTP clients do, may leave an event behind. A reader of the
/// arrivals must still be notified of it.
async fn nobody_need_wait_for_an_append_to_be_told_of_it<J: Journal + Arrivals>(journal: &J) {
    let key = key("main", 12);
    {
        let mut append = journal.append(&key, line(1, "hung up"));
        let _ = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
    // Its answer comes after all earlier appends, and notifies of no other.
    append(journal, &self::key("main", 11), &line(1, "late")).await;
    assert_eq!(*journal.latest().borrow(), last_number(journal).await);
}

async fn an_event_of_a_named_stream_does_not_arrive<J: Journal + Arrivals>(journal: &J) {
    let start = last_number(journal).await;
    let (stream, lines) = streams::access(&answer("main".parse()));
    for line in &lines {
        append_to(journal, &stream, line).await;
    }
    assert_eq!(arrivals(journal, start, 10).await, []);
    assert_eq!(*journal.latest().borrow(), start, "nobody waits for it");
    let (key, mut written) = (key("main", 13), Vec::new());
    for (version, event) in (1..).zip(streams::events(&key.tenant, 6).split_off(3)) {
        written.push(line(version, "between them"));
        write(journal, &key, &written[written.len() - 1]).await;
        append_to(journal, &stream, &event).await;
    }
    let arrived = arrivals(journal, start, 10).await;
    let told: Vec<_> = arrived.iter().map(|arrival| (&arrival.key, &arrival.line)).collect();
    let written: Vec<_> = written.into_iter().map(Ok).collect();
    assert_eq!(told, written.iter().map(|line| (&key, line)).collect::<Vec<_>>());
    assert_eq!(Some(*journal.latest().borrow()), arrived.last().map(|arrival| arrival.number));
    for count in 0..=arrived.len() {
        assert_eq!(arrivals(journal, start, count).await, arrived[..count], "as many as asked for");
        let of_tenant = persist(|| journal.arrivals_of(&key.tenant, start, count)).await;
        assert_eq!(answer(of_tenant), arrived[..count]);
    }
}

async fn last_number<J: Arrivals>(journal: &J) -> u64 {
    arrivals(journal, 0, usize::MAX >> 1).await.last().map_or(0, |arrival| arrival.number)
}

/// A key; `of` only has to differ from the other keys of the suite.
pub(super) fn key(tenant: &str, of: u128) -> Key {
    let asset = AssetId::new(DateTime::UNIX_EPOCH, of);
    Key { tenant: answer(tenant.parse()), asset }
}

pub(super) fn line(version: u64, text: &str) -> StoredLine {
    StoredLine { version, body: format!("{{\"version\":{version},\"text\":{text:?}}}") }
}

async fn history(journal: &dyn Journal, key: &Key) -> Vec<StoredLine> {
    answer(persist(|| journal.history(key)).await)
}

async fn last(journal: &dyn Journal, key: &Key) -> Option<StoredLine> {
    answer(persist(|| journal.last(key)).await)
}

async fn arrivals<J: Arrivals>(journal: &J, after: u64, limit: usize) -> Vec<Arrival> {
    answer(persist(|| journal.arrivals(after, limit)).await)
}

/// Appends as callers do: a caller that finds its own line in its place has written it.
async fn append(journal: &dyn Journal, key: &Key, line: &StoredLine) -> Appended {
    append_to(journal, &key.clone().into(), line).await
}

async fn append_to(journal: &dyn Journal, partition: &PartitionKey, line: &StoredLine) -> Appended {
    match answer(persist(|| journal.append_to(partition, line.clone())).await) {
        Appended::Taken(held) if held == *line => Appended::Written,
        answer => answer,
    }
}

async fn write(journal: &dyn Journal, key: &Key, line: &StoredLine) {
    assert_eq!(append(journal, key, line).await, Appended::Written, "{line:?}");
}

pub(super) fn answer<T, E: Debug>(outcome: Result<T, E>) -> T {
    match outcome {
        Ok(answer) => answer,
        Err(error) => panic!("the store answered {error:?}"),
    }
}
