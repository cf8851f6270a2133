//! The rows of one segment of an ordered journal, read page by page in the order of its histories,
//! so that no row is looked up by its key.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::vec::IntoIter;

use ledger::StoreError;
use ledger::id::Tenant;
use ledger::journal::scan::Segment;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::rows::{Rows, UnreadRow};

/// Pages that are read ahead.
const AHEAD: usize = 1;

/// A row of a tenant. Its history's partition is `<tenant>#<id>`.
pub(super) struct PlacedRow {
    pub(super) tenant: Tenant,
    pub(super) row: UnreadRow,
}

impl PlacedRow {
    /// How its history's partition compares with another one.
    pub(super) fn order(&self, partition: &str) -> Ordering {
        let (tenant, id) = (self.tenant.as_str(), self.row.id.as_str());
        let own = partition.strip_prefix(tenant).and_then(|rest| rest.strip_prefix('#'));
        own.map_or_else(|| [tenant, "#", id].concat().as_str().cmp(partition), |own| id.cmp(own))
    }
}

/// The rows from a segment's first partition to before its last.
pub(super) struct RowsInOrder {
    pages: mpsc::Receiver<Result<Vec<PlacedRow>, StoreError>>,
    page: std::iter::Peekable<IntoIter<PlacedRow>>,
    _reader: JoinSet<()>,
}

/// Whether the rows can be read beside the journal: both are in one order, and each row is in one
/// segment.
pub(super) fn is_possible(ordered: bool, segments: &[Segment], rows: &dyn Rows) -> bool {
    let ends = [segments.first().map(|it| &it.from), segments.last().map(|it| &it.until)];
    let joined = |pair: &[Segment]| pair[0].until.is_some() && pair[0].until == pair[1].from;
    ordered && rows.parts() == 1 && ends == [Some(&None); 2] && segments.windows(2).all(joined)
}

impl RowsInOrder {
    pub(super) fn new(rows: &Arc<dyn Rows>, of: BTreeSet<Tenant>, segment: &Segment) -> Self {
        let (give, pages) = mpsc::channel(AHEAD);
        let mut reader = JoinSet::new();
        reader.spawn(read(rows.clone(), of, segment.clone(), give));
        Self { pages, page: Vec::new().into_iter().peekable(), _reader: reader }
    }

    /// The next row, if it comes no later than a partition; `None` after the last.
    pub(super) async fn next(
        &mut self,
        upto: Option<&str>,
    ) -> Result<Option<PlacedRow>, StoreError> {
        while self.page.peek().is_none() {
            let Some(page) = self.pages.recv().await else { return Ok(None) };
            self.page = page?.into_iter().peekable();
        }
        Ok(self.page.next_if(|it| upto.is_none_or(|upto| it.order(upto).is_le())))
    }
}

async fn read(
    rows: Arc<dyn Rows>,
    tenants: BTreeSet<Tenant>,
    segment: Segment,
    give: mpsc::Sender<Result<Vec<PlacedRow>, StoreError>>,
) {
    let from = segment.from.unwrap_or_default();
    for tenant in tenants {
        let mut after = before(&tenant, &from);
        loop {
            let page = rows.unread_page(&tenant, 0, after.as_deref()).await;
            after = page.as_ref().ok().and_then(|page| page.next.clone());
            let placed = page.map(|page| {
                let place = |row| PlacedRow { tenant: tenant.clone(), row };
                page.rows.into_iter().map(place).collect::<Vec<_>>()
            });
            let is_in =
                |it: &PlacedRow| segment.until.as_ref().is_none_or(|end| it.order(end).is_lt());
            let last = after.is_none()
                || placed.as_ref().is_ok_and(|rows| rows.last().is_some_and(|row| !is_in(row)));
            let mine = placed.map(|mut rows| {
                rows.retain(|row| row.order(&from).is_ge() && is_in(row));
                rows
            });
            if give.send(mine).await.is_err() {
                return;
            }
            if last {
                break;
            }
        }
    }
}

/// A key of the tenant before all those from `partition` on, if it is one of the tenant's.
fn before(tenant: &Tenant, partition: &str) -> Option<String> {
    let id = partition.strip_prefix(tenant.as_str())?.strip_prefix('#')?;
    let mut chars = id.chars();
    chars.next_back()?;
    Some(chars.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::StoredRow;

    #[test]
    fn a_row_has_the_order_of_its_partition() {
        let corrupt = || StoreError::new(ledger::error::StoreErrorKind::Corrupt, "unread");
        for tenant in ["a", "a-b", "ab", "b"] {
            for id in ["", "0", "01", "1", "#", "a#0"] {
                let row = StoredRow { id: id.to_owned(), asset: Err(corrupt()) }.into();
                let row = PlacedRow { tenant: tenant.parse().unwrap(), row };
                let partition = format!("{tenant}#{id}");
                for other in ["", "a", "a#", "a#0", "a#00", "a-b#0", "a-b#1", "ab#", "b#1", "a#a#0"]
                {
                    assert_eq!(
                        row.order(other),
                        partition.as_str().cmp(other),
                        "{partition} {other}"
                    );
                }
            }
        }
    }
}
