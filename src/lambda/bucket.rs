//! Reconciles the assets of a batch of the queue: S3's notifications through EventBridge.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};

use crate::bucket::{Bucket, HandleOutcome};

/// Messages handled concurrently: their round trips overlap without flooding S3 or the journal.
const AT_ONCE: usize = 8;

/// A message must be handled again, but has no id to report: the whole batch is retried.
#[derive(Debug, thiserror::Error)]
#[error("message {0} of the batch has no id, and is to be handled again")]
pub struct MissingMessageId(usize);

/// The handler of the queue's batches.
pub struct Notifications {
    bucket: Arc<Bucket>,
}

impl Notifications {
    /// Passes the messages to `bucket`.
    #[must_use]
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket: Arc::new(bucket) }
    }

    /// Handles a batch, and returns the messages to retry: those for which a store failed, and
    /// those about an asset that is not in the journal yet. A permanently unusable one is finished.
    ///
    /// # Errors
    /// If a message to retry has no id.
    pub async fn receive(&self, batch: &SqsEvent) -> Result<SqsBatchResponse, MissingMessageId> {
        let handle = |(place, message)| async move { (place, message, self.done(message).await) };
        let mut all: Vec<_> = stream::iter(batch.records.iter().enumerate())
            .map(handle)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        all.sort_by_key(|(place, ..)| *place);
        let mut answer = SqsBatchResponse::default();
        for (place, message, _) in all.into_iter().filter(|(.., done)| !done) {
            let id = message.message_id.as_deref().filter(|id| !id.is_empty());
            answer.add_failure(id.ok_or(MissingMessageId(place))?);
        }
        Ok(answer)
    }

    async fn done(&self, message: &SqsMessage) -> bool {
        let body = message.body.as_deref().unwrap_or_default();
        let handled = self.bucket.receive(body).await;
        !handled.iter().any(|handled| matches!(handled, HandleOutcome::Later(_)))
    }
}

#[cfg(test)]
mod tests;
