//! The days on which keys were last used, in the read table: `pk` is `<tenant>#reserved`, which the
//! API may write, and `sk` is `used#<key>`. A reservation's `sk` has hex digits only.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use chrono::NaiveDate;
use ledger::StoreError;
use ledger::access::KeyId;
use ledger::error::StoreErrorKind;
use ledger::id::Tenant;
use ledger::key_uses::{KeyUses, LastUses};

use super::DynamoViews;
use super::item::{PK, SK};
use crate::dynamodb::{DynamoItem, ItemError, failed, text};

const DAY: &str = "day";
const USED: &str = "used#";

#[async_trait]
impl KeyUses for DynamoViews {
    /// Takes a write unit, also if that day or a later one is noted.
    async fn note(&self, tenant: &Tenant, key: KeyId, day: NaiveDate) -> Result<(), StoreError> {
        let day = AttributeValue::S(day.to_string());
        let put = self
            .client
            .put_item()
            .table_name(&self.table.name)
            .item(PK, partition(tenant))
            .item(SK, AttributeValue::S(format!("{USED}{key}")))
            .item(DAY, day.clone())
            .condition_expression(format!("attribute_not_exists({PK}) OR #day < :day"))
            .expression_attribute_names("#day", DAY)
            .expression_attribute_values(":day", day)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match put.send().await {
            Ok(answer) => {
                self.meter.count("PutItem", answer.consumed_capacity());
                Ok(())
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(failed("views: the use of a key was not noted", error)),
            },
        }
    }

    async fn last_uses(&self, tenant: &Tenant) -> Result<LastUses, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table.name)
            .consistent_read(true)
            .key_condition_expression(format!("{PK} = :pk AND begins_with({SK}, :used)"))
            .expression_attribute_values(":pk", partition(tenant))
            .expression_attribute_values(":used", AttributeValue::S(USED.to_owned()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let (mut pages, mut uses) = (query.into_paginator().send(), LastUses::new());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed("views: the uses of keys were not read", e))?;
            self.meter.count("Query", page.consumed_capacity());
            for item in page.items() {
                let (key, day) = read(item).map_err(broken)?;
                uses.insert(key, day);
            }
        }
        Ok(uses)
    }
}

fn partition(tenant: &Tenant) -> AttributeValue {
    AttributeValue::S(format!("{tenant}#reserved"))
}

fn read(item: &DynamoItem) -> Result<(KeyId, NaiveDate), ItemError> {
    let key = text(item, SK)?.strip_prefix(USED).and_then(|key| key.parse().ok());
    let key = key.ok_or(ItemError::Attribute(SK))?;
    let day = text(item, DAY)?.parse().map_err(|_| ItemError::Attribute(DAY))?;
    Ok((key, day))
}

fn broken(error: ItemError) -> StoreError {
    StoreError::caused(StoreErrorKind::Corrupt, "views: the use of a key is broken", error)
}
