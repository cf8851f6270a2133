//! The rate limit of writes, and the retries of throttled calls.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use ledger::asset::Asset;
use ledger::error::{StoreErrorKind, chain};
use ledger::{Backoff, StoreError};
use tokio::time::{Instant, sleep, sleep_until};

use crate::row::Row;

/// The size of a write unit of DynamoDB, in bytes.
const UNIT: usize = 1024;
/// Bytes of a row's key, and of DynamoDB's overhead of an item.
const KEY: usize = 160;
/// Attempts of one call: with the pauses between them, some twenty seconds.
const TRIES: u32 = 9;
/// The pauses between them.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(15));

/// Limits the write units a second.
pub(super) struct RateLimit {
    unit: Option<Duration>,
    next: Mutex<Instant>,
}

impl RateLimit {
    pub(super) fn new(units_a_second: Option<u32>) -> Self {
        let unit = units_a_second.map(|rate| Duration::from_secs(1) / rate.max(1));
        Self { unit, next: Mutex::new(Instant::now()) }
    }

    /// Whether there is no limit.
    pub(super) fn is_free(&self) -> bool {
        self.unit.is_none()
    }

    /// Waits until the row may be written.
    pub(super) async fn wait(&self, asset: &Asset) {
        if let Some(unit) = self.unit {
            sleep_until(self.turn(unit * units(asset))).await;
        }
    }

    /// The time of the caller's turn; later callers get a later time.
    fn turn(&self, takes: Duration) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(Instant::now());
        *next = turn + takes;
        turn
    }
}

/// The approximate write units of a row on DynamoDB.
fn units(asset: &Asset) -> u32 {
    let bytes = serde_json::to_vec(&Row::from(asset)).map_or(0, |json| json.len()) + KEY;
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Retries a call that may succeed later, with increasing pauses, up to a maximum.
pub(super) async fn persist<T, C>(mut call: impl FnMut() -> C) -> Result<T, StoreError>
where
    C: Future<Output = Result<T, StoreError>>,
{
    let mut budget = RetryBudget::default();
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => budget.retry(error).await?,
        }
    }
}

/// The attempts of a call. Temporary errors are retried for some time.
#[derive(Debug, Default)]
pub(super) struct RetryBudget {
    tries: u32,
}

impl RetryBudget {
    /// Pauses before another attempt, longer each time; returns a permanent error.
    pub(super) async fn retry(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !passes(&error) || self.tries == TRIES {
            return Err(error);
        }
        tracing::debug!(tries = self.tries, cause = chain(&error), "retrying a store call");
        sleep(BACKOFF.pause(self.tries)).await;
        self.tries += 1;
        Ok(())
    }
}

fn passes(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::Throttled | StoreErrorKind::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Story;

    #[tokio::test(start_paused = true)]
    async fn no_more_units_a_second_than_were_asked_for() {
        let (pace, asset) = (RateLimit::new(Some(100)), Story::begin("main", 1).asset());
        let begun = Instant::now();
        for _ in 0..251 {
            pace.wait(&asset).await;
        }
        assert!((2_490..2_600).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_long_row_takes_more_than_one_unit() {
        let mut asset = Story::begin("main", 1).asset();
        assert_eq!(units(&asset), 1);
        asset.declared.filename = Some("x".repeat(1_000));
        assert_eq!(units(&asset), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_asked_again_and_what_will_not_is_told_at_once() {
        for (kind, calls) in
            [(StoreErrorKind::Throttled, TRIES + 1), (StoreErrorKind::Misconfigured, 1)]
        {
            let mut called = 0;
            let failed = persist(|| {
                called += 1;
                std::future::ready(Err::<(), _>(StoreError::new(kind, "no")))
            });
            assert_eq!(failed.await.unwrap_err().kind, kind);
            assert_eq!(called, calls);
        }
    }
}
