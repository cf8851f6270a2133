//! The findings of an audit. Each kind has a name for machines.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::chain::Hash;

/// A difference from what the ledger wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The kind.
    pub kind: FindingKind,
    /// The partition in which it was found: `<tenant>#<asset>`, `<tenant>#<stream>`, or a forged
    /// name.
    pub asset: String,
    /// The affected version, if there is one.
    pub version: Option<u64>,
    /// The expected hash, if known.
    pub expected: Option<Hash>,
    /// The stored hash, if something is stored.
    pub found: Option<Hash>,
    /// The same as a sentence for people.
    pub says: String,
    /// The repair, if one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<String>,
}

impl Finding {
    /// A finding about a whole asset; [`Finding::at`] and [`Finding::hashes`] add details.
    pub fn new(kind: FindingKind, asset: impl Into<String>, says: impl Into<String>) -> Self {
        let (asset, says) = (asset.into(), says.into());
        Self { kind, asset, version: None, expected: None, found: None, says, repair: None }
    }

    /// The same, about one version.
    #[must_use]
    pub fn at(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// The same, with the expected hash and the stored one.
    #[must_use]
    pub fn hashes(self, expected: Option<Hash>, found: Option<Hash>) -> Self {
        Self { expected, found, ..self }
    }
}

/// Defines the kinds and their names: one line per kind.
macro_rules! kinds {
    ($( $(#[$meta:meta])* $kind:ident $name:literal, )*) => {
        /// The kinds of findings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind { $( $(#[$meta])* $kind, )* }

        impl FindingKind {
            /// All kinds, those of the journal first.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    /// An event differs from the appended one.
    Edited "edited",
    /// Events are missing before a stored one.
    Deleted "deleted",
    /// A stored event was never appended.
    Inserted "inserted",
    /// Events have exchanged their places.
    Swapped "swapped",
    /// An event is stored under a wrong version.
    Moved "moved",
    /// Two events follow the same event.
    Forked "forked",
    /// An event of another asset.
    Copied "copied",
    /// The last events are missing: another source knows them.
    Truncated "truncated",
    /// The history is a chain, but not the one in a checkpoint.
    Rewritten "rewritten",
    /// An asset in a checkpoint has no events left.
    Removed "removed",
    /// A stored item is no event, and there is no proof that it ever was.
    Malformed "malformed",
    /// An event of a type that this program does not know. A newer one may have written it.
    UnknownType "unknown-type",
    /// An event that is not later than the previous one.
    NotLater "not-later",
    /// A command that was recorded twice.
    CommandTwice "command-twice",
    /// An event that is impossible in the asset's state.
    Impossible "impossible",
    /// An event in another spelling than the ledger's.
    OddSpelling "odd-spelling",
    /// An event with a field over its limit.
    OverLimit "over-limit",
    /// An asset without a row.
    RowMissing "row-missing",
    /// A row with an earlier version that is not being updated.
    RowStale "row-stale",
    /// A row of an asset without events.
    RowOrphaned "row-orphaned",
    /// A row that its events did not produce.
    RowAltered "row-altered",
    /// The rows' position is one that this journal does not have.
    PositionLost "position-lost",
    /// Totals of a tenant that are not those of its assets.
    TotalsDrifted "totals-drifted",
    /// An asset that could not be projected and needs a person.
    Parked "parked",
    /// The pinned version of the object is gone.
    ObjectMissing "object-missing",
    /// The pinned version has other bytes than recorded.
    ObjectAltered "object-altered",
    /// An object of an asset that was purged, or is being purged.
    ObjectPresent "object-present",
    /// The bucket shows a change that no event records.
    ObjectUnrecorded "object-unrecorded",
    /// An object that no event names.
    ObjectStray "object-stray",
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}
