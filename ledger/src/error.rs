//! What can go wrong below a port, in the few kinds that a caller can act on.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::id::Key;

/// Why a store could not answer. The kind is for code, the message for a reader of the log, and
/// the source for whoever has to mend it; none of them is ever shown to a client.
#[derive(Debug, Clone)]
pub struct StoreError {
    /// What a caller can do about it.
    pub kind: StoreErrorKind,
    context: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What a caller can do about a failed store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Away, full, locked or too slow: the same call may succeed later.
    Unavailable,
    /// Asked too much of: the same call succeeds later, more slowly.
    Throttled,
    /// What is stored cannot be understood or has been altered: a person must look.
    Corrupt,
    /// What is stored is sound as far as can be seen, but a newer version of this program wrote
    /// it: this one must be upgraded.
    Newer,
    /// Missing, of another shape, or refusing us: the deployment must be mended.
    Misconfigured,
}

impl StoreErrorKind {
    /// Whether the trouble is what is stored of one asset: others may go on, and asking again
    /// does not help.
    #[must_use]
    pub fn is_of_one_asset(self) -> bool {
        matches!(self, Self::Corrupt | Self::Newer)
    }
}

impl StoreError {
    /// An error that nothing underneath caused.
    pub fn new(kind: StoreErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// An error that something underneath caused.
    pub fn caused(
        kind: StoreErrorKind,
        context: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, context: context.into(), source: Some(Arc::from(source.into())) }
    }

    /// The same error, naming the asset that was asked about.
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

/// An error and everything that caused it on one line, for the log.
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
