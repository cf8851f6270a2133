//! Scopes: what a key may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A group of operations. No scope includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Lists, states and download URLs.
    Read,
    /// Creating, uploading and confirming assets.
    Write,
    /// Soft deletion, and its undoing.
    Delete,
    /// The destruction of bytes.
    Purge,
    /// Histories, proofs, the feed, and the events of access.
    Audit,
    /// The keys of the tenant.
    Admin,
    /// A scope that only a newer version of this program knows. It allows nothing, and is never
    /// granted.
    Unknown,
}

/// The text is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is one of read, write, delete, purge, audit, admin")]
pub struct ScopeError;

impl Scope {
    /// Every scope that can be granted.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Write, Self::Delete, Self::Purge, Self::Audit, Self::Admin];

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Purge => "purge",
            Self::Audit => "audit",
            Self::Admin => "admin",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(ScopeError)
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Every scope that can be granted.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether `scope` is one of them.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes in their order.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }

    /// The scopes of these stored names; other names are [`Scope::Unknown`].
    pub(crate) fn read(names: &[String]) -> Self {
        names.iter().map(|name| name.parse().unwrap_or(Scope::Unknown)).collect()
    }

    /// The names in their order.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.iter().map(Scope::as_str).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}
