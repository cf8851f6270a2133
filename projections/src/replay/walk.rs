//! Every row of a generation by increasing key, across all parts.

use std::sync::Arc;

use ledger::StoreError;
use ledger::id::Tenant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::throttle::persist;
use crate::rows::{Rows, StoredRow};

/// Pages that are read ahead of each part: one, while the previous one is processed.
const AHEAD: usize = 1;

type WalkPage = Result<Vec<StoredRow>, StoreError>;

/// Walks the rows of a tenant. Holds two pages of each part.
pub(super) struct RowWalk {
    lanes: Vec<RowLane>,
    _readers: JoinSet<()>,
}

/// One part, by increasing key.
struct RowLane {
    pages: mpsc::Receiver<WalkPage>,
    page: std::iter::Peekable<std::vec::IntoIter<StoredRow>>,
}

impl RowWalk {
    pub(super) fn new(rows: &Arc<dyn Rows>, tenant: &Tenant) -> Self {
        let mut readers = JoinSet::new();
        let lane = |part| {
            let (give, pages) = mpsc::channel(AHEAD);
            readers.spawn(read(rows.clone(), tenant.clone(), part, give));
            RowLane { pages, page: Vec::new().into_iter().peekable() }
        };
        let lanes = (0..rows.parts()).map(lane).collect();
        Self { lanes, _readers: readers }
    }

    /// The next row; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<StoredRow>, StoreError> {
        for lane in &mut self.lanes {
            lane.turn().await?;
        }
        let first = self.lanes.iter_mut().filter_map(|lane| {
            let id = lane.page.peek()?.id.clone();
            Some((id, lane))
        });
        let first = first.min_by(|(a, _), (b, _)| a.cmp(b));
        Ok(first.and_then(|(_, lane)| lane.page.next()))
    }
}

impl RowLane {
    /// Moves to the next page at the end of this one.
    async fn turn(&mut self) -> Result<(), StoreError> {
        while self.page.peek().is_none() {
            let Some(page) = self.pages.recv().await else { return Ok(()) };
            self.page = page?.into_iter().peekable();
        }
        Ok(())
    }
}

async fn read(rows: Arc<dyn Rows>, tenant: Tenant, part: u8, give: mpsc::Sender<WalkPage>) {
    let mut after = None::<String>;
    loop {
        let page = persist(|| rows.page(&tenant, part, after.as_deref())).await;
        let next = page.as_ref().ok().and_then(|page| page.next.clone());
        let gone = give.send(page.map(|page| page.rows)).await.is_err();
        if gone || next.is_none() {
            return;
        }
        after = next;
    }
}
