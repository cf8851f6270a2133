//! The read table in DynamoDB: whole rows, written on the condition that they are newer.
//!
//! `pk` is `<tenant>#<generation>#<shard>`, `sk` the asset id, whose order is the order of
//! creation; a shard is the id's last byte modulo the number of shards, which is fixed for a table.
//! Parked assets are under `<tenant>#parked`, reservations and the last uses of keys under
//! `<tenant>#reserved`, notes about the table under `notes`, and totals under `totals`. A put takes
//! one write unit and unparks nothing: listing the parked assets checks which of them a row has
//! reached since.

mod absences;
mod generations;
mod inserts;
mod item;
mod key_uses;
mod merge;
mod request;
mod reservations;

use std::sync::Arc;

use crate::dynamodb::{CapacityMeter, failed};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use futures::future::try_join_all;
use ledger::StoreError;
use ledger::asset::{Asset, AssetStatus};
use ledger::error::StoreErrorKind;
use ledger::history::History;
use ledger::id::{AssetId, Key, Tenant};

use merge::{PageMerge, ShardPart};
use projections::feed::FeedRetention;
use projections::generations::Generation;
use projections::views::{AssetPage, ListQuery, Parked, PutOutcome, Views};
use request::RowTable;

/// Rounds of queries that one page may take. One is usually enough, except by chance and for
/// filters that reject many rows: then the page stays short, and its cursor continues.
const ROUNDS: usize = 4;

/// Events that one condition names: DynamoDB accepts a hundred in one list.
const EVENTS: usize = 100;
/// Puts of one row that may find an older row of an event that the condition did not name. The
/// second put replaces the late row of a long history.
const PUTS: usize = 5;

/// A read table in DynamoDB. As [`Views`] it is one generation, by default the first.
#[derive(Debug, Clone)]
pub struct DynamoViews {
    client: Client,
    table: RowTable,
    meter: Arc<CapacityMeter>,
    feed: Option<FeedRetention>,
}

impl DynamoViews {
    /// The read table `table` with this number of shards, at least one. The caller configures the
    /// client's timeouts and retries.
    pub fn new(client: Client, table: impl Into<String>, shards: u8) -> Self {
        let (name, generation) = (table.into(), Generation::FIRST);
        let meter = Arc::new(CapacityMeter::new(name.clone()));
        Self {
            client,
            table: RowTable { name, shards: shards.max(1), generation },
            meter,
            feed: None,
        }
    }

    /// A table that keeps the events of the feed for so long.
    #[must_use]
    pub fn keeping_feed(self, retention: Option<FeedRetention>) -> Self {
        Self { feed: retention, ..self }
    }

    async fn row(&self, key: &Key, consistent: bool) -> Result<Option<Asset>, StoreError> {
        let get = self.table.get(self.client.get_item(), key).consistent_read(consistent);
        let answer = get.send().await.map_err(|e| failed("views: the row was not read", e))?;
        self.meter.count("GetItem", answer.consumed_capacity());
        answer.item.map(|item| item::asset(key, item)).transpose()
    }

    /// The newest rows of one shard that are older than `after`.
    async fn part(
        &self,
        query: &ListQuery,
        shard: u8,
        after: Option<AssetId>,
    ) -> Result<ShardPart, StoreError> {
        let (mut rows, mut from) = (Vec::new(), None);
        for _ in 0..ROUNDS {
            let request = self.table.part(self.client.query(), query, shard, after);
            let answer = request.set_exclusive_start_key(from).send().await;
            let answer = answer.map_err(|e| failed("views: no list was read", e))?;
            self.meter.count("Query", answer.consumed_capacity());
            let items = answer.items.unwrap_or_default().into_iter();
            rows.extend(items.filter_map(|item| item::listed(&query.tenant, item)));
            let Some(last) = answer.last_evaluated_key else {
                return Ok(ShardPart { rows, end: None });
            };
            if let Ok(end) = item::id(&last) {
                return Ok(ShardPart { rows, end: Some(end) });
            }
            // No cursor can name a row that belongs to no asset, so it is skipped.
            from = Some(last);
        }
        Err(StoreError::new(
            StoreErrorKind::Corrupt,
            "views: a shard holds too many rows of no asset",
        ))
    }

