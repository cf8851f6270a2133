//! Generations of rows in the one table, and all rows of each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::dynamodb::{DynamoItem, failed, text};
use async_trait::async_trait;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use futures::stream::{StreamExt, TryStreamExt, iter};
use ledger::StoreError;
use ledger::error::StoreErrorKind;
use ledger::id::{Key, Tenant};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DynamoViews;
use super::item::{self, BODY, SK};
use super::request::{NoteRevision, RowTable};
use crate::DynamoLanes;
use projections::feed::Lanes;
use projections::generations::{
    Generation, GenerationList, Generations, LIST_LEASE, ReplayProgress,
};
use projections::rows::{RowPage, Rows};
use projections::totals::{StoredTotals, Totals};
use projections::views::PutOutcome;

/// The note with the list of generations.
const LIST: &str = "generations";
/// The note with the progress of a replay.
const PROGRESS: &str = "replay";
/// Rows that are removed concurrently.
const AT_ONCE: usize = 16;

#[async_trait]
impl Generations for DynamoViews {
    fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        let lanes = DynamoLanes::new(self.client.clone(), self.table.name.clone());
        Some(Arc::new(lanes.keeping(self.feed)))
    }

    /// A read unit for each batch would cost as much as the events, and one item can be read 3,000
    /// times a second.
    fn list_lease(&self) -> Duration {
        LIST_LEASE
    }

    async fn generations(&self) -> Result<GenerationList, StoreError> {
        Ok(self.note(LIST).await?.unwrap_or_default())
    }

    async fn replace(
        &self,
        seen: &GenerationList,
        list: &GenerationList,
    ) -> Result<bool, StoreError> {
        let new = *seen == GenerationList::default();
        let seen = text_of(seen)?;
        self.write(
            LIST,
            list,
            if new { NoteRevision::Default(seen) } else { NoteRevision::Note(seen) },
        )
        .await
    }

    async fn progress(&self) -> Result<Option<ReplayProgress>, StoreError> {
        self.note(PROGRESS).await
    }

    async fn save(
        &self,
        seen: Option<&ReplayProgress>,
        to: &ReplayProgress,
    ) -> Result<bool, StoreError> {
        let seen =
            seen.map_or(Ok(NoteRevision::Nothing), |seen| text_of(seen).map(NoteRevision::Note))?;
        self.write(PROGRESS, to, seen).await
    }

    fn rows(&self, of: Generation) -> Arc<dyn Rows> {
        Arc::new(self.at(of))
    }

    async fn remove(&self, generation: Generation) -> Result<u64, StoreError> {
        let doomed = self.at(generation);
        let (mut start, mut removed) = (None, 0);
        loop {
            let scan = doomed.table.keys(self.client.scan()).set_exclusive_start_key(start);
            let page = scan.send().await.map_err(|e| failed("views: they were not scanned", e))?;
            self.meter.count("Scan", page.consumed_capacity());
            start = page.last_evaluated_key.clone();
            let keys = page.items.unwrap_or_default();
            removed += keys.len() as u64;
            let gone = iter(keys).map(|key| Ok(doomed.remove_one(key)));
            gone.try_buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            if start.is_none() {
                break;
            }
        }
        for tenant in doomed.totals(None).await?.keys() {
            doomed.remove_one(RowTable::totals_key(&Totals::name(generation, tenant))).await?;
        }
        Ok(removed)
    }
}

#[async_trait]
impl Rows for DynamoViews {
    fn parts(&self) -> u8 {
        self.table.shards
    }

