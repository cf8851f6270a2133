//! Batches of SQS, and exactly which of their messages are retried.

use std::sync::Arc;

use aws_lambda_events::sqs::SqsEvent;
use ledger::asset::{AssetStatus, Declaration};
use ledger::id::{Key, Tenant};
use ledger::record::EventSource;
use ledger::service::{Caller, LedgerService};
use ledger::testing::{Faulty, InjectedFault, MemoryBucket, MemoryJournal, TestEffects};
use serde_json::{Value, json};

use super::Notifications;
use crate::bucket::Bucket;
use crate::lambda::testing::counted;

struct World {
    service: Arc<LedgerService>,
    objects: Arc<MemoryBucket>,
    notifications: Notifications,
}

/// A service whose journal fails for a number of loads, after the first `well`.
fn world(mut well: usize, mut failures: usize) -> World {
    let journal = Faulty::planned(MemoryJournal::default(), move |call| {
        if call != "history" {
            return None;
        }
        if well > 0 {
            well -= 1;
            return None;
        }
        let fails = failures > 0;
        failures -= usize::from(fails);
        fails.then_some(InjectedFault::Before)
    });
    let (objects, effects) = (Arc::new(MemoryBucket::default()), Arc::new(TestEffects::seeded(1)));
    let service = LedgerService::new(Arc::new(journal), objects.clone(), effects, "files");
    let service = Arc::new(service);
    let notifications = Notifications::new(Bucket::new(Arc::clone(&service)));
    World { service, objects, notifications }
}

impl World {
    async fn send(&self, messages: &[Value]) -> Result<Value, String> {
        let batch: SqsEvent = serde_json::from_value(json!({"Records": messages})).unwrap();
        let answer = self.notifications.receive(&batch).await;
        answer.map(|answer| serde_json::to_value(&answer).unwrap()).map_err(|e| e.to_string())
    }

    /// An asset with bytes whose notification was not handled yet.
    async fn uploaded(&self) -> Key {
        let actor = "anonymous".to_owned();
        let caller = Caller {
            tenant: Tenant::default(),
            actor,
            source: EventSource::Api,
            request: "r".to_owned(),
            own_only: false,
        };
        let history = self.service.create(&caller, Declaration::plain()).await.unwrap();
        let key = history.asset().key.clone();
        self.objects.put(&key, b"hello world");
        key
    }

    async fn status(&self, key: &Key) -> AssetStatus {
        self.service.history(key).await.unwrap().unwrap().asset().status()
    }
}

/// A message as SQS passes it to Lambda, with an event of S3 as sent by EventBridge.
fn message(id: &str, bucket: &str, key: &str) -> Value {
    let event = json!({
        "version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created", "source": "aws.s3", "account": "111122223333",
        "time": "2026-11-23T08:00:00Z", "region": "eu-central-1",
        "resources": [format!("arn:aws:s3:::{bucket}")],
        "detail": {
            "version": "0", "bucket": {"name": bucket},
            "object": {"key": key, "size": 11, "etag": "5eb63bbbe01eeed093cb22bb8f5acdc3",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e", "sequencer": "617f08299329d189"},
            "request-id": "N4N7GDK58NMKJ12R", "requester": "123456789012",
            "source-ip-address": "1.2.3.4", "reason": "PutObject",
        },
    });
    with_body(id, &event.to_string())
}

fn with_body(id: &str, body: &str) -> Value {
    json!({
        "messageId": id, "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a", "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1", "SentTimestamp": "1795420800000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1795420800001",
        },
        "messageAttributes": {}, "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:q",
        "awsRegion": "eu-central-1",
    })
}

#[allow(clippy::unnecessary_wraps, reason = "compared with an answer that may fail")]
fn again(ids: &[&str]) -> Result<Value, String> {
    let all: Vec<_> = ids.iter().map(|id| json!({"itemIdentifier": id})).collect();
    Ok(json!({"batchItemFailures": all}))
}

