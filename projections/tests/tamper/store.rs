//! Direct writes to the store that no port offers.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use engine::{Engine, Tables};
use ledger::asset::Asset;
use ledger::id::Key;
use rusqlite::{Connection, params};
use serde_json::Value;
use stores::sqlite::OpenMode;
use stores::{DynamoJournal, SqliteJournal};
use stores::{DynamoViews, SqliteViews};
use tempfile::TempDir;

use crate::TamperFixture;

/// Partitions of the rows on DynamoDB.
const SHARDS: u8 = 8;

#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum TamperedStore {
    Sqlite { journal: Mutex<Connection>, views: Mutex<Connection>, _folder: TempDir },
    Dynamo(Tables),
}

/// A ledger in a folder, without the triggers that protect it from accidents.
pub(crate) async fn sqlite() -> TamperFixture {
    let folder = TempDir::new().unwrap();
    let journal = Arc::new(SqliteJournal::open(folder.path(), OpenMode::OrCreate).await.unwrap());
    let views = Arc::new(SqliteViews::open(folder.path(), OpenMode::OrCreate).unwrap());
    let raw = |name: &str| Connection::open(folder.path().join(name)).unwrap();
    let (events, rows) = (raw("journal.sqlite"), raw("views.sqlite"));
    for trigger in ["changed", "deleted", "replaced"] {
        events.execute_batch(&format!("DROP TRIGGER events_are_never_{trigger}")).unwrap();
    }
    let (events, rows) = (Mutex::new(events), Mutex::new(rows));
    let store = TamperedStore::Sqlite { journal: events, views: rows, _folder: folder };
    TamperFixture { journal, views, store }
}

/// A ledger on a separate engine.
pub(crate) async fn dynamodb() -> TamperFixture {
    let tables = Engine::new().tables().await;
    let journal = Arc::new(DynamoJournal::new(tables.client.clone(), &tables.journal));
    let views = Arc::new(DynamoViews::new(tables.client.clone(), &tables.views, SHARDS));
    TamperFixture { journal: journal.clone(), views, store: TamperedStore::Dynamo(tables) }
}

impl TamperFixture {
    /// Writes an event's bytes; replaces an event.
    pub(crate) async fn write(&self, key: &Key, version: u64, body: &str) {
        match &self.store {
            TamperedStore::Sqlite { journal, .. } => {
                let (journal, pk) = (journal.lock().unwrap(), key.partition());
                let write = "INSERT INTO events (pk, sk, body) VALUES (?1, ?2, ?3) \
                             ON CONFLICT (pk, sk) DO UPDATE SET body = excluded.body";
                journal.execute(write, params![pk, version, body]).unwrap();
            }
            TamperedStore::Dynamo(tables) => {
                let put = tables.client.put_item().table_name(&tables.journal);
                let put = put.item("pk", AttributeValue::S(key.partition()));
                let put = put.item("sk", AttributeValue::N(version.to_string()));
                put.item("body", AttributeValue::S(body.to_owned())).send().await.unwrap();
            }
        }
    }

    /// Writes an event's bytes with an invalid version.
    pub(crate) async fn write_odd(&self, key: &Key, version: &str) {
        match &self.store {
            TamperedStore::Sqlite { journal, .. } => {
                let (journal, pk) = (journal.lock().unwrap(), key.partition());
                let write = "INSERT INTO events (pk, sk, body) VALUES (?1, ?2, '{}')";
                journal.execute(write, params![pk, version.parse::<i64>().unwrap()]).unwrap();
            }
            TamperedStore::Dynamo(tables) => {
                let put = tables.client.put_item().table_name(&tables.journal);
                let put = put.item("pk", AttributeValue::S(key.partition()));
                let put = put.item("sk", AttributeValue::N(version.to_owned()));
                put.item("body", AttributeValue::S("{}".to_owned())).send().await.unwrap();
            }
        }
    }

