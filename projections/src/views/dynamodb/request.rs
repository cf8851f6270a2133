//! What the read table asks of DynamoDB.

use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::operation::get_item::builders::GetItemFluentBuilder;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use ledger::StoreError;
use ledger::asset::{Asset, Status};
use ledger::id::{AssetId, Key, Tenant};

use super::super::{Parked, Query};
use super::item::{PK, SK, VERSION, attributes, reasons};
use super::merge::share;
use crate::row;

const CONSUMED: ReturnConsumedCapacity = ReturnConsumedCapacity::Total;

/// Which table, and in how many shards.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) shards: u8,
}

impl Table {
    /// The row of an asset.
    pub(super) fn get(&self, get: GetItemFluentBuilder, key: &Key) -> GetItemFluentBuilder {
        get.table_name(&self.name)
            .key(PK, self.partition(key))
            .key(SK, sort(key.asset))
            .return_consumed_capacity(CONSUMED)
    }

    /// An asset's row, if it is newer than the one that is there.
    pub(super) fn put(
        &self,
        put: PutItemFluentBuilder,
        asset: &Asset,
    ) -> Result<PutItemFluentBuilder, StoreError> {
        let put = put
            .set_item(Some(attributes(asset)?))
            .item(PK, self.partition(&asset.key))
            .item(SK, sort(asset.key.asset));
        Ok(self.unless(put, "<", asset.version))
    }

    /// An asset that is set aside, unless it was at a later version.
    pub(super) fn park(&self, put: PutItemFluentBuilder, parked: &Parked) -> PutItemFluentBuilder {
        let put = put.item(PK, aside(&parked.key.tenant)).item(SK, sort(parked.key.asset));
        let put = reasons(parked).into_iter().fold(put, |put, (name, value)| put.item(name, value));
        self.unless(put, "<=", parked.version)
    }

    /// Writes where nothing is, or something of a version that is `older` than this one.
    fn unless(&self, put: PutItemFluentBuilder, older: &str, than: u64) -> PutItemFluentBuilder {
        put.table_name(&self.name)
            .condition_expression(format!(
                "attribute_not_exists({PK}) OR #version {older} :version"
            ))
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", AttributeValue::N(than.to_string()))
            .return_consumed_capacity(CONSUMED)
    }

    /// Some rows of one shard, newest first: its share of a page.
    pub(super) fn part(
        &self,
        query: QueryFluentBuilder,
        asked: &Query,
        shard: u8,
        after: Option<AssetId>,
    ) -> QueryFluentBuilder {
        let pk = AttributeValue::S(format!("{}#{shard}", asked.tenant));
        let query = query
            .table_name(&self.name)
            .scan_index_forward(false)
            .limit(share(asked.limit, self.shards))
            .expression_attribute_values(":pk", pk)
            .return_consumed_capacity(CONSUMED);
        let query = match after {
            None => query.key_condition_expression(format!("{PK} = :pk")),
            Some(after) => query
                .key_condition_expression(format!("{PK} = :pk AND {SK} < :after"))
                .expression_attribute_values(":after", sort(after)),
        };
        shown(query, asked.state)
    }

    /// Everything of a tenant that is set aside.
    pub(super) fn parked(&self, query: QueryFluentBuilder, of: &Tenant) -> QueryFluentBuilder {
        query
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression(format!("{PK} = :pk"))
            .expression_attribute_values(":pk", aside(of))
            .return_consumed_capacity(CONSUMED)
    }

    /// Lets go of an asset that was set aside, unless it was again, at a later version.
    pub(super) fn void(
        &self,
        delete: DeleteItemFluentBuilder,
        parked: &Parked,
    ) -> DeleteItemFluentBuilder {
        let version = AttributeValue::N(parked.version.to_string());
        delete
            .table_name(&self.name)
            .key(PK, aside(&parked.key.tenant))
            .key(SK, sort(parked.key.asset))
            .condition_expression("#version <= :version")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", version)
            .return_consumed_capacity(CONSUMED)
    }

    fn partition(&self, key: &Key) -> AttributeValue {
        AttributeValue::S(format!("{}#{}", key.tenant, key.asset.last_byte() % self.shards))
    }
}

/// Only what is shown in this state; purged assets never are.
fn shown(query: QueryFluentBuilder, state: Option<Status>) -> QueryFluentBuilder {
    let value = |status| AttributeValue::S(row::state(status).to_owned());
    let query = query.expression_attribute_names("#state", "state");
    match state {
        None => query
            .filter_expression("#state <> :hidden")
            .expression_attribute_values(":hidden", value(Status::Purged)),
        Some(Status::Deleted | Status::Purging) => query
            .filter_expression("#state IN (:deleted, :purging)")
            .expression_attribute_values(":deleted", value(Status::Deleted))
            .expression_attribute_values(":purging", value(Status::Purging)),
        Some(state) => query
            .filter_expression("#state = :state")
            .expression_attribute_values(":state", value(state)),
    }
}

fn sort(asset: AssetId) -> AttributeValue {
    AttributeValue::S(asset.to_string())
}

fn aside(tenant: &Tenant) -> AttributeValue {
    AttributeValue::S(format!("{tenant}#parked"))
}
