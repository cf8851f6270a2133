//! Every read table fulfils its port's contract, also over a connection that loses calls.

#![allow(clippy::unwrap_used, reason = "a test without its folder has failed")]

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use engine::{Engine, Tables};
use ledger::asset::Event;
use ledger::id::Key;
use ledger::testing::{Faulty, InjectedFault, MemoryJournal, absences, reservations};
use projections::position::Positions;
use projections::runner::ProjectionHint;
use projections::testing::{self, Clock, MemoryViews, Neighbours, Story};
use projections::{Generations, Runner, Views};
use stores::sqlite::OpenMode;
use stores::{DynamoViews, SqliteViews};
use tempfile::TempDir;

/// Fails calls in a pattern that combines all kinds of calls and of faults.
fn faulty<T>(store: T) -> Faulty<T> {
    let mut calls = 0;
    Faulty::planned(store, move |_| {
        calls += 1;
        match calls % 5 {
            1 => Some(InjectedFault::After),
            3 => Some(InjectedFault::Before),
            _ => None,
        }
    })
}

/// Opens a new file each time.
struct Files {
    folder: TempDir,
    opened: AtomicU32,
}

impl Files {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), opened: AtomicU32::new(0) }
    }

    /// Sets an attribute of a row in the last opened file, as another program could.
    fn damage(&self, key: &Key, attribute: &str, text: &str) {
        let last = self.opened.load(Ordering::Relaxed) - 1;
        let file = self.folder.path().join(last.to_string()).join("views.sqlite");
        let update = format!("UPDATE assets SET {attribute} = ?1 WHERE sk = ?2");
        let file = rusqlite::Connection::open(file).unwrap();
        assert_eq!(file.execute(&update, [text, &key.asset.to_string()]), Ok(1));
    }

    fn open(&self) -> SqliteViews {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.path().join(number.to_string());
        std::fs::create_dir(&folder).unwrap();
        SqliteViews::open(&folder, OpenMode::OrCreate).unwrap()
    }
}

#[tokio::test]
async fn memory() {
    testing::conformance(async || MemoryViews::default()).await;
    testing::generations(async || MemoryViews::default()).await;
    testing::totals(async || MemoryViews::default()).await;
    testing::usage(MemoryViews::default()).await;
    testing::positions(async || MemoryViews::default()).await;
}

/// Every suite, with neighbours in each of its tables.
async fn assert_like_names_change_nothing<G>(make: impl AsyncFn() -> G)
where
    G: Generations + Views + 'static,
{
    let neighbours = Neighbours::default();
    testing::conformance(async || neighbours.beside(make().await).await).await;
    testing::generations(async || neighbours.beside(make().await).await).await;
    testing::totals(async || neighbours.beside(make().await).await).await;
    testing::usage(neighbours.beside(make().await).await).await;
    neighbours.leave().await;
}

async fn assert_like_names_move_nothing<T>(make: impl AsyncFn() -> T)
where
    T: Generations + Views + Positions + 'static,
{
    let neighbours = Neighbours::default();
    testing::positions(async || neighbours.beside(make().await).await).await;
    neighbours.leave().await;
}

#[tokio::test]
async fn tenants_with_like_names_change_no_row_count_or_position() {
    assert_like_names_change_nothing(async || MemoryViews::default()).await;
    assert_like_names_move_nothing(async || MemoryViews::default()).await;
    let files = Files::new();
    assert_like_names_change_nothing(async || files.open()).await;
    assert_like_names_move_nothing(async || files.open()).await;
    for shards in [1, 8] {
        let make = async || dynamo(Engine::new().tables().await, shards);
        assert_like_names_change_nothing(make).await;
    }
}

#[tokio::test]
async fn memory_tells_of_rows_that_cannot_be_read() {
    let damage = async |views: &MemoryViews, key: &Key, attribute: &str, text: &str| {
        views.damage(key, &format!("{attribute} is {text:?}"));
    };
    testing::unreadable_rows(async || MemoryViews::default(), damage).await;
}

#[tokio::test]
async fn memory_behind_faults() {
    testing::conformance(async || faulty(MemoryViews::default())).await;
    testing::generations(async || faulty(MemoryViews::default())).await;
    testing::totals(async || faulty(MemoryViews::default())).await;
    testing::positions(async || faulty(MemoryViews::default())).await;
}

#[tokio::test]
async fn sqlite() {
    let files = Files::new();
    testing::conformance(async || files.open()).await;
    testing::generations(async || files.open()).await;
    testing::totals(async || files.open()).await;
    testing::usage(files.open()).await;
    testing::positions(async || files.open()).await;
}

#[tokio::test]
async fn sqlite_tells_of_rows_that_cannot_be_read() {
    let files = Files::new();
    let damage = async |_: &SqliteViews, key: &Key, attribute: &str, text: &str| {
        files.damage(key, attribute, text);
    };
    testing::unreadable_rows(async || files.open(), damage).await;
}

#[tokio::test]
async fn sqlite_behind_faults() {
    let files = Files::new();
    testing::conformance(async || faulty(files.open())).await;
    testing::generations(async || faulty(files.open())).await;
    testing::totals(async || faulty(files.open())).await;
    testing::positions(async || faulty(files.open())).await;
}

