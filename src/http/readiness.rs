//! The port to the parts of the service that requests need.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;

use super::errors::ReadinessFailure;

/// The time limit of a check: clients of `/readyz` do not wait longer.
const CHECK_MAX: Duration = Duration::from_secs(2);

/// A part of the service that requests need.
#[async_trait]
pub trait Check: Send + Sync {
    /// The part's name, such as `bucket`.
    fn name(&self) -> &'static str;

    /// Checks the part. The failure is shown to every caller: it names the remedy, such as "the
    /// bucket is not versioned", and nothing that only the log may contain.
    async fn check(&self) -> Result<(), NotReady>;

    /// Information about the part while it is ready, such as the time since it was verified.
    fn says(&self) -> Option<String> {
        None
    }
}

/// Why a part is not ready, for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub String);

/// The parts that are not ready.
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