    /// Copies a row into the next shard.
    pub(crate) async fn misplace_row(&self, key: &Key) {
        let TamperedStore::Dynamo(tables) = &self.store else { panic!("SQLite has one part") };
        let get = tables.client.get_item().table_name(&tables.views);
        let got = get.key("pk", shard(key)).key("sk", sort(key)).send().await.unwrap();
        let mut item = got.item.unwrap();
        let next = (key.asset.last_byte() + 1) % SHARDS;
        item.insert("pk".to_owned(), AttributeValue::S(format!("{}#1#{next}", key.tenant)));
        let put = tables.client.put_item().table_name(&tables.views);
        put.set_item(Some(item)).send().await.unwrap();
    }

    /// Deletes an event.
    pub(crate) async fn erase(&self, key: &Key, version: u64) {
        match &self.store {
            TamperedStore::Sqlite { journal, .. } => {
                let erase = "DELETE FROM events WHERE pk = ?1 AND sk = ?2";
                let pk = key.partition();
                assert_eq!(journal.lock().unwrap().execute(erase, params![pk, version]), Ok(1));
            }
            TamperedStore::Dynamo(tables) => {
                let delete = tables.client.delete_item().table_name(&tables.journal);
                let delete = delete.key("pk", AttributeValue::S(key.partition()));
                let delete = delete.key("sk", AttributeValue::N(version.to_string()));
                delete.send().await.unwrap();
            }
        }
    }

    /// Sets one attribute of a row, or removes it.
    pub(crate) async fn alter(&self, key: &Key, attribute: &str, value: &Value) {
        match &self.store {
            TamperedStore::Sqlite { views, .. } => {
                let alter = format!("UPDATE assets SET {attribute} = ?1 WHERE sk = ?2");
                let (views, sk) = (views.lock().unwrap(), key.asset.to_string());
                let changed = match value {
                    Value::Null => views.execute(&alter, params![None::<String>, sk]),
                    Value::Bool(value) => views.execute(&alter, params![value, sk]),
                    Value::Number(value) => views.execute(&alter, params![value.as_i64(), sk]),
                    Value::String(value) => views.execute(&alter, params![value, sk]),
                    other => views.execute(&alter, params![other.to_string(), sk]),
                };
                assert_eq!(changed, Ok(1));
            }
            TamperedStore::Dynamo(tables) => {
                let update = tables.client.update_item().table_name(&tables.views);
                let update = update.key("pk", shard(key)).key("sk", sort(key));
                let update = update.expression_attribute_names("#a", attribute);
                let update = match value {
                    Value::Null => update.update_expression("REMOVE #a"),
                    value => update
                        .update_expression("SET #a = :a")
                        .expression_attribute_values(":a", attribute_value(value)),
                };
                update.condition_expression("attribute_exists(pk)").send().await.unwrap();
            }
        }
    }

    /// Deletes a row.
    pub(crate) async fn drop_row(&self, key: &Key) {
        match &self.store {
            TamperedStore::Sqlite { views, .. } => {
                let (views, sk) = (views.lock().unwrap(), key.asset.to_string());
                assert_eq!(views.execute("DELETE FROM assets WHERE sk = ?1", [sk]), Ok(1));
            }
            TamperedStore::Dynamo(tables) => {
                let delete = tables.client.delete_item().table_name(&tables.views);
                delete.key("pk", shard(key)).key("sk", sort(key)).send().await.unwrap();
            }
        }
    }

    /// Writes a row over any other row, newer or not.
    pub(crate) async fn force_row(&self, asset: &Asset) {
        let rows = self.views.rows(self.views.generations().await.unwrap().current);
        if rows.get(&asset.key).await.unwrap().is_some() {
            self.drop_row(&asset.key).await;
        }
        rows.put(asset).await.unwrap();
    }
}

fn shard(key: &Key) -> AttributeValue {
    // The first generation of a new read table.
    let shard = key.asset.last_byte() % SHARDS;
    AttributeValue::S(format!("{}#1#{shard}", key.tenant))
}

fn sort(key: &Key) -> AttributeValue {
    AttributeValue::S(key.asset.to_string())
}

fn attribute_value(value: &Value) -> AttributeValue {
    match value {
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Number(value) => AttributeValue::N(value.to_string()),
        Value::String(value) => AttributeValue::S(value.clone()),
        other => AttributeValue::S(other.to_string()),
    }
}
