//! The whole journal, in the order of its key.

use async_trait::async_trait;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteJournal;
use ledger::error::StoreError;
use ledger::journal::scan::{Scan, ScanPosition, Scanned, Segment, StoredItem, Stray};
use ledger::record::StoredLine;

/// Items in one page: some 700 KB of typical events.
const PAGE: usize = 1000;
/// Events sampled for each segment: segments differ by some percent in size.
const SAMPLE: i128 = 64;
/// The prefix of the hex bytes of a partition that is not text.
const NO_TEXT: &str = "\0";

#[async_trait]
impl Scan for SqliteJournal {
    fn ordered(&self) -> bool {
        true
    }

    async fn size(&self) -> Result<Option<u64>, StoreError> {
        self.database.read(count).await.map(Some)
    }

    /// Segments with about the same number of events each.
    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError> {
        let of = count.max(1);
        self.database.read(move |file| segments(file, of)).await
    }

    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        let (segment, after) = (segment.clone(), after.cloned());
        self.database.read(move |file| page(file, &segment, after.as_ref())).await
    }
}

fn count(file: &Connection) -> rusqlite::Result<u64> {
    file.query_row("SELECT count(*) FROM events", [], |row| row.get(0))
}

/// Divides at quantiles of a sample, since counting reads the whole index. Arrivals have few gaps,
/// so the events at even distances between the first and the last are a sample of all.
fn segments(file: &Connection, of: u32) -> rusqlite::Result<Vec<Segment>> {
    // Two queries: one with both would read every row.
    let ends = "SELECT coalesce((SELECT min(arrival) FROM events), 0), \
                coalesce((SELECT max(arrival) FROM events), 0)";
    let (first, last) = file.query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sampled = if of > 1 { SAMPLE * i128::from(of) } else { 0 };
    let next = "SELECT pk FROM events WHERE arrival >= ?1 ORDER BY arrival LIMIT 1";
    let mut next = file.prepare(next)?;
    let mut sample = (0..sampled)
        .map(|number| next.query_row([between(first, last, number, sampled)], |row| raw(row, 0)))
        .collect::<rusqlite::Result<Vec<_>>>()
        .optional()?
        .unwrap_or_default();
    // As the file orders them: a name that is not text has another order.
    sample.sort_unstable();
    let inner =
        (1..of as usize).filter_map(|number| sample.get(number * sample.len() / of as usize));
    let inner = inner.map(|bytes| Some(name(bytes)));
    let bounds: Vec<_> = [None].into_iter().chain(inner).chain([None]).collect();
    let of = u32::try_from(bounds.len() - 1).unwrap_or(of);
    let pairs = bounds.windows(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    Ok((0..of)
        .zip(pairs)
        .map(|(number, (from, until))| Segment { number, of, from, until })
        .collect())
}

/// The arrival at `number` of `of` equal distances.
fn between(first: i64, last: i64, number: i128, of: i128) -> i64 {
    let distance = (i128::from(last) - i128::from(first)) * number / of;
    i64::try_from(i128::from(first) + distance).unwrap_or(last)
}

fn page(
    file: &Connection,
    of: &Segment,
    after: Option<&ScanPosition>,
) -> rusqlite::Result<Scanned> {
    // The partition of a row from another program may not be text, but the scan must pass it.
    let select = "SELECT sk, body, pk FROM events WHERE (pk, sk) > (CAST(?1 AS TEXT), ?2) \
                  AND (?3 IS NULL OR pk < CAST(?3 AS TEXT)) ORDER BY pk, sk LIMIT ?4";
    // The start of a partition is the position after its version 'minus infinity'.
    let (partition, version) = match after {
        Some(place) => (place.partition.as_str(), place.version.parse().unwrap_or(i64::MAX)),
        None => (of.from.as_deref().unwrap_or_default(), i64::MIN),
    };
    let bound = params![bytes(partition), version, of.until.as_deref().map(bytes), PAGE];
    let mut select = file.prepare_cached(select)?;
    let items = select.query_map(bound, stored)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let full = items.len() == PAGE;
    let next = items.last().filter(|_| full).map(|last| ScanPosition {
        partition: last.partition.clone(),
        version: match &last.line {
            Ok(line) => line.version.to_string(),
            Err(stray) => stray.version.clone(),
        },
    });
    Ok(Scanned { items, next })
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredItem> {
    Ok(StoredItem { line: item(row)?, partition: partition(row, 2)? })
}

/// A partition's name.
pub(super) fn partition(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(name(row.get_ref(column)?.as_bytes()?))
}

fn raw(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(row.get_ref(column)?.as_bytes()?.to_vec())
}

/// The name of a partition with these bytes. If they are not text, it is their hex digits, which no
/// asset's name equals.
fn name(bytes: &[u8]) -> String {
    let name = str::from_utf8(bytes).map(str::to_owned);
    name.unwrap_or_else(|_| format!("{NO_TEXT}{}", hex::encode(bytes)))
}

/// The bytes of a name from [`partition`].
fn bytes(partition: &str) -> Vec<u8> {
    let named = partition.strip_prefix(NO_TEXT).and_then(|digits| hex::decode(digits).ok());
    named.unwrap_or_else(|| partition.as_bytes().to_vec())
}

/// An item as stored, `sk` and `body` first: another program may have written to the file.
pub(super) fn item(row: &Row<'_>) -> rusqlite::Result<Result<StoredLine, Stray>> {
    let version: i64 = row.get(0)?;
    let line = match (u64::try_from(version), row.get_ref(1)?) {
        (Ok(version), ValueRef::Text(text)) => match std::str::from_utf8(text) {
            Ok(body) => Ok(StoredLine { version, body: body.to_owned() }),
            Err(error) => Err(error.to_string()),
        },
        (Err(_), _) => Err("a version is a number from 1".to_owned()),
        (_, other) => Err(format!("its body is {}, not {}", other.data_type(), Type::Text)),
    };
    Ok(line.map_err(|why| Stray { version: version.to_string(), why }))
}
