//! The parts of the service that `/readyz` checks.

use async_trait::async_trait;

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
