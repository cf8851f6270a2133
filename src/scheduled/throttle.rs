//! Paced reading, which leaves most of the time to other work.

use std::sync::Arc;
use std::time::Duration;

use ledger::StoreError;
use ledger::journal::{Journal, JournalDecorator};
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

/// A journal whose calls are made at a pace. Several callers of one pace take turns.
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

impl<J: Journal> JournalDecorator for PacedScan<J> {
    type Inner = J;

    fn inner(&self) -> &J {
        &self.journal
    }

    async fn around<T: Send>(
        &self,
        _: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.pace.take(call).await
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
