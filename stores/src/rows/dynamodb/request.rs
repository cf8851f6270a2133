//! The read table's requests to DynamoDB.

use crate::dynamodb::DynamoItem;
use aws_sdk_dynamodb::operation::delete_item::builders::DeleteItemFluentBuilder;
use aws_sdk_dynamodb::operation::get_item::builders::GetItemFluentBuilder;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementRequest, ReturnConsumedCapacity,
    ReturnValuesOnConditionCheckFailure,
};
use ledger::StoreError;
use ledger::asset::{Asset, AssetStatus};
use ledger::chain::Hash;
use ledger::error::StoreErrorKind;
use ledger::id::{AssetId, Key, Tenant};

use super::item::{BODY, CONTRADICTED, HEAD, PK, SK, VERSION, attributes, reasons};
use super::merge::share;
use projections::generations::Generation;
use projections::row;
use projections::views::{ListQuery, Parked};

/// The suffix of the partition of a tenant's parked assets.
const ASIDE: &str = "#parked";
/// The partition of notes about the table. It has no `#`, unlike every tenant's partitions.
const NOTES: &str = "notes";
/// The partition of totals, apart from the notes: a role may write the one and not the other.
const TOTALS: &str = "totals";

/// The stored note that a replacement expects.
pub(super) enum NoteRevision {
    /// No note.
    Nothing,
    /// A note that equals the default.
    Default(String),
    /// A note.
    Note(String),
}

/// Rows of one page: some 350 KB, of DynamoDB's maximum of 1 MB.
const PAGE: i32 = 500;

const CONSUMED: ReturnConsumedCapacity = ReturnConsumedCapacity::Total;

/// The table, its number of shards, and the generation of its rows.
#[derive(Debug, Clone)]
pub(super) struct RowTable {
    pub(super) name: String,
    pub(super) shards: u8,
    pub(super) generation: Generation,
}

impl RowTable {
    /// The row of an asset.
    pub(super) fn get(&self, get: GetItemFluentBuilder, key: &Key) -> GetItemFluentBuilder {
        get.table_name(&self.name)
            .key(PK, self.partition(key))
            .key(SK, sort(key.asset))
            .return_consumed_capacity(CONSUMED)
    }

    /// Puts an asset's row if it is newer than the stored one.
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

    /// Inserts an asset's row if none is stored.
    pub(super) fn insert(&self, asset: &Asset) -> Result<BatchStatementRequest, StoreError> {
        let mut item = attributes(asset)?;
        item.insert(PK.to_owned(), self.partition(&asset.key));
        item.insert(SK.to_owned(), sort(asset.key.asset));
        // In one order, so that rows with the same attributes have the same statement.
        let mut item: Vec<_> = item.into_iter().collect();
        item.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let (names, values): (Vec<_>, _) =
            item.into_iter().map(|(name, value)| (format!("'{name}': ?"), value)).unzip();
        let statement = format!("INSERT INTO \"{}\" VALUE {{{}}}", self.name, names.join(", "));
        let request = BatchStatementRequest::builder().statement(statement);
        request.set_parameters(Some(values)).build().map_err(|error| {
            let context = "views: an insertion cannot be built";
            StoreError::caused(StoreErrorKind::Misconfigured, context, error)
        })
    }

    /// Puts an asset's row if none is stored, or an older one of one of these events.
    pub(super) fn put_after(
        &self,
        put: PutItemFluentBuilder,
        asset: &Asset,
        events: &[Hash],
    ) -> Result<PutItemFluentBuilder, StoreError> {
        let none = format!("attribute_not_exists({PK})");
        let put = self
            .put(put, asset)?
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if events.is_empty() {
            // DynamoDB refuses names and values that no condition uses.
            return Ok(put
                .condition_expression(none)
                .set_expression_attribute_names(None)
                .set_expression_attribute_values(None));
        }
        let marks: Vec<_> = (0..events.len()).map(|nth| format!(":h{nth}")).collect();
        let put = put.expression_attribute_names("#head", HEAD).condition_expression(format!(
            "{none} OR (#version < :version AND #head IN ({}))",
            marks.join(", ")
        ));
        let value = |hash: &Hash| AttributeValue::S(hash.to_string());
        let each = marks.iter().zip(events);
        Ok(each.fold(put, |put, (mark, hash)| put.expression_attribute_values(mark, value(hash))))
    }

    /// Parks an asset, unless it is parked at a later version. Only another contradiction replaces
    /// a contradiction.
    pub(super) fn park(&self, put: PutItemFluentBuilder, parked: &Parked) -> PutItemFluentBuilder {
        let put = put.item(PK, aside(&parked.key.tenant)).item(SK, sort(parked.key.asset));
        let put = reasons(parked).into_iter().fold(put, |put, (name, value)| put.item(name, value));
        let put = self.unless(put, "<=", parked.version);
        let (none, plain) = (
            format!("attribute_not_exists({PK})"),
            format!("attribute_not_exists({CONTRADICTED})"),
        );
        put.condition_expression(if parked.contradicted {
            format!("{none} OR {plain} OR #version <= :version")
        } else {
            format!("{none} OR ({plain} AND #version <= :version)")
        })
    }

