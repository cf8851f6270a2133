//! Every feed keeps its port's contract, also behind a connection that loses calls.

#![allow(clippy::unwrap_used, reason = "a test without its folder has failed")]

use std::sync::Arc;

use engine::Engine;
use ledger::StoreError;
use ledger::journal::{Arrival, Arrivals};
use ledger::testing::{Faulty, InjectedFault, MemoryJournal};
use projections::feed::{ArrivalFeed, Lanes};
use projections::testing::{self, Laned, MemoryLanes};
use stores::DynamoLanes;
use stores::sqlite::OpenMode;
use stores::{DynamoJournal, SqliteJournal};
use tempfile::TempDir;
use tokio::sync::watch;

/// Fails calls in a pattern with every kind of fault in every kind of call. Sometimes a page, which
/// takes a call per lane, has no fault.
fn faulty<T>(store: T) -> Faulty<T> {
    let mut calls = 0;
    Faulty::planned(store, move |_| {
        calls += 1;
        match calls % 13 {
            1 => Some(InjectedFault::After),
            7 => Some(InjectedFault::Before),
            _ => None,
        }
    })
}

async fn dynamo_lanes() -> DynamoLanes {
    let tables = Engine::new().tables().await;
    DynamoLanes::new(tables.client, tables.views)
}

/// These lanes with a journal in memory.
fn laned(lanes: impl Lanes + 'static) -> Laned {
    Laned::new(Arc::<MemoryJournal>::default(), Arc::new(lanes))
}

#[tokio::test]
async fn lanes_in_memory() {
    testing::lanes(async || MemoryLanes::default()).await;
    testing::lanes(async || faulty(MemoryLanes::default())).await;
}

#[tokio::test]
async fn lanes_on_dynamodb() {
    testing::lanes(dynamo_lanes).await;
    testing::lanes(async || faulty(dynamo_lanes().await)).await;
}

/// At the endpoint in `AWS_ENDPOINT_URL_DYNAMODB`; without one, on the engine again.
#[tokio::test]
async fn lanes_on_the_given_dynamodb() {
    let lanes = async || {
        let tables = engine::endpoint_or_engine().await;
        DynamoLanes::new(tables.client, tables.views)
    };
    testing::lanes(lanes).await;
}

#[tokio::test]
async fn arrivals_in_memory() {
    testing::feed(async || {
        let journal = Arc::new(MemoryJournal::default());
        (journal.clone(), ArrivalFeed::new(journal))
    })
    .await;
}

/// Faulty for the feed, but not for the appends.
#[tokio::test]
async fn arrivals_in_memory_behind_faults() {
    testing::feed(async || {
        let journal = Arc::new(MemoryJournal::default());
        (journal.clone(), ArrivalFeed::new(Arc::new(faulty(Shared(journal)))))
    })
    .await;
}

struct Shared(Arc<MemoryJournal>);

#[async_trait::async_trait]
impl Arrivals for Shared {
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
        self.0.arrivals(after, limit).await
    }

    fn latest(&self) -> watch::Receiver<u64> {
        self.0.latest()
    }
}

#[tokio::test]
async fn arrivals_on_sqlite() {
    let folder = TempDir::new().unwrap();
    let opened = std::sync::atomic::AtomicU32::new(0);
    testing::feed(async || {
        let number = opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = folder.path().join(number.to_string());
        std::fs::create_dir(&folder).unwrap();
        let journal = Arc::new(SqliteJournal::open(&folder, OpenMode::OrCreate).await.unwrap());
        (journal.clone(), ArrivalFeed::new(journal))
    })
    .await;
}

#[tokio::test]
async fn laned_in_memory() {
    testing::feed(async || laned(MemoryLanes::default())).await;
}

#[tokio::test]
async fn laned_in_memory_behind_faults() {
    testing::feed(async || laned(faulty(MemoryLanes::default()))).await;
}

#[tokio::test]
async fn laned_on_dynamodb() {
    testing::feed(async || {
        let tables = Engine::new().tables().await;
        let journal = DynamoJournal::new(tables.client.clone(), &tables.journal);
        Laned::new(Arc::new(journal), Arc::new(DynamoLanes::new(tables.client, tables.views)))
    })
    .await;
}

#[tokio::test]
async fn laned_on_dynamodb_behind_faults() {
    testing::feed(async || laned(faulty(dynamo_lanes().await))).await;
}
