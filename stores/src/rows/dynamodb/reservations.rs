//! Reservations for idempotency keys, in the read table: `pk` is `<tenant>#reserved`, `sk` the
//! digest of the key. DynamoDB removes expired ones.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
};
use chrono::{DateTime, Utc};
use ledger::StoreError;
use ledger::error::StoreErrorKind;
use ledger::id::Key;
use ledger::idempotency::RepeatableCommand;
use ledger::reservations::{RESERVATION_TTL, Reservation, Reservations};

use super::item::{EXPIRES_AT, PK, SK};
use super::{DynamoViews, untold};
use crate::dynamodb::{DynamoItem, ItemError, failed, text};

const ASSET: &str = "asset";
const FINGERPRINT: &str = "fingerprint";

#[async_trait]
impl Reservations for DynamoViews {
    /// Takes a write unit, also if the key has a reservation.
    async fn reserve(
        &self,
        wanted: &Reservation,
        at: DateTime<Utc>,
    ) -> Result<Reservation, StoreError> {
        let Reservation { key, command } = wanted;
        let seconds = |at: DateTime<Utc>| AttributeValue::N(at.timestamp().to_string());
        let put = self
            .client
            .put_item()
            .table_name(&self.table.name)
            .item(PK, AttributeValue::S(format!("{}#reserved", key.tenant)))
            .item(SK, AttributeValue::S(command.key.clone()))
            .item(ASSET, AttributeValue::S(key.asset.to_string()))
            .item(FINGERPRINT, AttributeValue::S(command.fingerprint.clone()))
            .item(EXPIRES_AT, seconds(at + RESERVATION_TTL))
            // An expired reservation may still exist for days.
            .condition_expression(format!("attribute_not_exists({PK}) OR {EXPIRES_AT} <= :now"))
            .expression_attribute_values(":now", seconds(at))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match put.send().await {
            Ok(answer) => {
                self.meter.count("PutItem", answer.consumed_capacity());
                Ok(wanted.clone())
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(held)) => {
                    held_by(wanted, held.item().ok_or_else(untold)?).map_err(broken)
                }
                _ => Err(failed("views: no id was reserved", error)),
            },
        }
    }
}

/// The reservation that holds the key of `wanted`.
fn held_by(wanted: &Reservation, item: &DynamoItem) -> Result<Reservation, ItemError> {
    let asset = text(item, ASSET)?.parse().map_err(|_| ItemError::Attribute(ASSET))?;
    let fingerprint = text(item, FINGERPRINT)?.to_owned();
    let (tenant, key) = (wanted.key.tenant.clone(), wanted.command.key.clone());
    let command = RepeatableCommand { key, fingerprint };
    Ok(Reservation { key: Key { tenant, asset }, command })
}

fn broken(error: ItemError) -> StoreError {
    StoreError::caused(StoreErrorKind::Corrupt, "views: a reservation is broken", error)
}
