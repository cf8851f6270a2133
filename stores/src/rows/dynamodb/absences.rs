//! Notes about missing pinned versions, in the read table: `pk` is `<tenant>#absent`, `sk` the
//! asset id. DynamoDB removes expired notes.

use crate::dynamodb::{DynamoItem, failed, number};
use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
};
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::absences::{Absence, Absences, NOTE_TTL};
use ledger::id::Key;

use super::DynamoViews;
use super::item::{EXPIRES_AT, PK, SK};

const VERSION_ID: &str = "version_id";
const ASSET_VERSION: &str = "asset_version";
/// Microseconds since 1970.
const FIRST: &str = "first";

const CONSUMED: ReturnConsumedCapacity = ReturnConsumedCapacity::Total;

#[async_trait]
impl Absences for DynamoViews {
    /// Takes a write unit, also if the note exists.
    async fn missed(
        &self,
        absence: &Absence,
        at: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, StoreError> {
        let version = AttributeValue::N(absence.asset_version.to_string());
        let put = self
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(place(&absence.key)))
            .item(VERSION_ID, AttributeValue::S(absence.version_id.clone()))
            .item(ASSET_VERSION, version.clone())
            .item(FIRST, AttributeValue::N(at.timestamp_micros().to_string()))
            .item(EXPIRES_AT, AttributeValue::N((at + NOTE_TTL).timestamp().to_string()))
            // An expired note may still exist for days.
            .condition_expression(format!(
                "attribute_not_exists({PK}) OR {VERSION_ID} <> :id OR {ASSET_VERSION} <> :version \
                 OR #first < :oldest"
            ))
            .expression_attribute_names("#first", FIRST)
            .expression_attribute_values(":id", AttributeValue::S(absence.version_id.clone()))
            .expression_attribute_values(":version", version)
            .expression_attribute_values(
                ":oldest",
                AttributeValue::N((at - NOTE_TTL).timestamp_micros().to_string()),
            )
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(CONSUMED);
        match put.send().await {
            Ok(answer) => {
                self.meter.count("PutItem", answer.consumed_capacity());
                Ok(at)
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(noted)) => {
                    let first = noted.item().and_then(|item| number(item, FIRST).ok());
                    Ok(first.and_then(DateTime::from_timestamp_micros).unwrap_or(at))
                }
                _ => Err(failed("views: what is missing was not noted", error)),
            },
        }
    }

    /// Takes a read unit, and a write unit if there was a note.
    async fn ended(&self, key: &Key) -> Result<(), StoreError> {
        let get = self
            .client
            .get_item()
            .table_name(&self.table.name)
            .set_key(Some(place(key)))
            .consistent_read(true)
            .return_consumed_capacity(CONSUMED);
        let noted = get.send().await.map_err(|e| failed("views: a note was not read", e))?;
        self.meter.count("GetItem", noted.consumed_capacity());
        if noted.item.is_none() {
            return Ok(());
        }
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table.name)
            .set_key(Some(place(key)))
            .return_consumed_capacity(CONSUMED);
        let gone = delete.send().await.map_err(|e| failed("views: a note was not removed", e))?;
        self.meter.count("DeleteItem", gone.consumed_capacity());
        Ok(())
    }
}

fn place(key: &Key) -> DynamoItem {
    let absent = AttributeValue::S(format!("{}#absent", key.tenant));
    let asset = AttributeValue::S(key.asset.to_string());
    [(PK.to_owned(), absent), (SK.to_owned(), asset)].into()
}