/// Projects every event of `journal` into `views`, where a row has events that `journal` lacks.
async fn assert_parked(views: Arc<impl Generations + Views + 'static>, store: &str) {
    let journal = Arc::<MemoryJournal>::default();
    let there = Story::begin("main", 1).received().uploaded();
    let cut = there.first(2);
    let other = Story::begin("main", 2).received().deleted();
    let was = Story::begin("main", 2).received().uploaded();
    let longer = Story::begin("main", 3).received().deleted().then(Event::Restored);
    let shorter = Story::begin("main", 3).received().uploaded();
    let sound = Story::begin("main", 4).received();
    let witnesses = [&there, &was, &shorter];
    for row in witnesses {
        views.put(&row.asset()).await.unwrap();
    }
    let mut hints = Vec::new();
    for story in [&cut, &other, &longer, &sound] {
        story.append_to(&*journal).await;
        let (key, version) = (story.key.clone(), story.version());
        hints.push(ProjectionHint { key, version, lines: Vec::new() });
    }
    let runner = Runner::new(journal, views.clone(), Arc::new(Clock::default()));
    assert_eq!(runner.project(&hints).await.parked, 3, "{store}");
    let mut parked = views.contradicted(&there.key.tenant, 9).await.unwrap();
    parked.sort_by(|a, b| a.key.cmp(&b.key));
    for (row, parked) in witnesses.iter().zip(&parked) {
        assert_eq!((&parked.key, parked.contradicted), (&row.key, true), "{store}");
        assert!(parked.error.contains("does not have"), "{store}: {}", parked.error);
        assert_eq!(views.get(&row.key).await.unwrap(), Some(row.asset()), "{store}: a witness");
    }
    assert_eq!((parked.len(), views.get(&sound.key).await.unwrap()), (3, Some(sound.asset())));
}

#[tokio::test]
async fn an_asset_whose_row_is_of_another_event_is_parked_and_its_row_stays() {
    assert_parked(Arc::new(MemoryViews::default()), "memory").await;
    let files = Files::new();
    assert_parked(Arc::new(files.open()), "SQLite").await;
    for shards in [1, 8] {
        let views = dynamo(Engine::new().tables().await, shards);
        assert_parked(Arc::new(views), "DynamoDB").await;
    }
}

#[tokio::test]
async fn dynamodb_notes_what_is_missing() {
    let tables = Engine::new().tables().await;
    for tables in [tables, engine::endpoint_or_engine().await] {
        absences::conformance(async || Arc::new(dynamo(tables.clone(), 8))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_keeps_reservations() {
    let tables = Engine::new().tables().await;
    for tables in [tables, engine::endpoint_or_engine().await] {
        reservations::conformance(async || Arc::new(dynamo(tables.clone(), 8))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_keeps_the_last_uses_of_keys() {
    let tables = Engine::new().tables().await;
    ledger::testing::key_uses::conformance(async || Arc::new(dynamo(tables.clone(), 8))).await;
    let given = engine::endpoint_or_engine().await;
    ledger::testing::key_uses::conformance(async || Arc::new(dynamo(given.clone(), 8))).await;
}

fn dynamo(tables: Tables, shards: u8) -> DynamoViews {
    DynamoViews::new(tables.client, tables.views, shards)
}

#[tokio::test]
async fn dynamodb() {
    for shards in [1, 3, 8] {
        testing::conformance(async || dynamo(Engine::new().tables().await, shards)).await;
        testing::generations(async || dynamo(Engine::new().tables().await, shards)).await;
        testing::totals(async || dynamo(Engine::new().tables().await, shards)).await;
        testing::usage(dynamo(Engine::new().tables().await, shards)).await;
    }
}

#[tokio::test]
async fn dynamodb_tells_of_rows_that_cannot_be_read() {
    for shards in [1, 3] {
        let tables = RefCell::new(Engine::new().tables().await);
        let make = async || {
            let new = Engine::new().tables().await;
            tables.replace(new.clone());
            dynamo(new, shards)
        };
        let damage = async |_: &DynamoViews, key: &Key, attribute: &str, text: &str| {
            let pk = format!("main#1#{}", key.asset.last_byte() % shards);
            let (table, text) = (tables.borrow().clone(), AttributeValue::S(text.to_owned()));
            let update = table.client.update_item().table_name(table.views);
            let update = update.key("pk", AttributeValue::S(pk));
            let update = update.key("sk", AttributeValue::S(key.asset.to_string()));
            let update = update.update_expression("SET #it = :text");
            let update = update.expression_attribute_names("#it", attribute);
            update.expression_attribute_values(":text", text).send().await.unwrap();
        };
        testing::unreadable_rows(make, damage).await;
    }
}

#[tokio::test]
async fn dynamodb_behind_faults() {
    testing::conformance(async || faulty(dynamo(Engine::new().tables().await, 8))).await;
    testing::generations(async || faulty(dynamo(Engine::new().tables().await, 8))).await;
    testing::totals(async || faulty(dynamo(Engine::new().tables().await, 8))).await;
}

/// At the endpoint in `AWS_ENDPOINT_URL_DYNAMODB`; without one, on the engine again.
#[tokio::test]
async fn the_given_dynamodb() {
    testing::conformance(async || dynamo(engine::endpoint_or_engine().await, 8)).await;
    testing::generations(async || dynamo(engine::endpoint_or_engine().await, 8)).await;
    testing::totals(async || dynamo(engine::endpoint_or_engine().await, 8)).await;
    testing::usage(dynamo(engine::endpoint_or_engine().await, 8)).await;
}
