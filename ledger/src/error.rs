//! Errors below a port, in the few kinds that a caller can act on.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::id::Key;

/// Why a store failed. The kind is for code, the message is for the log, and the source is for
/// debugging. A client sees none of them.
#[derive(Debug, Clone)]
pub struct StoreError {
    /// What a caller can do.
    pub kind: StoreErrorKind,
    context: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What a caller can do about a failed store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Unreachable, full, locked or too slow: the same call may succeed later.
    Unavailable,
    /// Overloaded: the same call succeeds later, at a lower rate.
    Throttled,
    /// The stored data is unreadable or was altered: an operator must act.
    Corrupt,
    /// The stored data appears sound, but a newer version of this program wrote it: upgrade this
    /// program.
    Newer,
    /// Missing, of another shape, or access is denied: correct the deployment.
    Misconfigured,
}

impl StoreErrorKind {
    /// Whether the fault is in the stored data of one asset. Other assets are not affected, and a
    /// retry does not help.
    #[must_use]
    pub fn is_of_one_asset(self) -> bool {
        matches!(self, Self::Corrupt | Self::Newer)
    }
}

impl StoreError {
    /// An error without an underlying cause.
    pub fn new(kind: StoreErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// An error with an underlying cause.
    pub fn caused(
        kind: StoreErrorKind,
        context: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, context: context.into(), source: Some(Arc::from(source.into())) }
    }

    /// The same error, with the name of the asset.
    #[must_use]
    pub fn about(mut self, key: &Key) -> Self {
        let name = key.partition();
        if !self.context.contains(&name) {
            self.context = format!("asset {name}: {}", self.context);
        }
        self
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// An error and its chain of causes on one line, for the log.
pub fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
