//! The access log: its stored sample, its writers, and its reader.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use tokio::task::JoinSet;

use super::*;
use crate::audit::inspect_with;
use crate::effects::Effects;
use crate::id::{AssetId, PartitionKey, StreamKey, Tenant};
use crate::journal::Journal;
use crate::journal::scan::Chain;
use crate::record::{CanonicalLine, EventSource, StoredLine, UrlRecord};
use crate::service::Caller;
use crate::testing::streams::altered;
use crate::testing::{Faults, Faulty, MemoryJournal, TestEffects};

const SAMPLE: &str = include_str!("../../../migrations/urls/url_granted.v1.json");

fn tenant() -> Tenant {
    "acme".parse().unwrap()
}

fn caller() -> Caller {
    let (actor, request) = ("key:1/1".to_owned(), "r".to_owned());
    let (tenant, source) = (tenant(), EventSource::Api);
    Caller { tenant, actor, source, request, own_only: false }
}

fn asset(number: u128) -> AssetId {
    AssetId::new(DateTime::UNIX_EPOCH, number)
}

fn url(asset: AssetId, expires_at: DateTime<Utc>) -> UrlGranted {
    let version_id = Some("v".to_owned());
    UrlGranted { asset, version: 3, method: UrlMethod::Get, version_id, expires_at }
}

struct LogWorld {
    journal: Arc<MemoryJournal>,
    effects: Arc<TestEffects>,
    log: UrlLog,
}

impl LogWorld {
    fn new() -> Self {
        let (journal, effects) =
            (Arc::<MemoryJournal>::default(), Arc::new(TestEffects::seeded(3)));
        let log = UrlLog::new(journal.clone(), effects.clone());
        Self { journal, effects, log }
    }

    /// Records a URL that expires now, so that its end is also its time.
    async fn give(&self, asset: AssetId) {
        let granted = url(asset, self.effects.now());
        self.log.record(&caller(), &granted).await.unwrap();
    }

    fn streams(day: NaiveDate) -> Vec<UrlLogStream> {
        (0..4).map(|number| UrlLogStream { tenant: tenant(), day, number }).collect()
    }

    async fn lines(&self, stream: &UrlLogStream) -> Vec<StoredLine> {
        self.journal.history_of(&stream.clone().into()).await.unwrap()
    }

    fn query(asset: AssetId, limit: usize) -> UrlLogQuery {
        let (since, until) =
            (DateTime::UNIX_EPOCH + TimeDelta::days(20_000), DateTime::<Utc>::MAX_UTC);
        UrlLogQuery { tenant: tenant(), asset, since, until, after: None, limit }
    }

    /// All pages of a query: the times of their entries, and the number of pages.
    async fn all(&self, mut query: UrlLogQuery) -> (Vec<DateTime<Utc>>, usize) {
        let (mut times, mut pages) = (Vec::new(), 0);
        loop {
            let page = self.log.page(&query).await.unwrap();
            assert!(page.entries.len() <= query.limit);
            for entry in page.entries {
                let record = UrlRecord::read_line(&entry.line.body).unwrap();
                assert_eq!((record.event.asset, record.key), (query.asset, entry.stream));
                times.push(record.event.expires_at);
            }
            pages += 1;
            let Some(next) = page.next else { return (times, pages) };
            assert_eq!(next.to_string().parse(), Ok(next));
            query.after = Some(next);
        }
    }
}

