//! Rows that are usually new, as in a replay: inserted 25 in a request.
//!
//! `BatchWriteItem` has no conditions, so a late request could replace a newer row. An `INSERT` of
//! PartiQL has one: it fails if its key has an item. It takes one write unit, like a put.

use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use futures::stream::{StreamExt, iter};
use ledger::StoreError;
use ledger::asset::Asset;
use ledger::error::chain;
use projections::views::{PutOutcome, Views as _};

use super::DynamoViews;
use crate::dynamodb::failed;

/// Statements in a request: DynamoDB's maximum.
const STATEMENTS_MAX: usize = 25;
/// Requests at the same time.
const AT_ONCE: usize = 4;
/// Rows of one request that are put on their own at the same time.
const PUTS: usize = 16;

impl DynamoViews {
    /// Writes rows of different assets. A row that was not inserted is put on its own, which
    /// compares it with the stored one, or says why it cannot be written.
    pub(super) async fn put_rows(&self, assets: &[Asset]) -> Vec<Result<PutOutcome, StoreError>> {
        let batches: Vec<_> =
            assets.chunks(STATEMENTS_MAX).map(|batch| self.put_batch(batch)).collect();
        iter(batches).buffered(AT_ONCE).flat_map(iter).collect().await
    }

    async fn put_batch(&self, batch: &[Asset]) -> Vec<Result<PutOutcome, StoreError>> {
        let inserted = self.insert(batch).await.unwrap_or_else(|error| {
            tracing::debug!(cause = chain(&error), "rows are put one by one");
            Vec::new()
        });
        let inserted = inserted.into_iter().chain(std::iter::repeat(false));
        let puts = batch.iter().zip(inserted).map(async |(asset, inserted)| {
            if inserted { Ok(PutOutcome::Written) } else { self.put(asset).await }
        });
        iter(puts.collect::<Vec<_>>()).buffered(PUTS).collect().await
    }

    /// Whether each row was inserted.
    async fn insert(&self, batch: &[Asset]) -> Result<Vec<bool>, StoreError> {
        let rows = batch.iter().map(|asset| self.table.insert(asset));
        let request = self
            .client
            .batch_execute_statement()
            .set_statements(Some(rows.collect::<Result<_, _>>()?))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = request.send().await.map_err(|e| failed("views: no row was inserted", e))?;
        let consumed = answer.consumed_capacity().iter();
        consumed.for_each(|of: &ConsumedCapacity| {
            self.meter.count("BatchExecuteStatement", Some(of));
        });
        Ok(answer.responses().iter().map(|row| row.error().is_none()).collect())
    }
}
