//! The findings, metrics and requests of the function, on an engine.

use engine::{Engine, Fault, Tables};
use ledger::asset::Declaration;
use ledger::id::Tenant;
use ledger::record::EventSource;
use ledger::service::Caller;
use projections::runner::ProjectionHint;

use super::*;
use crate::aws::{Clients, Config};
use crate::lambda::testing::{counted, logged};
use crate::objects::Connection;

struct Deployed {
    engine: Engine,
    parts: Deployment,
}

/// A deployment with an asset and its row.
async fn deployed() -> Deployed {
    let engine = Engine::new();
    let Tables { journal, views, .. } = engine.tables_with_streams().await;
    let objects = Connection::local("http://127.0.0.1:1", "us-east-1", "key", "secret");
    let clients = Clients { dynamodb: engine.client(), objects };
    let (bucket, tenant) = ("files".to_owned(), "main".parse().unwrap());
    let config = Config { journal, views, bucket, tenant, shards: 8, feed_retention: None };
    let parts = Deployment::new(config, clients);
    let actor = "anonymous".to_owned();
    let caller = Caller {
        tenant: Tenant::default(),
        actor,
        source: EventSource::Api,
        request: "r".to_owned(),
        own_only: false,
    };
    let created = parts.service().create(&caller, Declaration::plain()).await.unwrap();
    let hint = ProjectionHint { key: created.asset().key.clone(), version: 1, lines: Vec::new() };
    assert_eq!(parts.runner().project(&[hint]).await.projected, 1);
    Deployed { engine, parts }
}

impl Deployed {
    async fn look(&self) -> (serde_json::Value, Result<VerifiedSummary, StoreError>) {
        counted(Auditor::new(self.parts.clone()).look()).await
    }
}

#[tokio::test]
async fn a_clean_ledger_is_looked_at_to_its_end_by_reading_alone() {
    let deployed = deployed().await;
    let _ = deployed.engine.take_tally();
    let (metrics, verified) = deployed.look().await;
    assert_eq!(verified.unwrap().looked, (1, 1, 1));
    assert_eq!(metrics["asset_ledger_verify_completed"], 1);
    assert_eq!(metrics["asset_ledger_tamper"], serde_json::Value::Null);
    let asked = deployed.engine.take_tally();
    let Config { journal, views, .. } = &deployed.parts.config;
    // The permissions of the template's role `AuditRole`.
    let allowed = [(journal, &["Scan", "Query"][..]), (views, &["GetItem", "Query", "Scan"])];
    assert!(asked.of(journal, "Scan").requests > 0);
    for (table, operation, _) in asked.operations() {
        let of_table = allowed.iter().find(|(name, _)| *name == table);
        assert!(
            of_table.is_some_and(|(_, all)| all.contains(&operation)),
            "{operation} of {table}"
        );
    }
}

#[tokio::test]
async fn what_was_altered_is_counted_and_named() {
    let deployed = deployed().await;
    let (table, client) = (&deployed.parts.config.journal, deployed.engine.client());
    let items = client.scan().table_name(table).send().await.unwrap().items.unwrap();
    let mut item = items[0].clone();
    let body = item["body"].as_s().unwrap().replace("anonymous", "mallory");
    item.insert("body".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(body));
    let put = client.put_item().table_name(table).set_item(Some(item.clone()));
    put.send().await.unwrap();
    let (lines, _guard) = logged();
    let (metrics, verified) = deployed.look().await;
    assert_eq!(verified.unwrap().tampered(), 1);
    assert_eq!(metrics["asset_ledger_tamper"], 1);
    let (log, asset) = (lines.text(), item["pk"].as_s().unwrap());
    assert!(log.contains(asset) && log.contains("edited"), "{log}");
}

#[tokio::test]
async fn a_look_that_broke_off_is_not_counted_as_done() {
    let deployed = deployed().await;
    deployed.engine.fail(|_| Some(Fault::Refused(400, "AccessDeniedException")));
    let (metrics, verified) = deployed.look().await;
    assert!(verified.is_err());
    assert_eq!(metrics["asset_ledger_verify_completed"], serde_json::Value::Null);
}