#[test]
fn the_sample_is_read_and_written_byte_for_byte() {
    let body = SAMPLE.trim_end().to_owned();
    let record = UrlRecord::read_line(&body).unwrap();
    assert_eq!(record.line().unwrap().body, body);
    assert_eq!(
        CanonicalLine::of(&body),
        Some(CanonicalLine { body: body.clone(), limits: Ok(()) })
    );
    assert_eq!(record.key.name(), "urls-20261123-2");
    assert_eq!(record.event.method.as_str(), "GET");
    let spaced = body.replace(r#""version":3,"#, r#""version": 3,"#);
    assert_eq!(CanonicalLine::of(&spaced).unwrap().body, body);
    for (from, to) in [
        (r#""GET""#, r#""get""#),
        (r#""GET""#, r#""DELETE""#),
        (r#""schema":1"#, r#""schema":2"#),
        ("url_granted", "url_taken"),
        (":16:00.000000Z", ":16:00Z"),
        (r#""version":3,"#, r#""version":3,"ip":"::1","#),
        ("urls-20261123-2", "urls-20261123-02"),
        ("urls-20261123-2", "access"),
    ] {
        assert!(body.contains(from), "{from}");
        assert!(UrlRecord::read_line(&body.replace(from, to)).is_err(), "{from} -> {to}");
    }
    let long = UrlGranted { version_id: Some("v".repeat(1025)), ..record.event.clone() };
    let over = UrlRecord { event: long, ..record }.within_limits();
    assert_eq!(over.unwrap_err().field, "version_id");
}

#[test]
fn a_stream_has_one_name() {
    let key = |name: &str| PartitionKey::from_partition(&format!("acme#{name}")).unwrap();
    for name in ["urls-20261123-2", "urls-20261123-4003"] {
        let stream = UrlLogStream::of(&key(name)).unwrap();
        assert_eq!(PartitionKey::from(stream), key(name));
    }
    for other in ["urls-20261123-02", "urls-20261323-0", "urls-20261123", "urls-2026112-3", "urls"]
    {
        assert_eq!(UrlLogStream::of(&key(other)), None, "{other}");
    }
}

#[tokio::test]
async fn each_url_is_one_event_of_a_lane_of_its_day_and_the_lanes_are_whole() {
    let world = LogWorld::new();
    for number in 0..60 {
        world.give(asset(number % 7)).await;
        world.effects.advance(TimeDelta::seconds(1));
    }
    let mut lengths = Vec::new();
    for stream in LogWorld::streams(world.effects.now().date_naive()) {
        let lines = world.lines(&stream).await;
        lengths.push(lines.len());
        let partition = PartitionKey::from(stream).partition();
        let examined = inspect_with(&Chain { partition, lines, strays: Vec::new() }, &[]);
        assert_eq!((examined.findings, examined.head.is_some()), (vec![], true));
    }
    assert_eq!(lengths.iter().sum::<usize>(), 60);
    assert!(lengths.iter().all(|length| *length > 5), "{lengths:?}: writers are kept apart");
}

#[tokio::test]
async fn tampering_with_a_lane_is_named() {
    let world = LogWorld::new();
    for _ in 0..40 {
        world.give(asset(1)).await;
    }
    let stream = LogWorld::streams(world.effects.now().date_naive()).remove(0);
    let (lines, partition) = (world.lines(&stream).await, PartitionKey::from(stream).partition());
    let found = |lines: Vec<StoredLine>| {
        let chain = Chain { partition: partition.clone(), lines, strays: Vec::new() };
        let findings = inspect_with(&chain, &[]).findings.into_iter();
        findings.map(|it| (it.version.unwrap(), it.kind.name())).collect::<Vec<_>>()
    };
    assert_eq!(found(lines.clone()), []);
    let changed = |from: &str, to: &str| {
        let mut lines = lines.clone();
        lines[1] = altered(&lines[1], from, to);
        found(lines)
    };
    assert_eq!(changed("key:1/1", "key:2/1"), [(2, "edited")]);
    assert_eq!(changed(r#""GET""#, r#""get""#), [(2, "edited")]);
    let mut without = lines.clone();
    without.remove(1);
    assert_eq!(found(without), [(2, "deleted")]);
    // The end of a chain is not protected, but must be readable.
    let last = |from: &str, to: &str| {
        let mut lines = lines.clone();
        let end = lines.pop().unwrap();
        lines.push(altered(&end, from, to));
        found(lines)
    };
    let end = lines.len() as u64;
    assert_eq!(last(r#""GET""#, r#""get""#), [(end, "malformed")]);
    assert_eq!(last("url_granted", "url_taken"), [(end, "unknown-type")]);
}

#[tokio::test(start_paused = true)]
async fn urls_of_many_processes_are_all_recorded_also_if_replies_are_lost() {
    let (journal, effects) = (Arc::<MemoryJournal>::default(), Arc::new(TestEffects::seeded(5)));
    let faults = Arc::new(Faults::new(7, 200, 3));
    let losing = Arc::new(Faulty::new(journal.clone(), faults));
    let processes: Vec<_> =
        (0..8).map(|_| Arc::new(UrlLog::new(losing.clone(), effects.clone()))).collect();
    let mut tasks = JoinSet::new();
    for number in 0..64_u32 {
        let log = processes[number as usize % 8].clone();
        let granted = UrlGranted { version: u64::from(number) + 1, ..url(asset(1), effects.now()) };
        tasks.spawn(async move {
            let mut tries = 0;
            while let Err(refused) = log.record(&caller(), &granted).await {
                tries += 1;
                assert!(tries < 100, "{refused}");
            }
        });
    }
    tasks.join_all().await;
    let mut seen = [0; 64];
    for number in 0..4 {
        let day = effects.now().date_naive();
        let stream = UrlLogStream { tenant: tenant(), day, number };
        let lines = journal.history_of(&stream.clone().into()).await.unwrap();
        let partition = PartitionKey::from(stream).partition();
        for line in &lines {
            let version = UrlRecord::read_line(&line.body).unwrap().event.version;
            seen[usize::try_from(version).unwrap() - 1] += 1;
        }
        let chain = Chain { partition, lines, strays: Vec::new() };
        assert_eq!(inspect_with(&chain, &[]).findings, []);
    }
    assert!(seen.iter().all(|count| *count >= 1), "a URL that was given is recorded: {seen:?}");
}

#[tokio::test]
async fn pages_are_in_the_order_of_time_and_of_one_asset() {
    let world = LogWorld::new();
    let mut expected = Vec::new();
    for step in 0..90_u128 {
        world.effects.advance(TimeDelta::minutes(47));
        world.give(asset(step % 3)).await;
        if step % 3 == 1 {
            expected.push(world.effects.now());
        }
    }
    for limit in [1, 7, 29, 30, 100] {
        let (times, _) = world.all(LogWorld::query(asset(1), limit)).await;
        assert_eq!(times, expected, "pages of {limit}");
    }
    let (since, until) = (expected[4], expected[20]);
    let between = UrlLogQuery { since, until, ..LogWorld::query(asset(1), 4) };
    assert_eq!(world.all(between).await, (expected[4..20].to_vec(), 4));
    assert!(world.all(LogWorld::query(asset(9), 4)).await.0.is_empty());
    let other = UrlLogQuery { tenant: Tenant::default(), ..LogWorld::query(asset(1), 4) };
    assert!(world.all(other).await.0.is_empty());
}

#[tokio::test]
async fn a_page_reads_a_bounded_part_of_the_log() {
    let world = LogWorld::new();
    world.give(asset(1)).await;
    let first = world.effects.now();
    world.effects.advance(TimeDelta::days(100));
    world.give(asset(1)).await;
    let query = UrlLogQuery { since: first, ..LogWorld::query(asset(1), 100) };
    let (times, pages) = world.all(query).await;
    assert_eq!((times, pages), (vec![first, world.effects.now()], 4), "32 days a page");
    // Many events of other assets on one day.
    for _ in 0..1_000 {
        world.give(asset(2)).await;
    }
    let query = UrlLogQuery { since: world.effects.now(), ..LogWorld::query(asset(1), 100) };
    assert_eq!(world.all(query).await.0.len(), 1);
}

#[tokio::test]
async fn the_longest_events_fit_into_the_part_of_a_stream_that_an_export_holds() {
    let world = LogWorld::new();
    // S3's version ids are URL-ready and have 1,024 bytes at most.
    let version_id = Some("v".repeat(1024));
    let granted =
        UrlGranted { version: u64::MAX, version_id, ..url(asset(1), world.effects.now()) };
    let (actor, request) = ("\"".repeat(128), "\"".repeat(64));
    world.log.record(&Caller { actor, request, ..caller() }, &granted).await.unwrap();
    let mut longest = 0;
    for stream in LogWorld::streams(world.effects.now().date_naive()) {
        longest = world.lines(&stream).await.iter().fold(longest, |n, it| n.max(it.body.len()));
    }
    assert!(longest > 1024, "{longest}");
    let all = longest as u64 * stream::STREAM_MAX;
    assert!(all <= 64 * 1024 * 1024, "{longest} bytes an event, {all} of a stream");
}

#[tokio::test]
async fn a_lane_goes_on_in_another_stream_before_one_is_too_long() {
    let mut world = LogWorld::new();
    world.log.stream_max = 5;
    let mut expected = Vec::new();
    for number in 0..61 {
        world.effects.advance(TimeDelta::seconds(1));
        if number == 60 {
            // Another process finds the ends.
            world.log = UrlLog::new(world.journal.clone(), world.effects.clone());
            world.log.stream_max = 5;
        }
        world.give(asset(1)).await;
        expected.push(world.effects.now());
    }
    let day = world.effects.now().date_naive();
    let mut events = 0;
    for number in 0..40 {
        let stream = UrlLogStream { tenant: tenant(), day, number };
        let lines = world.lines(&stream).await;
        assert!(lines.len() <= 5, "{number}");
        events += lines.len();
        if lines.is_empty() {
            continue;
        }
        let partition = PartitionKey::from(stream).partition();
        let chain = Chain { partition, lines, strays: Vec::new() };
        assert_eq!(inspect_with(&chain, &[]).findings, []);
    }
    assert_eq!(events, 61);
    for limit in [1, 4, 100] {
        let (times, _) = world.all(LogWorld::query(asset(1), limit)).await;
        assert_eq!(times, expected, "pages of {limit}");
    }
}

#[test]
fn only_a_place_that_was_shown_is_a_cursor() {
    for text in ["20261123-0-0-0-0", "20261123-4294967295-1-2-3"] {
        assert_eq!(text.parse::<UrlLogCursor>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "20261123",
        "20261123-0-0-0",
        "20261123-0-0-0-0-0",
        "20261123-0-0-0-00",
        "20261123-0-0-0-+1",
        "20261123-0-0-0-4294967296",
        "20261323-0-0-0-0",
        " 20261123-0-0-0-0",
    ] {
        assert!(text.parse::<UrlLogCursor>().is_err(), "{text}");
    }
}
