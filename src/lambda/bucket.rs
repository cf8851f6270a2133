//! From a batch of the queue, whose messages are S3's notifications through EventBridge, to looks.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};

use crate::bucket::{Bucket, HandleOutcome};

/// Messages handled at once: their round trips overlap, and neither S3 nor the journal is flooded.
const AT_ONCE: usize = 8;

/// A message is to be handled again, but has no id that would say which: the whole batch is.
#[derive(Debug, thiserror::Error)]
#[error("message {0} of the batch has no id, and is to be handled again")]
pub struct MissingMessageId(usize);

/// The handler of the queue's batches.
pub struct Notifications {
    bucket: Arc<Bucket>,
}

impl Notifications {
    /// Hands what comes to `bucket`.
    #[must_use]
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket: Arc::new(bucket) }
    }

    /// Handles a batch, and answers which messages are to come again: those that a store could not
    /// answer for, and those about an asset that the journal does not know yet. One that will
    /// never succeed is done with.
    ///
    /// # Errors
    /// If a message that is to come again has no id.
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
