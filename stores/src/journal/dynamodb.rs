//! The journal in a DynamoDB table: one item for each event, written on the condition that its key
//! is free.
//!
//! `pk` is `<tenant>#<asset>` or `<tenant>#<stream>`, `sk` the version, `body` the event's bytes.
//! No index, no counter, no transaction: a put is one write unit, a history about one read unit for
//! five events.

mod batch;
mod request;
mod scan;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;

use crate::dynamodb::{CapacityMeter, DynamoItem, ItemError, failed, number, text};
use ledger::error::{StoreError, StoreErrorKind};
use ledger::id::{Key, PartitionKey};
use ledger::journal::{Appended, EventPlace, Journal};
use ledger::record::StoredLine;

/// A journal in a DynamoDB table.
#[derive(Debug)]
pub struct DynamoJournal {
    client: Client,
    table: String,
    meter: CapacityMeter,
}

impl DynamoJournal {
    /// The journal in `table`. The caller configures the client's timeouts and retries.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let table = table.into();
        Self { client, meter: CapacityMeter::new(table.clone()), table }
    }

    async fn lines(
        &self,
        partition: &PartitionKey,
        consistent: bool,
    ) -> Result<Vec<StoredLine>, StoreError> {
        let query = request::history(self.client.query(), &self.table, partition);
        let query = query.consistent_read(consistent);
        let mut pages = query.into_paginator().send();
        let (mut lines, pk) = (Vec::new(), partition.partition());
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed("journal: the history was not read", e))?;
            self.meter.count("Query", page.consumed_capacity());
            for item in page.items() {
                lines.push(event(&pk, item)?);
            }
        }
        Ok(lines)
    }
}

#[async_trait]
impl Journal for DynamoJournal {
    async fn history_of(&self, partition: &PartitionKey) -> Result<Vec<StoredLine>, StoreError> {
        self.lines(partition, true).await
    }

    /// Half the read units.
    async fn history_eventually(&self, key: &Key) -> Result<Vec<StoredLine>, StoreError> {
        self.lines(&key.clone().into(), false).await
    }

    /// Half a read unit for each event, whatever the length of its history; a unit if `consistent`.
    async fn events_at(
        &self,
        places: &[EventPlace],
        consistent: bool,
    ) -> Result<Vec<(Key, StoredLine)>, StoreError> {
        self.batches(places, consistent).await
    }

    async fn events_after(
        &self,
        partition: &PartitionKey,
        version: u64,
        limit: usize,
    ) -> Result<Vec<StoredLine>, StoreError> {
        let query = request::after(self.client.query(), &self.table, partition, version, limit);
        let mut pages = query.into_paginator().send();
        let (mut lines, pk) = (Vec::new(), partition.partition());
        while lines.len() < limit
            && let Some(page) = pages.next().await
        {
            let page = page.map_err(|e| failed("journal: some events were not read", e))?;
            self.meter.count("Query", page.consumed_capacity());
            for item in page.items().iter().take(limit - lines.len()) {
                lines.push(event(&pk, item)?);
            }
        }
        Ok(lines)
    }

    async fn last_of(&self, partition: &PartitionKey) -> Result<Option<StoredLine>, StoreError> {
        let query = request::last(self.client.query(), &self.table, partition).send().await;
        let answer = query.map_err(|e| failed("journal: the last event was not read", e))?;
        self.meter.count("Query", answer.consumed_capacity());
        answer.items().first().map(|item| event(&partition.partition(), item)).transpose()
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        let pk = partition.partition();
        let put = request::append(self.client.put_item(), &self.table, &pk, line).send().await;
        let error = match put {
            Ok(answer) => {
                self.meter.count("PutItem", answer.consumed_capacity());
                return Ok(Appended::Written);
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(taken)) => {
                let holder = taken.item().ok_or_else(untold)?;
                Ok(Appended::Taken(event(&pk, holder)?))
            }
            _ => Err(failed("journal: the event was not appended", error)),
        }
    }
}

/// An event of `partition`.
fn event(partition: &str, item: &DynamoItem) -> Result<StoredLine, StoreError> {
    let line = match text(item, request::PK) {
        // An item of another key must not be returned.
        Ok(pk) if pk != partition => Err(ItemError::Key),
        pk => pk.and_then(|_| read(item)),
    };
    line.map_err(|unfit| {
        let context = format!("journal: an event of {partition} cannot be read");
        StoreError::caused(StoreErrorKind::Corrupt, context, unfit)
    })
}

/// The line in an item.
fn read(item: &DynamoItem) -> Result<StoredLine, ItemError> {
    Ok(StoredLine {
        version: number(item, request::SK)?,
        body: text(item, request::BODY)?.to_owned(),
    })
}

/// An endpoint from before 2023, or an imitation.
fn untold() -> StoreError {
    let context = "journal: the endpoint does not tell who holds a version that is taken";
    StoreError::new(StoreErrorKind::Misconfigured, context)
}

#[cfg(test)]
mod tests;
