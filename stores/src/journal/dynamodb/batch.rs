//! Events at known places, by `BatchGetItem`: a hundred in a request, and in half a read unit each.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};
use futures::{StreamExt, TryStreamExt, stream};
use ledger::error::{StoreError, StoreErrorKind};
use ledger::id::Key;
use ledger::journal::EventPlace;
use ledger::record::StoredLine;

use super::{DynamoJournal, event, request};
use crate::dynamodb::{DynamoItem, failed, text};

/// Keys in a request: DynamoDB's maximum.
const KEYS_MAX: usize = 100;
/// Requests at the same time.
const AT_ONCE: usize = 4;
/// Requests in sequence that processed no key: then the table is throttled.
const FRUITLESS_MAX: u32 = 5;
/// The pause before keys that were not processed are requested again. It doubles after each request
/// that processed none.
const PAUSE: Duration = Duration::from_millis(25);

impl DynamoJournal {
    /// The events at `places`, which may repeat: DynamoDB refuses a key that is named twice.
    pub(super) async fn batches(
        &self,
        places: &[EventPlace],
        consistent: bool,
    ) -> Result<Vec<(Key, StoredLine)>, StoreError> {
        let keys: BTreeMap<_, _> = places.iter().map(|(key, _)| (key.partition(), key)).collect();
        let mut wanted: Vec<_> =
            places.iter().map(|(key, version)| (key.partition(), *version)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let chunks: Vec<_> = wanted.chunks(KEYS_MAX).map(<[_]>::to_vec).collect();
        let found: Vec<_> = stream::iter(chunks)
            .map(|chunk| self.batch(chunk, consistent))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        found.into_iter().flatten().filter_map(|item| read(&keys, &item).transpose()).collect()
    }

    /// The items of at most [`KEYS_MAX`] keys. A reply may lack some of them.
    async fn batch(
        &self,
        wanted: Vec<(String, u64)>,
        consistent: bool,
    ) -> Result<Vec<DynamoItem>, StoreError> {
        let keys = wanted.into_iter().map(|(pk, version)| request::key(pk, version));
        let (mut keys, mut found, mut fruitless): (Vec<_>, _, _) = (keys.collect(), Vec::new(), 0);
        loop {
            let asked = keys.len();
            let (items, left) = self.some(keys, consistent).await?;
            found.extend(items);
            if left.is_empty() {
                return Ok(found);
            }
            fruitless = if left.len() < asked { 0 } else { fruitless + 1 };
            if fruitless == FRUITLESS_MAX {
                let context = format!("journal: {} events were not read", left.len());
                return Err(StoreError::new(StoreErrorKind::Throttled, context));
            }
            tokio::time::sleep(PAUSE * (1 << fruitless)).await;
            keys = left;
        }
    }

    /// One request: the items, and the keys that it did not process.
    async fn some(
        &self,
        keys: Vec<DynamoItem>,
        consistent: bool,
    ) -> Result<(Vec<DynamoItem>, Vec<DynamoItem>), StoreError> {
        let asked = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(consistent);
        let asked = asked.build().map_err(|error| {
            let context = "journal: a request cannot be built";
            StoreError::caused(StoreErrorKind::Misconfigured, context, error)
        })?;
        let get = self.client.batch_get_item().request_items(&self.table, asked);
        let get = get.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = get.map_err(|e| failed("journal: some events were not read", e))?;
        self.meter.count("BatchGetItem", answer.consumed_capacity().first());
        let left = answer.unprocessed_keys.unwrap_or_default().into_values();
        let left = left.flat_map(|of_table| of_table.keys).collect();
        Ok((answer.responses.unwrap_or_default().into_values().flatten().collect(), left))
    }
}

/// The event in an item, if it was asked for.
fn read(
    keys: &BTreeMap<String, &Key>,
    item: &DynamoItem,
) -> Result<Option<(Key, StoredLine)>, StoreError> {
    let partition = text(item, request::PK).unwrap_or_default();
    let Some(key) = keys.get(partition) else { return Ok(None) };
    Ok(Some(((*key).clone(), event(partition, item)?)))
}
