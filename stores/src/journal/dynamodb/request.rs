//! The journal's requests to DynamoDB, and the names of its attributes.

use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
};

use crate::dynamodb::DynamoItem;
use ledger::id::PartitionKey;
use ledger::journal::scan::{ScanPosition, Segment};
use ledger::record::StoredLine;

/// `<tenant>#<asset>` or `<tenant>#<stream>`.
pub(super) const PK: &str = "pk";
/// The version, a number.
pub(super) const SK: &str = "sk";
/// The event's bytes.
pub(super) const BODY: &str = "body";

/// Every event of an asset or a named stream, oldest first.
pub(super) fn history(
    query: QueryFluentBuilder,
    table: &str,
    key: &PartitionKey,
) -> QueryFluentBuilder {
    of(query, table, key).scan_index_forward(true)
}

/// The events after a version, oldest first, `limit` to a page.
pub(super) fn after(
    query: QueryFluentBuilder,
    table: &str,
    key: &PartitionKey,
    version: u64,
    limit: usize,
) -> QueryFluentBuilder {
    history(query, table, key)
        .key_condition_expression(format!("{PK} = :pk AND {SK} > :sk"))
        .expression_attribute_values(":sk", AttributeValue::N(version.to_string()))
        .limit(i32::try_from(limit).unwrap_or(i32::MAX))
}

/// The last event of an asset or a named stream.
pub(super) fn last(
    query: QueryFluentBuilder,
    table: &str,
    key: &PartitionKey,
) -> QueryFluentBuilder {
    of(query, table, key).scan_index_forward(false).limit(1)
}

fn of(query: QueryFluentBuilder, table: &str, key: &PartitionKey) -> QueryFluentBuilder {
    query
        .table_name(table)
        .consistent_read(true)
        .key_condition_expression(format!("{PK} = :pk"))
        .expression_attribute_values(":pk", AttributeValue::S(key.partition()))
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
}

/// The key of an event.
pub(super) fn key(partition: String, version: u64) -> DynamoItem {
    let partition = (PK.to_owned(), AttributeValue::S(partition));
    DynamoItem::from([partition, (SK.to_owned(), AttributeValue::N(version.to_string()))])
}

/// Puts an event if its version is free; otherwise returns the stored one.
pub(super) fn append(
    put: PutItemFluentBuilder,
    table: &str,
    partition: &str,
    line: StoredLine,
) -> PutItemFluentBuilder {
    put.table_name(table)
        .item(PK, AttributeValue::S(partition.to_owned()))
        .item(SK, AttributeValue::N(line.version.to_string()))
        .item(BODY, AttributeValue::S(line.body))
        .condition_expression(format!("attribute_not_exists({PK})"))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
}

/// DynamoDB's maximum number of scan segments.
pub(super) const SEGMENTS: u32 = 1_000_000;

/// A page of all events of one segment.
pub(super) fn scan(
    scan: ScanFluentBuilder,
    table: &str,
    segment: &Segment,
    after: Option<&ScanPosition>,
) -> ScanFluentBuilder {
    let scan = scan
        .table_name(table)
        .consistent_read(true)
        .segment(segment.number.cast_signed())
        .total_segments(segment.of.cast_signed())
        .return_consumed_capacity(ReturnConsumedCapacity::Total);
    match after {
        None => scan,
        Some(ScanPosition { partition, version }) => scan
            .exclusive_start_key(PK, AttributeValue::S(partition.clone()))
            .exclusive_start_key(SK, AttributeValue::N(version.clone())),
    }
}
