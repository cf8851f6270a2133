//! Every adapter of the journal, and the decorator that loses its replies, against the whole
//! contract.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::sync::Arc;

use engine::{Engine, Tables};
use ledger::absences::MemoryAbsences;
use ledger::key_uses::MemoryKeyUses;
use ledger::reservations::MemoryReservations;
use ledger::testing::journal::{
    arrivals_conformance, conformance, links_conformance, scan_conformance,
};
use ledger::testing::neighbours::beside;
use ledger::testing::{Faults, Faulty, MemoryJournal, absences, key_uses, reservations};
use stores::sqlite::OpenMode;
use stores::{DynamoJournal, SqliteJournal};
use tempfile::TempDir;

async fn sqlite(folder: &TempDir) -> Arc<SqliteJournal> {
    Arc::new(SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap())
}

/// Memory, with faults in half of all calls.
fn faulty(seed: u64) -> Arc<Faulty<MemoryJournal, Faults>> {
    Arc::new(Faulty::new(Arc::default(), Arc::new(Faults::new(seed, 500, 0))))
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_contract() {
    conformance(Arc::new(MemoryJournal::default())).await;
    arrivals_conformance(Arc::new(MemoryJournal::default())).await;
    scan_conformance(&MemoryJournal::default()).await;
}

#[tokio::test]
async fn memory_notes_what_is_missing() {
    let notes = Arc::<MemoryAbsences>::default();
    absences::conformance(async || notes.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_sqlite_keep_reservations() {
    let memory = Arc::<MemoryReservations>::default();
    reservations::conformance(async || memory.clone()).await;
    let folder = TempDir::new().unwrap();
    reservations::conformance(async || sqlite(&folder).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_sqlite_keep_the_last_uses_of_keys() {
    let memory = Arc::<MemoryKeyUses>::default();
    key_uses::conformance(async || memory.clone()).await;
    let folder = TempDir::new().unwrap();
    key_uses::conformance(async || sqlite(&folder).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() {
    let folders = [(); 4].map(|()| TempDir::new().unwrap());
    conformance(sqlite(&folders[0]).await).await;
    arrivals_conformance(sqlite(&folders[1]).await).await;
    scan_conformance(&*sqlite(&folders[2]).await).await;
    links_conformance(&*sqlite(&folders[3]).await).await;
}

fn dynamo(tables: Tables) -> Arc<DynamoJournal> {
    Arc::new(DynamoJournal::new(tables.client, tables.journal))
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_keeps_the_contract() {
    conformance(dynamo(Engine::new().tables().await)).await;
    scan_conformance(&*dynamo(Engine::new().tables().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_with_like_names_change_no_answer_of_a_journal() {
    let memory = Arc::new(MemoryJournal::default());
    beside(memory.clone(), conformance(memory)).await;
    let folders = [(); 2].map(|()| TempDir::new().unwrap());
    let files = sqlite(&folders[0]).await;
    beside(files.clone(), conformance(files)).await;
    let files = sqlite(&folders[1]).await;
    beside(files.clone(), links_conformance(&*files)).await;
    let tables = dynamo(Engine::new().tables().await);
    beside(tables.clone(), conformance(tables)).await;
}

/// At the endpoint in `AWS_ENDPOINT_URL_DYNAMODB`, on tables of this run; without one, on the
/// engine again.
#[tokio::test(flavor = "multi_thread")]
async fn the_given_dynamodb_keeps_the_contract() {
    let tables = [engine::endpoint_or_engine().await, engine::endpoint_or_engine().await];
    conformance(dynamo(tables[0].clone())).await;
    scan_conformance(&*dynamo(tables[1].clone())).await;
    for tables in tables {
        tables.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_loses_replies_keeps_the_contract() {
    for seed in 0..10 {
        conformance(faulty(seed)).await;
        arrivals_conformance(faulty(seed)).await;
        scan_conformance(&*faulty(seed)).await;
    }
}
