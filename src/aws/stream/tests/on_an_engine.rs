//! The stream of an engine, and its refusals.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Credentials, Region};
use engine::{Engine, Fault, Tables};
use ledger::Effects;
use ledger::testing::streams::access;
use projections::testing::MemoryViews;
use stores::DynamoJournal;

use super::*;

fn stream(engine: &Engine, tables: &Tables) -> DynamoStream {
    let config = aws_sdk_dynamodbstreams::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("engine", "engine", None, None, "engine"))
        .http_client(engine.http_client());
    let streams = aws_sdk_dynamodbstreams::Client::from_conf(config.build());
    DynamoStream::new(tables.client.clone(), streams, &tables.journal)
}

/// An engine's stream, a readable journal, and no rows.
struct World {
    journal: Arc<MemoryJournal>,
    views: Arc<MemoryViews>,
    follower: StreamFollower,
}

impl World {
    fn on(engine: &Engine, tables: &Tables) -> Self {
        let (journal, views) = (Arc::<MemoryJournal>::default(), Arc::<MemoryViews>::default());
        let clock: Arc<dyn Effects> = Arc::new(Clock::default());
        let runner = Runner::new(journal.clone(), views.clone(), clock.clone());
        let source = Arc::new(stream(engine, tables));
        let follower = StreamFollower::new(source.clone(), source, runner, clock);
        Self { journal, views, follower }
    }
}

/// The journal's items as the adapter writes them, and a readable copy.
async fn append(tables: &Tables, journal: &MemoryJournal, story: &Story) {
    for line in &story.lines {
        journal.append(&story.key, line.clone()).await.unwrap();
        let put = tables.client.put_item().table_name(&tables.journal);
        let put = put.item("pk", AttributeValue::S(story.key.partition()));
        let put = put.item("sk", AttributeValue::N(line.version.to_string()));
        put.item("body", AttributeValue::S(line.body.clone())).send().await.unwrap();
    }
}

#[tokio::test]
async fn its_stream_is_followed_and_its_keys_are_gone_through() {
    let engine = Engine::new();
    let tables = engine.tables_with_streams().await;
    let mut world = World::on(&engine, &tables);
    for nth in 1..=3 {
        let story = Story::begin("main", nth).received();
        append(&tables, &world.journal, &story).await;
        while world.follower.round().await.unwrap() {}
        assert_eq!(world.views.get(&story.key).await.unwrap(), Some(story.asset()));
    }
    let (hints, next) = stream(&engine, &tables).page(None).await.unwrap();
    let versions: Vec<_> = hints.iter().map(|hint| hint.version).collect();
    assert_eq!((versions, next), (vec![2, 2, 2], None));
}

#[tokio::test]
async fn a_named_stream_of_the_journal_is_passed_over() {
    let engine = Engine::new();
    let tables = engine.tables_with_streams().await;
    let mut world = World::on(&engine, &tables);
    let journal = DynamoJournal::new(tables.client.clone(), &tables.journal);
    let story = Story::begin("main", 1).received();
    let (key, lines) = access(&story.key.tenant);
    for line in lines {
        journal.append_to(&key, line).await.unwrap();
    }
    append(&tables, &world.journal, &story).await;
    while world.follower.round().await.unwrap() {}
    assert_eq!(world.views.get(&story.key).await.unwrap(), Some(story.asset()));
    assert_eq!(world.views.parked(&story.key.tenant, 9).await.unwrap(), []);
    let (hints, _) = stream(&engine, &tables).page(None).await.unwrap();
    assert_eq!(hints.iter().map(|hint| &hint.key).collect::<Vec<_>>(), [&story.key]);
}

#[tokio::test]
async fn a_table_without_a_stream_is_said_to_have_none() {
    let engine = Engine::new();
    let tables = engine.tables().await;
    let error = stream(&engine, &tables).shards().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("has no stream: run `asset-ledger migrate`"));
}

#[tokio::test]
async fn a_missing_table_a_throttled_one_and_old_credentials_are_told_apart() {
    let engine = Engine::new();
    let mut tables = engine.tables_with_streams().await;
    engine.fail(|_| Some(Fault::THROTTLED));
    let error = stream(&engine, &tables).shards().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Throttled);
    engine.fail(|_| Some(Fault::Refused(400, "ExpiredTokenException")));
    let error = stream(&engine, &tables).shards().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
    assert!(error.to_string().ends_with("(who renews these credentials?)"), "{error}");
    engine.heal();
    tables.journal = "elsewhere".to_owned();
    let error = stream(&engine, &tables).shards().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Misconfigured);
    assert!(ledger::error::chain(&error).contains("elsewhere"), "{error:?}");
}

fn told(trouble: &StreamError) -> String {
    match trouble {
        StreamError::Store(error) => format!("{:?}", error.kind),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_shard_is_refused_with_says_what_to_do() {
    for (status, code, meant) in [
        (400, "ExpiredIteratorException", "Expired"),
        (400, "TrimmedDataAccessException", "Trimmed"),
        (400, "ResourceNotFoundException", "Gone"),
        (400, "LimitExceededException", "Throttled"),
        (400, "AccessDeniedException", "Misconfigured"),
        (500, "InternalServerError", "Unavailable"),
    ] {
        let engine = Engine::new();
        let source = stream(&engine, &engine.tables_with_streams().await);
        engine.fail(move |_| Some(Fault::Refused(status, code)));
        let iterator = source.iterator("shard", &ShardPosition::Oldest).await.unwrap_err();
        let records = source.records("iterator").await.unwrap_err();
        assert_eq!((told(&iterator), told(&records)), (meant.to_owned(), meant.to_owned()));
    }
}

#[tokio::test]
async fn an_expired_iterator_and_a_trimmed_shard_lose_nothing() {
    let engine = Engine::new();
    let tables = engine.tables_with_streams().await;
    let mut refusals = vec!["TrimmedDataAccessException", "ExpiredIteratorException"];
    engine.fail(move |asked| {
        let reads = asked.operation == "GetRecords";
        reads.then(|| refusals.pop()).flatten().map(|code| Fault::Refused(400, code))
    });
    let mut world = World::on(&engine, &tables);
    let story = Story::begin("main", 1).received();
    append(&tables, &world.journal, &story).await;
    while world.follower.round().await.unwrap() {}
    assert_eq!(world.views.get(&story.key).await.unwrap(), Some(story.asset()));
    let tally = engine.take_tally();
    let asked = |name| {
        let all = tally.operations().into_iter().filter(|(_, operation, _)| *operation == name);
        all.map(|(.., count)| count).sum::<u64>()
    };
    // Each refusal costs an iterator, and the second one a scan of the journal.
    assert_eq!(["GetShardIterator", "Scan"].map(asked), [3, 1]);
}

#[tokio::test]
async fn whatever_else_is_done_to_the_table_raises_the_alarm() {
    let engine = Engine::new();
    let tables = engine.tables_with_streams().await;
    let mut world = World::on(&engine, &tables);
    let (client, name) = (&tables.client, &tables.journal);
    let key = HashMap::from([
        ("pk".to_owned(), AttributeValue::S("no asset".to_owned())),
        ("sk".to_owned(), AttributeValue::N("-1".to_owned())),
    ]);
    let put = || client.put_item().table_name(name).set_item(Some(key.clone()));
    put().send().await.unwrap();
    put().item("body", AttributeValue::Bool(true)).send().await.unwrap();
    client.delete_item().table_name(name).set_key(Some(key.clone())).send().await.unwrap();
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    while world.follower.round().await.unwrap() {}
    assert_eq!(alarms(&recorder), 3);
}