#[tokio::test]
async fn notifications_are_looked_into_also_twice() {
    let world = world(usize::MAX, 0);
    let (one, two) = (world.uploaded().await, world.uploaded().await);
    let of = |id, key: &Key| message(id, "files", &key.object());
    let batch = [of("a", &one), of("b", &two), of("c", &one)];
    let (metrics, answer) = counted(world.send(&batch)).await;
    assert_eq!(answer, again(&[]));
    for key in [&one, &two] {
        assert_eq!(world.status(key).await, AssetStatus::Received);
    }
    assert_eq!(metrics["asset_ledger_events_recorded"], 2);
}

#[tokio::test]
async fn what_will_never_succeed_is_done_with() {
    let world = world(usize::MAX, 0);
    let key = world.uploaded().await;
    let mut empty = with_body("e", "");
    empty["body"] = Value::Null;
    let batch = [
        with_body("a", "not JSON"),
        message("b", "another-bucket", &key.object()),
        message("c", "files", "somebody/else.pdf"),
        with_body("d", r#"{"source":"aws.ec2","detail-type":"x","detail":{}}"#),
        empty,
        message("f", "files", &key.object()),
    ];
    let (metrics, answer) = counted(world.send(&batch)).await;
    assert_eq!(answer, again(&[]));
    assert_eq!(world.status(&key).await, AssetStatus::Received, "a neighbour goes on");
    assert_eq!(metrics["asset_ledger_notifications_dropped"], 5);
}

#[tokio::test]
async fn exactly_those_come_again_that_a_store_could_not_answer_for() {
    let world = world(1, 2);
    let keys = [world.uploaded().await, world.uploaded().await, world.uploaded().await];
    let of = |id, key: &Key| message(id, "files", &key.object());
    let batch = [of("a", &keys[0]), of("b", &keys[1]), of("c", &keys[2])];
    assert_eq!(world.send(&batch).await, again(&["b", "c"]));
    assert_eq!(world.send(&batch[1..]).await, again(&[]));
    for key in &keys {
        assert_eq!(world.status(key).await, AssetStatus::Received);
    }
}

#[tokio::test]
async fn an_asset_that_the_journal_does_not_know_yet_comes_again() {
    let world = world(usize::MAX, 0);
    let mut unknown = world.uploaded().await;
    unknown.asset = "019aaf6b-5a00-7123-8456-0123456789ab".parse().unwrap();
    let sent = world.send(&[message("a", "files", &unknown.object())]).await;
    assert_eq!(sent, again(&["a"]));
}

#[tokio::test]
async fn a_failed_message_without_an_id_fails_the_invocation() {
    let world = world(0, 1);
    let key = world.uploaded().await;
    for id in [Value::Null, json!("")] {
        let mut unknown = message("a", "files", "main/019aaf6b-5a00-7123-8456-0123456789ab");
        unknown["messageId"] = id.clone();
        let told = world.send(&[unknown]).await.unwrap_err();
        assert_eq!(told, "message 0 of the batch has no id, and is to be handled again");
        let mut good = message("b", "files", &key.object());
        good["messageId"] = id;
        assert_eq!(world.send(&[good]).await, again(&[]), "one that succeeds needs none");
    }
}

#[tokio::test]
async fn an_overwrite_is_counted() {
    let world = world(usize::MAX, 0);
    let key = world.uploaded().await;
    let actor = "anonymous".to_owned();
    let caller = Caller {
        tenant: Tenant::default(),
        actor,
        source: EventSource::Api,
        request: "r".to_owned(),
        own_only: false,
    };
    world.service.confirm(&caller, key.asset, None).await.unwrap();
    world.objects.put(&key, b"other bytes");
    let batch = [message("a", "files", &key.object())];
    let (metrics, answer) = counted(world.send(&batch)).await;
    assert_eq!(answer, again(&[]));
    assert_eq!(metrics["asset_ledger_overwrite_attempts"], 1);
}
