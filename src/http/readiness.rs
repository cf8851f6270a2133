//! The port to the parts of the service that requests cannot be answered without.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;

use super::errors::ReadinessFailure;

/// How long a part may take to answer: what asks for readiness waits no longer.
const CHECK_MAX: Duration = Duration::from_secs(2);

/// A part of the service that requests cannot be answered without.
#[async_trait]
pub trait Check: Send + Sync {
    /// The part's name, such as `bucket`.
    fn name(&self) -> &'static str;

    /// Looks at the part. The failure is shown to whoever asks: it says what to mend, such as
    /// "the bucket is not versioned", and nothing that only the log may know.
    async fn check(&self) -> Result<(), NotReady>;

    /// What there is to know of the part where nothing is wrong, such as how long ago it was
    /// looked at.
    fn says(&self) -> Option<String> {
        None
    }
}

/// What is wrong with a part, for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub String);

/// What is not ready; nothing if all is.
pub(super) async fn failures(checks: &[Arc<dyn Check>]) -> Vec<ReadinessFailure> {
    join_all(checks.iter().map(look)).await.into_iter().flatten().collect()
}

async fn look(check: &Arc<dyn Check>) -> Option<ReadinessFailure> {
    let looked = tokio::time::timeout(CHECK_MAX, check.check()).await;
    let slow = |_| Err(NotReady(format!("no answer within {} s", CHECK_MAX.as_secs())));
    let problem = looked.unwrap_or_else(slow).err()?.0;
    tracing::warn!(check = check.name(), problem, "not ready");
    Some(ReadinessFailure { check: check.name(), problem })
}
