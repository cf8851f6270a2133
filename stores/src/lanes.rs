//! Lanes in the read table on DynamoDB: `pk` is `<tenant>#feed#<lane>`, of a week
//! `<tenant>#feed#<lane>.<week>`, `sk` the entry's number in twenty digits, so that text order is
//! numeric order. An entry that expires has the table's attribute for that.

use crate::dynamodb::{CapacityMeter, DynamoItem, ItemError, failed, text};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
};
use chrono::DateTime;
use ledger::StoreError;
use ledger::error::StoreErrorKind;

use projections::feed::{FeedLane, FeedRetention, LaneEntry, LaneWrite, Lanes};

const PK: &str = "pk";
const SK: &str = "sk";
/// References to events, one line of JSON each.
const EVENTS: &str = "events";
/// The time to live, in seconds since 1970.
const EXPIRES_AT: &str = "expires_at";

/// Lanes in a read table.
#[derive(Debug)]
pub struct DynamoLanes {
    client: Client,
    table: String,
    meter: CapacityMeter,
    retention: Option<FeedRetention>,
}

impl DynamoLanes {
    /// The lanes in the read table `table`. The caller configures the client's timeouts and
    /// retries.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let table = table.into();
        Self { client, meter: CapacityMeter::new(table.clone()), table, retention: None }
    }

    /// Lanes whose entries expire.
    #[must_use]
    pub fn keeping(self, retention: Option<FeedRetention>) -> Self {
        Self { retention, ..self }
    }

    /// Some entries of a lane, with strong consistency.
    fn query(&self, lane: &FeedLane, limit: usize) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .expression_attribute_values(":lane", AttributeValue::S(lane.to_string()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
    }

    async fn answer(&self, query: QueryFluentBuilder) -> Result<Vec<DynamoItem>, StoreError> {
        let answer = query.send().await.map_err(|e| failed("views: no feed was read", e))?;
        self.meter.count("Query", answer.consumed_capacity());
        Ok(answer.items.unwrap_or_default())
    }
}

#[async_trait]
impl Lanes for DynamoLanes {
    fn retention(&self) -> Option<FeedRetention> {
        self.retention
    }

    async fn last(&self, lane: &FeedLane) -> Result<Option<LaneEntry>, StoreError> {
        let query = self.query(lane, 1).key_condition_expression(format!("{PK} = :lane"));
        let items = self.answer(query.scan_index_forward(false)).await?;
        items.first().map(|item| entry(lane, item)).transpose()
    }

    async fn put(&self, lane: &FeedLane, place: &LaneEntry) -> Result<LaneWrite, StoreError> {
        let put = self.client.put_item().table_name(&self.table);
        let put = match place.expires_at {
            Some(at) => put.item(EXPIRES_AT, AttributeValue::N(at.timestamp().to_string())),
            None => put,
        };
        let put = put
            .item(PK, AttributeValue::S(lane.to_string()))
            .item(SK, AttributeValue::S(sort(place.number)))
            .item(EVENTS, AttributeValue::S(place.text.clone()))
            .condition_expression(format!("attribute_not_exists({PK})"))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match put.send().await {
            Ok(answer) => {
                self.meter.count("PutItem", answer.consumed_capacity());
                Ok(LaneWrite::Written)
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(taken)) => {
                    let held = taken.item().and_then(|item| text(item, EVENTS).ok());
                    Ok(LaneWrite::Taken(held.unwrap_or_default().to_owned()))
                }
                _ => Err(failed("views: the feed was not written", error)),
            },
        }
    }

    async fn places(
        &self,
        lane: &FeedLane,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LaneEntry>, StoreError> {
        let query = self
            .query(lane, limit)
            .key_condition_expression(format!("{PK} = :lane AND {SK} >= :from"))
            .expression_attribute_values(":from", AttributeValue::S(sort(from)));
        let items = self.answer(query).await?;
        items.iter().map(|item| entry(lane, item)).collect()
    }
}

fn entry(lane: &FeedLane, item: &DynamoItem) -> Result<LaneEntry, StoreError> {
    let number = number(item).map_err(|unfit| strange(lane, unfit))?;
    // An unreadable entry has no references, and readers skip it.
    let text = text(item, EVENTS).unwrap_or_default().to_owned();
    let seconds = item.get(EXPIRES_AT).and_then(|it| it.as_n().ok()?.parse().ok());
    let expires_at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    Ok(LaneEntry { number, text, expires_at })
}

fn sort(number: u64) -> String {
    format!("{number:020}")
}

fn number(item: &DynamoItem) -> Result<u64, ItemError> {
    let number = text(item, SK)?.parse().ok();
    number.filter(|number| text(item, SK) == Ok(&sort(*number))).ok_or(ItemError::Key)
}

fn strange(lane: &FeedLane, unfit: ItemError) -> StoreError {
    StoreError::caused(
        StoreErrorKind::Corrupt,
        format!("views: an item of {lane} is no place"),
        unfit,
    )
}
