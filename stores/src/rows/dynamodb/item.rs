//! Conversion of rows to items and back.

use std::error::Error;

use crate::dynamodb::{DynamoItem, ItemError, number, text};
use aws_sdk_dynamodb::types::AttributeValue;
use ledger::StoreError;
use ledger::asset::Asset;
use ledger::chain::Hash;
use ledger::error::{StoreErrorKind, chain};
use ledger::id::{AssetId, Key, Tenant};
use ledger::time;
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

use projections::row::{Row, Tags};
use projections::rows::StoredRow;
use projections::views::{ListedRow, Parked, no_asset};

/// `<tenant>#<generation>#<shard>`, `<tenant>#parked`, `<tenant>#reserved`, `notes`, or `totals`.
pub(super) const PK: &str = "pk";
/// The asset's id, or the name of a note, of totals, or of what the API notes.
pub(super) const SK: &str = "sk";
/// The row's only attribute that is not stored by its own type: JSON text.
const TAGS: &str = "tags";
/// The version that was reported of a parked asset.
pub(super) const VERSION: &str = "version";
/// The content of a note: JSON text.
pub(super) const BODY: &str = "body";
/// The TTL attribute of the table, in seconds since 1970.
pub(super) const EXPIRES_AT: &str = "expires_at";
/// Why it was parked.
const ERROR: &str = "error";
/// Present if its row contradicts its history.
pub(super) const CONTRADICTED: &str = "contradicted";
/// The hash of a row's last event.
pub(super) const HEAD: &str = "head";
/// When it was parked.
const AT: &str = "at";

/// A row as stored.
pub(super) fn stored(tenant: &Tenant, item: DynamoItem) -> Result<StoredRow, StoreError> {
    let id = text(&item, SK).map_err(|e| corrupt("a row", "read", e))?.to_owned();
    Ok(StoredRow { id, asset: of_tenant(tenant, item) })
}

/// An asset's attributes without its key.
pub(super) fn attributes(asset: &Asset) -> Result<DynamoItem, StoreError> {
    let name = || format!("the row of {}", asset.key.partition());
    let mut row = Row::from(asset);
    let tags = std::mem::take(&mut row.tags);
    let mut item: DynamoItem = to_item(row).map_err(|e| corrupt(&name(), "written", e))?;
    if !tags.0.is_empty() {
        let json = serde_json::to_string(&tags).map_err(|e| corrupt(&name(), "written", e))?;
        item.insert(TAGS.to_owned(), AttributeValue::S(json));
    }
    Ok(item)
}

/// The asset that was put under `key`.
pub(super) fn asset(key: &Key, mut item: DynamoItem) -> Result<Asset, StoreError> {
    let name = || format!("the row of {}", key.partition());
    let tags = tags(&mut item).map_err(|e| corrupt(&name(), "read", e))?;
    if item.remove(PK).is_none() || id(&item)? != key.asset {
        return Err(corrupt(&name(), "read", ItemError::Key));
    }
    item.remove(SK);
    let mut row: Row<'_> = from_item(item).map_err(|e| corrupt(&name(), "read", e))?;
    row.tags = tags;
    row.asset(key.clone())
}

/// The asset of a row in a list.
pub(super) fn listed(tenant: &Tenant, item: DynamoItem) -> Option<ListedRow> {
    match stored(tenant, item) {
        Ok(row) => ListedRow::found(row),
        Err(error) => no_asset(&chain(&error)),
    }
}

fn of_tenant(tenant: &Tenant, item: DynamoItem) -> Result<Asset, StoreError> {
    let key = Key { tenant: tenant.clone(), asset: id(&item)? };
    asset(&key, item)
}

/// The asset id of an item, or of its key alone.
pub(super) fn id(item: &DynamoItem) -> Result<AssetId, StoreError> {
    let id = text(item, SK).and_then(|id| id.parse().map_err(|_| ItemError::Attribute(SK)));
    id.map_err(|e| corrupt("a row", "read", e))
}

/// The attributes of a parked asset without its key.
pub(super) fn reasons(parked: &Parked) -> Vec<(&'static str, AttributeValue)> {
    let mut reasons = vec![
        (VERSION, AttributeValue::N(parked.version.to_string())),
        (ERROR, AttributeValue::S(parked.error.clone())),
        (AT, AttributeValue::S(time::format(parked.at))),
    ];
    if parked.contradicted {
        reasons.push((CONTRADICTED, AttributeValue::Bool(true)));
    }
    reasons
}

/// The version and the hash of a row's last event.
pub(super) fn claim(item: &DynamoItem) -> Result<(u64, Option<Hash>), StoreError> {
    let claim = || Ok((number(item, VERSION)?, text(item, HEAD)?.parse().ok()));
    claim().map_err(|e: ItemError| corrupt("the row that is there", "read", e))
}

/// The tenant of an item's partition.
pub(super) fn tenant(item: &DynamoItem) -> Option<Tenant> {
    text(item, PK).ok()?.split_once('#')?.0.parse().ok()
}

pub(super) fn parked(tenant: &Tenant, item: &DynamoItem) -> Result<Parked, StoreError> {
    let key = Key { tenant: tenant.clone(), asset: id(item)? };
    let name = format!("what was set aside of {}", key.partition());
    let read = || {
        let at = time::parse(text(item, AT)?).ok_or(ItemError::Attribute(AT))?;
        Ok((number(item, VERSION)?, text(item, ERROR)?.to_owned(), at))
    };
    let (version, error, at) = read().map_err(|e: ItemError| corrupt(&name, "read", e))?;
    let contradicted = item.contains_key(CONTRADICTED);
    Ok(Parked { key, version, error, at, contradicted })
}

fn tags(item: &mut DynamoItem) -> Result<Tags<'static>, Box<dyn Error + Send + Sync>> {
    match item.remove(TAGS) {
        None => Ok(Tags::default()),
        Some(AttributeValue::S(json)) => Ok(serde_json::from_str(&json)?),
        Some(_) => Err(ItemError::Attribute(TAGS).into()),
    }
}

fn corrupt(what: &str, not: &str, why: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::caused(StoreErrorKind::Corrupt, format!("views: {what} cannot be {not}"), why)
}
