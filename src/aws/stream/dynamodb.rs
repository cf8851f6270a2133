//! The stream of a DynamoDB table, and the scan of the table's keys.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::types::AttributeValue as Attribute;
use aws_sdk_dynamodbstreams::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodbstreams::types::{self, AttributeValue, ShardIteratorType, StreamRecord};
use aws_sdk_dynamodbstreams::{Client, primitives};
use chrono::DateTime;
use ledger::StoreError;
use ledger::error::StoreErrorKind;
use ledger::id::Key;
use projections::runner::ProjectionHint;
use serde_dynamo::Item;
use stores::dynamodb::failed;

use super::{
    InventoryCursor, ItemChange, JournalInventory, JournalStream, Listing, ShardPosition,
    ShardRecords, StreamError, StreamShard, Time,
};

/// Keys of one page of the scan. At 800 bytes an event it reads 100 units, half a second of a new
/// on-demand table's spare capacity.
const PAGE: i32 = 1_000;

/// A table with a stream.
#[derive(Debug)]
pub struct DynamoStream {
    table: String,
    tables: aws_sdk_dynamodb::Client,
    streams: Client,
    /// The stream's ARN at the last listing of the shards.
    arn: Mutex<String>,
}

impl DynamoStream {
    /// The stream of `table`. This makes no call.
    pub fn new(
        tables: aws_sdk_dynamodb::Client,
        streams: Client,
        table: impl Into<String>,
    ) -> Self {
        Self { table: table.into(), tables, streams, arn: Mutex::default() }
    }

    async fn latest(&self) -> Result<String, StoreError> {
        let described = self.tables.describe_table().table_name(&self.table).send().await;
        let table = described.map_err(|error| self.failed("DescribeTable", error))?.table;
        let on = |table: &aws_sdk_dynamodb::types::TableDescription| {
            let stream = table.stream_specification();
            stream.is_some_and(aws_sdk_dynamodb::types::StreamSpecification::stream_enabled)
        };
        let arn = table.filter(on).and_then(|table| table.latest_stream_arn);
        arn.ok_or_else(|| {
            let text = format!("table {} has no stream: run `asset-ledger migrate`", self.table);
            StoreError::new(StoreErrorKind::Misconfigured, text)
        })
    }

    fn failed<E>(&self, call: &str, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let doing = format!("DynamoDB {call} of table {}", self.table);
        if code(&error) == Some("LimitExceededException") {
            // Too many readers of this shard.
            return StoreError::caused(StoreErrorKind::Throttled, doing, error);
        }
        failed(doing, error)
    }

    fn trouble<E>(&self, call: &str, error: SdkError<E, HttpResponse>) -> StreamError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        match code(&error) {
            Some("ExpiredIteratorException") => StreamError::Expired,
            Some("TrimmedDataAccessException") => StreamError::Trimmed,
            Some("ResourceNotFoundException") => StreamError::Gone,
            _ => StreamError::Store(self.failed(call, error)),
        }
    }

    fn arn(&self) -> String {
        self.arn.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

#[async_trait]
impl JournalStream for DynamoStream {
    async fn shards(&self) -> Result<Listing, StoreError> {
        let arn = self.latest().await?;
        let (mut shards, mut after) = (Vec::new(), None);
        loop {
            let page = self.streams.describe_stream().stream_arn(&arn);
            let page = page.set_exclusive_start_shard_id(after).send().await;
            let page = page.map_err(|error| self.failed("DescribeStream", error))?;
            let Some(page) = page.stream_description else { break };
            after = page.last_evaluated_shard_id;
            shards.extend(page.shards.unwrap_or_default().into_iter().filter_map(shard));
            if after.is_none() {
                break;
            }
        }
        self.arn.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&arn);
        Ok(Listing { stream: arn, shards })
    }

    async fn iterator(&self, shard: &str, place: &ShardPosition) -> Result<String, StreamError> {
        let request = self.streams.get_shard_iterator().stream_arn(self.arn()).shard_id(shard);
        let request = match place {
            ShardPosition::Oldest => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            ShardPosition::After(sequence) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .sequence_number(sequence),
        };
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.trouble("GetShardIterator", error))?;
        answer.shard_iterator.ok_or(StreamError::Gone)
    }

    async fn records(&self, iterator: &str) -> Result<ShardRecords, StreamError> {
        let answer = self.streams.get_records().shard_iterator(iterator).send().await;
        let answer = answer.map_err(|error| self.trouble("GetRecords", error))?;
        let records = answer.records.unwrap_or_default().into_iter().map(record);
        Ok(ShardRecords { records: records.collect(), next: answer.next_shard_iterator })
    }
}

#[async_trait]
impl JournalInventory for DynamoStream {
    async fn page(
        &self,
        after: Option<&InventoryCursor>,
    ) -> Result<(Vec<ProjectionHint>, Option<InventoryCursor>), StoreError> {
        let page = self.tables.scan().table_name(&self.table).consistent_read(true).limit(PAGE);
        let page = page.projection_expression("pk, sk");
        let page = page.set_exclusive_start_key(after.map(key_of)).send().await;
        let page = page.map_err(|error| self.failed("Scan", error))?;
        let next = page.last_evaluated_key().and_then(cursor_of);
        let mut highest = HashMap::<String, u64>::new();
        for InventoryCursor { partition, version } in page.items().iter().filter_map(cursor_of) {
            let known = highest.entry(partition).or_default();
            *known = version.max(*known);
        }
        let hint = |(partition, version): (String, u64)| {
            let key = Key::from_partition(&partition)?;
            Some(ProjectionHint { key, version, lines: Vec::new() })
        };
        Ok((highest.into_iter().filter_map(hint).collect(), next))
    }
}

fn key_of(cursor: &InventoryCursor) -> HashMap<String, Attribute> {
    let partition = Attribute::S(cursor.partition.clone());
    let version = Attribute::N(cursor.version.to_string());
    HashMap::from([("pk".to_owned(), partition), ("sk".to_owned(), version)])
}

fn cursor_of(item: &HashMap<String, Attribute>) -> Option<InventoryCursor> {
    let partition = item.get("pk")?.as_s().ok()?.clone();
    let version = item.get("sk")?.as_n().ok()?.parse().ok()?;
    Some(InventoryCursor { partition, version })
}

fn shard(shard: types::Shard) -> Option<StreamShard> {
    Some(StreamShard { id: shard.shard_id?, parent: shard.parent_shard_id })
}

/// Every record is converted, whatever its item: the follower must see each change of the journal's
/// table.
fn record(record: types::Record) -> ItemChange {
    let StreamRecord {
        approximate_creation_date_time: at,
        keys,
        new_image: new,
        old_image: old,
        sequence_number: sequence,
        ..
    } = record.dynamodb.unwrap_or_else(|| StreamRecord::builder().build());
    let kind = record.event_name.map(|kind| kind.as_str().to_owned()).unwrap_or_default();
    let (keys, old, new) = (item(keys), item(old), item(new));
    ItemChange { sequence, at: at.and_then(time), kind, keys, old, new }
}

/// An image, without attributes of types that this program does not know.
fn item(image: Option<HashMap<String, AttributeValue>>) -> Item {
    let mut image = image.unwrap_or_default();
    image.retain(|_, value| !value.is_unknown());
    image.into()
}

fn time(at: primitives::DateTime) -> Option<Time> {
    DateTime::from_timestamp(at.secs(), at.subsec_nanos())
}
