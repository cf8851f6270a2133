//! Projects a batch of the journal's stream to rows.
//!
//! A record is a hint, never a fact: it says that an asset has reached a version. If its events are
//! the asset's whole history, the journal is not read; they are checked like stored events. Only
//! inserts are ever made to the journal, so any other record means tampering: the alarm is raised,
//! and the record is a hint like any other. The asset is projected again from the present journal,
//! and parked if its history does not verify.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lambda_events::dynamodb::{Event, EventRecord};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use chrono::{DateTime, Utc};
use ledger::Effects;
use projections::runner::{ProjectionHint, Runner};
use tokio::time::Instant;

use crate::aws::JournalChange;

/// A record has no sequence number to report a failure with: the whole batch is retried.
#[derive(Debug, thiserror::Error)]
#[error("record {0} of the batch has no sequence number")]
pub struct MissingSequenceNumber(usize);

/// Left of an invocation's time when a batch ends. Lambda's own timeout would end the process
/// without metrics, and the whole batch would count as failed. A call that was begun may be undone
/// until then.
const RESERVE: Duration = Duration::from_secs(10);

/// The handler of stream batches.
pub struct Projector {
    runner: Runner,
    effects: Arc<dyn Effects>,
}

impl Projector {
    /// Projects the assets of the batches with `runner`.
    #[must_use]
    pub fn new(runner: Runner, effects: Arc<dyn Effects>) -> Self {
        Self { runner, effects }
    }

    /// Projects a batch, and returns the point of retry: the lowest record whose asset failed in a
    /// store, because all records after it are delivered again anyway. The batch ends 10 seconds
    /// before `deadline`, when Lambda ends the invocation; what was not reached has failed.
    ///
    /// # Errors
    /// If a record has no number. An empty number would also fail the whole batch, but without a
    /// message.
    pub async fn receive(
        &self,
        batch: &Event,
        deadline: SystemTime,
    ) -> Result<DynamoDbEventResponse, MissingSequenceNumber> {
        let numbers = numbers(&batch.records)?;
        let (hints, of) = hints(&batch.records);
        let report = self.runner.project_until(&hints, self.end(deadline)).await;
        let failed = report.failed.iter().map(|failed| numbers[of[failed.hint]]);
        let lowest = failed.min_by_key(|number| in_order(number));
        if let (Some(lowest), Some(first)) = (lowest, report.failed.first()) {
            let (count, cause) = (report.failed.len(), ledger::error::chain(&first.error));
            tracing::warn!(count, cause, sequence = lowest, "records failed and will be retried");
        }
        let (projected, stale, parked) = (report.projected, report.stale, report.parked);
        tracing::info!(records = numbers.len(), projected, stale, parked, "projected a batch");
        Ok(answer(lowest))
    }

    fn end(&self, deadline: SystemTime) -> Instant {
        let left = (DateTime::<Utc>::from(deadline) - self.effects.now()).to_std();
        Instant::now() + left.unwrap_or_default().saturating_sub(RESERVE)
    }
}

fn numbers(records: &[EventRecord]) -> Result<Vec<&str>, MissingSequenceNumber> {
    let given = records.iter().map(|record| record.change.sequence_number.as_deref());
    let usable = given.map(|number| number.filter(|number| !number.is_empty()));
    usable.enumerate().map(|(place, number)| number.ok_or(MissingSequenceNumber(place))).collect()
}

/// The hints of a batch, each with the index of its record.
fn hints(records: &[EventRecord]) -> (Vec<ProjectionHint>, Vec<usize>) {
    let mut hints = Vec::new();
    let mut of = Vec::new();
    for (place, record) in records.iter().enumerate() {
        if let Some(hint) = change(record).hint() {
            hints.push(hint);
            of.push(place);
        }
    }
    (hints, of)
}

fn change(record: &EventRecord) -> JournalChange<'_> {
    let (kind, change) = (&record.event_name, &record.change);
    let sequence = change.sequence_number.as_deref();
    JournalChange {
        kind,
        sequence,
        keys: &change.keys,
        old: &change.old_image,
        new: &change.new_image,
    }
}

/// Sequence numbers are decimal numbers of any length.
fn in_order(number: &str) -> (usize, &str) {
    let digits = number.trim_start_matches('0');
    (digits.len(), digits)
}

fn answer(lowest: Option<&str>) -> DynamoDbEventResponse {
    let mut answer = DynamoDbEventResponse::default();
    answer.batch_item_failures.extend(lowest.map(|number| {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = Some(number.to_owned());
        failure
    }));
    answer
}

#[cfg(test)]
mod tests;