    async fn tenants(&self) -> Result<BTreeSet<Tenant>, StoreError> {
        let (mut start, mut tenants) = (None, BTreeSet::new());
        loop {
            let scan = self.table.partitions(self.client.scan()).set_exclusive_start_key(start);
            let page = scan.send().await.map_err(|e| failed("views: they were not scanned", e))?;
            self.meter.count("Scan", page.consumed_capacity());
            tenants.extend(page.items().iter().filter_map(item::tenant));
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(tenants);
            }
        }
    }

    async fn page(
        &self,
        tenant: &Tenant,
        part: u8,
        after: Option<&str>,
    ) -> Result<RowPage, StoreError> {
        let query = self.table.page(self.client.query(), tenant, part, after);
        let page = query.send().await.map_err(|e| failed("views: rows were not read", e))?;
        self.meter.count("Query", page.consumed_capacity());
        let more = page.last_evaluated_key.is_some();
        let rows = page.items.unwrap_or_default().into_iter();
        let rows = rows.map(|item| item::stored(tenant, item)).collect::<Result<Vec<_>, _>>()?;
        let next = rows.last().filter(|_| more).map(|last| last.id.clone());
        Ok(RowPage { rows, next })
    }

    fn part_of(&self, key: &Key) -> u8 {
        self.table.part_of(key)
    }

    async fn erase(&self, tenant: &Tenant, part: u8, id: &str) -> Result<(), StoreError> {
        self.remove_one(self.table.key(tenant, part, id)).await
    }

    async fn totals(&self, tenant: Option<&Tenant>) -> Result<StoredTotals, StoreError> {
        let generation = self.table.generation;
        let names = match tenant {
            Some(tenant) => Totals::name(generation, tenant),
            None => Totals::names(generation),
        };
        let query = self.table.totals(self.client.query(), names);
        let (mut pages, mut totals) = (query.into_paginator().send(), StoredTotals::new());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed("views: totals were not read", e))?;
            self.meter.count("Query", page.consumed_capacity());
            for item in page.items() {
                let name = text(item, SK).ok();
                let tenant = name.and_then(|name| Totals::tenant(generation, name));
                let body = text(item, BODY).map_err(|e| corrupt("totals", e.into()));
                totals.extend(tenant.map(|tenant| (tenant, body.and_then(Totals::of_text))));
            }
        }
        Ok(totals)
    }

    async fn put_totals(&self, tenant: &Tenant, row: &Totals) -> Result<PutOutcome, StoreError> {
        let name = Totals::name(self.table.generation, tenant);
        let put = self.table.put_totals(self.client.put_item(), &name, row.text()?, row.revision);
        let written = self.written(&name, put).await?;
        Ok(if written { PutOutcome::Written } else { PutOutcome::Stale })
    }
}

impl DynamoViews {
    fn at(&self, generation: Generation) -> Self {
        let table = RowTable { generation, ..self.table.clone() };
        Self { table, ..self.clone() }
    }

    async fn remove_one(&self, key: DynamoItem) -> Result<(), StoreError> {
        let delete = self.table.remove(self.client.delete_item(), key).send().await;
        let answer = delete.map_err(|e| failed("views: a row was not removed", e))?;
        self.meter.count("DeleteItem", answer.consumed_capacity());
        Ok(())
    }

    async fn note<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let get = self.table.note(self.client.get_item(), name).send().await;
        let answer = get.map_err(|e| failed(format!("views: note {name} was not read"), e))?;
        self.meter.count("GetItem", answer.consumed_capacity());
        let Some(item) = answer.item else { return Ok(None) };
        let what = || format!("note {name}");
        let body = text(&item, BODY).map_err(|e| corrupt(&what(), e.into()))?;
        serde_json::from_str(body).map(Some).map_err(|e| corrupt(&what(), e.into()))
    }

    async fn write(
        &self,
        name: &str,
        note: &impl Serialize,
        seen: NoteRevision,
    ) -> Result<bool, StoreError> {
        let put = self.table.write(self.client.put_item(), name, text_of(note)?, seen);
        self.written(name, put).await
    }

    /// Sends a conditional write of a note; returns whether the condition was met.
    async fn written(&self, name: &str, put: PutItemFluentBuilder) -> Result<bool, StoreError> {
        match put.send().await {
            Ok(answer) => {
                self.meter.count("PutItem", answer.consumed_capacity());
                Ok(true)
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(failed(format!("views: note {name} was not written"), error)),
            },
        }
    }
}

fn corrupt(what: &str, why: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::caused(StoreErrorKind::Corrupt, format!("views: {what} cannot be read"), why)
}

fn text_of(note: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(note).map_err(|e| {
        StoreError::caused(StoreErrorKind::Corrupt, "views: a note cannot be written", e)
    })
}
