//! The whole journal, in DynamoDB's own segments.

use async_trait::async_trait;

use super::{DynamoJournal, read, request};
use crate::dynamodb::{DynamoItem, failed, text};
use ledger::error::{StoreError, StoreErrorKind};
use ledger::journal::scan::{Scan, ScanPosition, Scanned, Segment, StoredItem, Stray};

#[async_trait]
impl Scan for DynamoJournal {
    /// DynamoDB's last count, which it updates every six hours. Without the permission, or on an
    /// endpoint that does not count, the scan runs without it.
    async fn size(&self) -> Result<Option<u64>, StoreError> {
        let described = self.client.describe_table().table_name(&self.table).send().await;
        let table = described.ok().and_then(|answer| answer.table);
        Ok(table.and_then(|table| u64::try_from(table.item_count?).ok()).filter(|count| *count > 0))
    }

    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError> {
        let of = count.clamp(1, request::SEGMENTS);
        Ok((0..of).map(|number| Segment { number, of, from: None, until: None }).collect())
    }

    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        let scan = request::scan(self.client.scan(), &self.table, segment, after);
        let answer = scan.send().await.map_err(|e| failed("journal: it was not scanned", e))?;
        self.meter.count("Scan", answer.consumed_capacity());
        let next = answer.last_evaluated_key().map(place).transpose()?;
        Ok(Scanned { items: answer.items().iter().map(stored).collect(), next })
    }
}

/// An item as stored. It always has a partition, which is half of its key.
fn stored(item: &DynamoItem) -> StoredItem {
    let partition = text(item, request::PK).unwrap_or_default().to_owned();
    let line = read(item).map_err(|unfit| Stray { version: version(item), why: unfit.to_string() });
    StoredItem { partition, line }
}

fn place(key: &DynamoItem) -> Result<ScanPosition, StoreError> {
    let unread =
        |e| StoreError::caused(StoreErrorKind::Corrupt, "journal: a place cannot be read", e);
    let partition = text(key, request::PK).map_err(unread)?.to_owned();
    Ok(ScanPosition { partition, version: version(key) })
}

fn version(item: &DynamoItem) -> String {
    let digits = item.get(request::SK).and_then(|value| value.as_n().ok());
    digits.cloned().unwrap_or_default()
}
