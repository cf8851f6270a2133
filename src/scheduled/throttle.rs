//! Paced reading, which leaves most of the time to other work.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::id::PartitionKey;
use ledger::journal::scan::{ScanPosition, Scanned, Segment};
use ledger::journal::{Appended, Journal, Scan};
use ledger::record::StoredLine;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// The ratio of rest to work: a quarter of the time is work.
const REST: u32 = 3;
/// The rest that accumulates before it is taken: shorter ones are not worth a timer.
const OWED: Duration = Duration::from_millis(20);

/// One reader at a time, which rests longer than it reads.
#[derive(Debug, Default)]
pub struct ReadPace(Mutex<Duration>);

impl ReadPace {
    async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        let mut owed = self.0.lock().await;
        let begun = Instant::now();
        let done = work.await;
        *owed += begun.elapsed() * REST;
        if *owed >= OWED {
            sleep(std::mem::take(&mut *owed)).await;
        }
        done
    }
}

/// A journal that is read at a pace. Several readers of one pace take turns.
pub struct PacedScan<J> {
    journal: Arc<J>,
    pace: Arc<ReadPace>,
}

impl<J> PacedScan<J> {
    /// Reads `journal` at `pace`.
    pub fn new(journal: Arc<J>, pace: Arc<ReadPace>) -> Self {
        Self { journal, pace }
    }
}

#[async_trait]
impl<J: Journal> Journal for PacedScan<J> {
    async fn history_of(&self, partition: &PartitionKey) -> Result<Vec<StoredLine>, StoreError> {
        self.pace.take(self.journal.history_of(partition)).await
    }

    async fn events_after(
        &self,
        partition: &PartitionKey,
        version: u64,
        limit: usize,
    ) -> Result<Vec<StoredLine>, StoreError> {
        self.pace.take(self.journal.events_after(partition, version, limit)).await
    }

    async fn last_of(&self, partition: &PartitionKey) -> Result<Option<StoredLine>, StoreError> {
        self.pace.take(self.journal.last_of(partition)).await
    }

    async fn append_to(
        &self,
        partition: &PartitionKey,
        line: StoredLine,
    ) -> Result<Appended, StoreError> {
        self.journal.append_to(partition, line).await
    }
}

#[async_trait]
impl<J: Journal> Scan for PacedScan<J> {
    fn ordered(&self) -> bool {
        self.journal.ordered()
    }

    async fn size(&self) -> Result<Option<u64>, StoreError> {
        self.journal.size().await
    }

    async fn segments(&self, count: u32) -> Result<Vec<Segment>, StoreError> {
        self.journal.segments(count).await
    }

    async fn page(
        &self,
        segment: &Segment,
        after: Option<&ScanPosition>,
    ) -> Result<Scanned, StoreError> {
        self.pace.take(self.journal.page(segment, after)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn three_quarters_of_the_time_are_left_to_others_and_readers_take_turns() {
        let (pace, began) = (Arc::new(ReadPace::default()), Instant::now());
        let read = |pace: Arc<ReadPace>| async move {
            for _ in 0..10 {
                pace.take(async { sleep(Duration::from_millis(10)).await }).await;
            }
        };
        tokio::join!(read(pace.clone()), read(pace.clone()));
        assert_eq!(began.elapsed(), Duration::from_millis(800), "20 reads of 10 ms");
    }
}