    /// Writes if nothing is stored, or an item of a version that is `older` than this one.
    fn unless(&self, put: PutItemFluentBuilder, older: &str, than: u64) -> PutItemFluentBuilder {
        put.table_name(&self.name)
            .condition_expression(format!(
                "attribute_not_exists({PK}) OR #version {older} :version"
            ))
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", AttributeValue::N(than.to_string()))
            .return_consumed_capacity(CONSUMED)
    }

    /// Some rows of one shard, newest first: the shard's share of a page.
    pub(super) fn part(
        &self,
        query: QueryFluentBuilder,
        asked: &ListQuery,
        shard: u8,
        after: Option<AssetId>,
    ) -> QueryFluentBuilder {
        let query = query
            .table_name(&self.name)
            .scan_index_forward(false)
            .limit(share(asked.limit, self.shards))
            .expression_attribute_values(":pk", self.shard(&asked.tenant, shard))
            .return_consumed_capacity(CONSUMED);
        let query = match after {
            None => query.key_condition_expression(format!("{PK} = :pk")),
            Some(after) => query
                .key_condition_expression(format!("{PK} = :pk AND {SK} < :after"))
                .expression_attribute_values(":after", sort(after)),
        };
        of_owner(shown(query, asked.state), asked.owner.as_deref())
    }

    /// All parked assets of a tenant.
    pub(super) fn parked(&self, query: QueryFluentBuilder, of: &Tenant) -> QueryFluentBuilder {
        query
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression(format!("{PK} = :pk"))
            .expression_attribute_values(":pk", aside(of))
            .return_consumed_capacity(CONSUMED)
    }

    /// Unparks an asset, unless it was parked again at a later version.
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
            .condition_expression(if parked.contradicted {
                "#version <= :version".to_owned()
            } else {
                format!("#version <= :version AND attribute_not_exists({CONTRADICTED})")
            })
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", version)
            .return_consumed_capacity(CONSUMED)
    }

    /// A page of one shard, by increasing key.
    pub(super) fn page(
        &self,
        query: QueryFluentBuilder,
        tenant: &Tenant,
        shard: u8,
        after: Option<&str>,
    ) -> QueryFluentBuilder {
        let query = query
            .table_name(&self.name)
            .consistent_read(true)
            .limit(PAGE)
            .expression_attribute_values(":pk", self.shard(tenant, shard))
            .return_consumed_capacity(CONSUMED);
        match after {
            None => query.key_condition_expression(format!("{PK} = :pk")),
            Some(after) => query
                .key_condition_expression(format!("{PK} = :pk AND {SK} > :after"))
                .expression_attribute_values(":after", AttributeValue::S(after.to_owned())),
        }
    }

    /// The keys of all tenants' rows of this generation, from a scan of the whole table.
    pub(super) fn keys(&self, scan: ScanFluentBuilder) -> ScanFluentBuilder {
        let between = AttributeValue::S(format!("#{}#", self.generation));
        scan.table_name(&self.name)
            .projection_expression(format!("{PK}, {SK}"))
            .filter_expression(format!("contains({PK}, :generation)"))
            .expression_attribute_values(":generation", between)
            .return_consumed_capacity(CONSUMED)
    }

    /// The partitions of this generation's rows, and of parked assets.
    pub(super) fn partitions(&self, scan: ScanFluentBuilder) -> ScanFluentBuilder {
        let between = AttributeValue::S(format!("#{}#", self.generation));
        scan.table_name(&self.name)
            .projection_expression(PK)
            .filter_expression(format!("contains({PK}, :generation) OR contains({PK}, :aside)"))
            .expression_attribute_values(":generation", between)
            .expression_attribute_values(":aside", AttributeValue::S(ASIDE.to_owned()))
            .return_consumed_capacity(CONSUMED)
    }

    /// Deletes a row of a generation.
    pub(super) fn remove(
        &self,
        delete: DeleteItemFluentBuilder,
        key: DynamoItem,
    ) -> DeleteItemFluentBuilder {
        delete.table_name(&self.name).set_key(Some(key)).return_consumed_capacity(CONSUMED)
    }

    /// A note about the table.
    pub(super) fn note(&self, get: GetItemFluentBuilder, name: &str) -> GetItemFluentBuilder {
        get.table_name(&self.name)
            .set_key(Some(named(NOTES, name)))
            .consistent_read(true)
            .return_consumed_capacity(CONSUMED)
    }

    /// The key of totals.
    pub(super) fn totals_key(name: &str) -> DynamoItem {
        named(TOTALS, name)
    }

    /// The totals whose names begin so.
    pub(super) fn totals(&self, query: QueryFluentBuilder, prefix: String) -> QueryFluentBuilder {
        query
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression(format!("{PK} = :pk AND begins_with({SK}, :prefix)"))
            .expression_attribute_values(":pk", AttributeValue::S(TOTALS.to_owned()))
            .expression_attribute_values(":prefix", AttributeValue::S(prefix))
            .return_consumed_capacity(CONSUMED)
    }

    /// Puts totals, unless some of this revision or a later one are stored.
    pub(super) fn put_totals(
        &self,
        put: PutItemFluentBuilder,
        name: &str,
        body: String,
        revision: u64,
    ) -> PutItemFluentBuilder {
        let revision = AttributeValue::N(revision.to_string());
        put.table_name(&self.name)
            .set_item(Some(Self::totals_key(name)))
            .item(BODY, AttributeValue::S(body))
            .item(VERSION, revision.clone())
            .condition_expression("attribute_not_exists(#version) OR #version < :version")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", revision)
            .return_consumed_capacity(CONSUMED)
    }

    /// Replaces the note that was read.
    pub(super) fn write(
        &self,
        put: PutItemFluentBuilder,
        name: &str,
        body: String,
        seen: NoteRevision,
    ) -> PutItemFluentBuilder {
        let put = put
            .table_name(&self.name)
            .set_item(Some(named(NOTES, name)))
            .item(BODY, AttributeValue::S(body))
            .return_consumed_capacity(CONSUMED);
        let absent = format!("attribute_not_exists({PK})");
        let (condition, seen) = match seen {
            NoteRevision::Nothing => return put.condition_expression(absent),
            NoteRevision::Default(seen) => (format!("{absent} OR {BODY} = :seen"), seen),
            NoteRevision::Note(seen) => (format!("{BODY} = :seen"), seen),
        };
        put.condition_expression(condition)
            .expression_attribute_values(":seen", AttributeValue::S(seen))
    }

    /// The key of a row in any shard.
    pub(super) fn key(&self, tenant: &Tenant, shard: u8, id: &str) -> DynamoItem {
        let id = AttributeValue::S(id.to_owned());
        [(PK.to_owned(), self.shard(tenant, shard)), (SK.to_owned(), id)].into()
    }

    /// The shard of an asset's row.
    pub(super) fn part_of(&self, key: &Key) -> u8 {
        key.asset.last_byte() % self.shards
    }

    fn partition(&self, key: &Key) -> AttributeValue {
        self.shard(&key.tenant, self.part_of(key))
    }

    fn shard(&self, tenant: &Tenant, shard: u8) -> AttributeValue {
        AttributeValue::S(format!("{tenant}#{}#{shard}", self.generation))
    }
}