    async fn all_parked(&self, tenant: &Tenant) -> Result<Vec<Parked>, StoreError> {
        let mut pages = self.table.parked(self.client.query(), tenant).into_paginator().send();
        let mut parked = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed("views: what was set aside was not read", e))?;
            self.meter.count("Query", page.consumed_capacity());
            for item in page.items() {
                parked.push(item::parked(tenant, item)?);
            }
        }
        parked.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        Ok(parked)
    }

    /// Whether the row is at or beyond the version at which the asset was parked. An unreadable row
    /// is at no version.
    async fn reached(&self, parked: &Parked) -> Result<bool, StoreError> {
        match self.row(&parked.key, true).await {
            Ok(row) => Ok(row.is_some_and(|row| row.version >= parked.version)),
            Err(error) if error.kind == StoreErrorKind::Corrupt => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Views for DynamoViews {
    async fn get(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        self.row(key, true).await
    }

    /// Half a read unit instead of one.
    async fn get_eventually(&self, key: &Key) -> Result<Option<Asset>, StoreError> {
        self.row(key, false).await
    }

    async fn put(&self, asset: &Asset) -> Result<PutOutcome, StoreError> {
        let put = self.table.put(self.client.put_item(), asset)?.send().await;
        match put {
            Ok(answer) => {
                self.meter.count("PutItem", answer.consumed_capacity());
                Ok(PutOutcome::Written)
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(PutOutcome::Stale),
                _ => Err(failed("views: the row was not written", error)),
            },
        }
    }

    async fn put_all(&self, assets: &[Asset]) -> Vec<Result<PutOutcome, StoreError>> {
        self.put_rows(assets).await
    }

    /// The condition names the events that the stored row may be of, so no read is needed. Only if
    /// the stored row is of an earlier event is the put repeated, with that event.
    async fn put_checked(&self, history: &History) -> Result<PutOutcome, StoreError> {
        let asset = history.asset();
        let before = &history.entries()[..history.entries().len().saturating_sub(1)];
        let last = &before[before.len().saturating_sub(EVENTS)..];
        let mut events: Vec<_> = last.iter().map(|entry| entry.hash).collect();
        for _ in 0..PUTS {
            let put = self.table.put_after(self.client.put_item(), asset, &events)?.send().await;
            let error = match put {
                Ok(answer) => {
                    self.meter.count("PutItem", answer.consumed_capacity());
                    return Ok(PutOutcome::Written);
                }
                Err(error) => error,
            };
            let Some(PutItemError::ConditionalCheckFailedException(there)) =
                error.as_service_error()
            else {
                return Err(failed("views: the row was not written", error));
            };
            let (version, head) = item::claim(there.item().ok_or_else(untold)?)?;
            match head.filter(|head| history.has(version, *head)) {
                None => return Ok(PutOutcome::Contradicted(version)),
                Some(_) if version >= asset.version => return Ok(PutOutcome::Stale),
                Some(head) => events = vec![head],
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "views: the row moves on all the time"))
    }

    async fn list(&self, query: &ListQuery) -> Result<AssetPage, StoreError> {
        if query.state == Some(AssetStatus::Purged) {
            return Ok(AssetPage::default());
        }
        let mut merge = PageMerge::new(self.table.shards, query);
        for _ in 0..ROUNDS {
            let wanted = merge.wanted();
            if wanted.is_empty() {
                break;
            }
            let parts = wanted.iter().map(|(shard, after)| self.part(query, *shard, *after));
            let parts = try_join_all(parts).await?;
            for ((shard, _), part) in wanted.into_iter().zip(parts) {
                merge.add(shard, part);
            }
        }
        Ok(merge.page())
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        if !parked.contradicted && self.reached(parked).await? {
            return Ok(());
        }
        let park = self.table.park(self.client.put_item(), parked).send().await;
        match park {
            Ok(answer) => {
                self.meter.count("PutItem", answer.consumed_capacity());
                Ok(())
            }
            Err(error) => match error.as_service_error() {
                // Parked already, at a later version.
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(failed("views: the asset was not set aside", error)),
            },
        }
    }

    async fn parked(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let mut waiting = Vec::new();
        for parked in self.all_parked(tenant).await? {
            if waiting.len() == limit {
                break;
            }
            if !parked.contradicted && self.reached(&parked).await? {
                self.let_go(&parked).await?;
            } else {
                waiting.push(parked);
            }
        }
        Ok(waiting)
    }

    /// Reads no row: a contradiction stays for any row.
    async fn contradicted(&self, tenant: &Tenant, limit: usize) -> Result<Vec<Parked>, StoreError> {
        let mut parked = self.all_parked(tenant).await?;
        parked.retain(|parked| parked.contradicted);
        parked.truncate(limit);
        Ok(parked)
    }

    async fn let_go(&self, parked: &Parked) -> Result<(), StoreError> {
        let gone = self.table.void(self.client.delete_item(), parked).send().await;
        match gone {
            Ok(answer) => {
                self.meter.count("DeleteItem", answer.consumed_capacity());
                Ok(())
            }
            Err(error) => match error.as_service_error() {
                // Parked again, at a later version.
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(failed("views: what was set aside was not let go", error)),
            },
        }
    }
}

/// An endpoint from before 2023, or an imitation.
fn untold() -> StoreError {
    let context = "views: the endpoint does not tell which row is in the way";
    StoreError::new(StoreErrorKind::Misconfigured, context)
}

#[cfg(test)]
mod tests;