/// Only rows that are shown in this state. A row without a state, or with a state that this program
/// does not know, may be in any.
fn shown(query: QueryFluentBuilder, state: Option<AssetStatus>) -> QueryFluentBuilder {
    let value = |status| AttributeValue::S(row::state(status).to_owned());
    let query = query.expression_attribute_names("#state", "state");
    let Some(state) = state else {
        return query
            .filter_expression("#state <> :PURGED")
            .expression_attribute_values(":PURGED", value(AssetStatus::Purged));
    };
    let all = row::STATES.map(|status| format!(":{}", row::state(status)));
    let asked = match state {
        AssetStatus::Deleted | AssetStatus::Purging => ":DELETED, :PURGING".to_owned(),
        state => format!(":{}", row::state(state)),
    };
    let unknown = format!("attribute_not_exists(#state) OR NOT (#state IN ({}))", all.join(", "));
    let query = query.filter_expression(format!("#state IN ({asked}) OR {unknown}"));
    row::STATES.iter().zip(all).fold(query, |query, (status, mark)| {
        query.expression_attribute_values(mark, value(*status))
    })
}

/// Of these, only rows of this owner. A row without an owner may be anyone's.
fn of_owner(query: QueryFluentBuilder, owner: Option<&str>) -> QueryFluentBuilder {
    let Some(owner) = owner else { return query };
    let shown = query.get_filter_expression().clone().unwrap_or_default();
    query
        .filter_expression(format!(
            "({shown}) AND (#owner = :owner OR attribute_not_exists(#owner))"
        ))
        .expression_attribute_names("#owner", "owner")
        .expression_attribute_values(":owner", AttributeValue::S(owner.to_owned()))
}

/// The key of an item that belongs to no tenant's partition.
fn named(partition: &str, name: &str) -> DynamoItem {
    let key = [(PK, partition), (SK, name)];
    key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned()))).into()
}

fn sort(asset: AssetId) -> AttributeValue {
    AttributeValue::S(asset.to_string())
}

fn aside(tenant: &Tenant) -> AttributeValue {
    AttributeValue::S(format!("{tenant}{ASIDE}"))
}
