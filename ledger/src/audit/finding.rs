//! What an audit can find, each kind by a name that machines may rely on.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::chain::Hash;

/// Something that is not as the ledger left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// The partition that it was found under: `<tenant>#<asset>` or `<tenant>#<stream>`, or what
    /// somebody else wrote.
    pub asset: String,
    /// The version that it is about, where it is about one.
    pub version: Option<u64>,
    /// The hash that should be there, where that is known.
    pub expected: Option<Hash>,
    /// The hash that is there, where something is.
    pub found: Option<Hash>,
    /// The same for a person, in a sentence.
    pub says: String,
    /// What was done about it, if something was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<String>,
}

impl Finding {
    /// A finding about an asset as a whole; [`Finding::at`] and [`Finding::hashes`] say more.
    pub fn new(kind: FindingKind, asset: impl Into<String>, says: impl Into<String>) -> Self {
        let (asset, says) = (asset.into(), says.into());
        Self { kind, asset, version: None, expected: None, found: None, says, repair: None }
    }

    /// The same, about one version.
    #[must_use]
    pub fn at(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// The same, with the hash that should be there and the one that is.
    #[must_use]
    pub fn hashes(self, expected: Option<Hash>, found: Option<Hash>) -> Self {
        Self { expected, found, ..self }
    }
}

/// Makes the kinds and their names, so that adding one is one line.
macro_rules! kinds {
    ($( $(#[$meta:meta])* $kind:ident $name:literal, )*) => {
        /// The kinds of findings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind { $( $(#[$meta])* $kind, )* }

        impl FindingKind {
            /// All of them, those of the journal first.
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
    /// An event is not the one that was appended.
    Edited "edited",
    /// Events are missing before one that is there.
    Deleted "deleted",
    /// An event stands where none was appended.
    Inserted "inserted",
    /// Events stand in each other's places.
    Swapped "swapped",
    /// An event stands under another version than its own.
    Moved "moved",
    /// Two events name the same one as the one before them.
    Forked "forked",
    /// An event of another asset.
    Copied "copied",
    /// The last events are missing: something else remembers them.
    Truncated "truncated",
    /// The history hangs together, but is not the one that a checkpoint saw.
    Rewritten "rewritten",
    /// An asset that a checkpoint saw has no events left.
    Removed "removed",
    /// What is stored is no event, and nothing shows that it ever was one.
    Malformed "malformed",
    /// An event of a type that this program does not know. A newer one may have written it.
    UnknownType "unknown-type",
    /// An event that is not later than the one before it.
    NotLater "not-later",
    /// A command that was recorded twice.
    CommandTwice "command-twice",
    /// An event that cannot happen to what the asset was.
    Impossible "impossible",
    /// An event in another spelling than the one that the ledger writes.
    OddSpelling "odd-spelling",
    /// An event with a field that is over its limit.
    OverLimit "over-limit",
    /// An asset without a row.
    RowMissing "row-missing",
    /// A row that shows an earlier version, and is not on its way.
    RowStale "row-stale",
    /// A row of an asset that has no events.
    RowOrphaned "row-orphaned",
    /// A row that does not show what its events made.
    RowAltered "row-altered",
    /// The rows have followed a journal to a place that this one does not have.
    PositionLost "position-lost",
    /// An asset that could not be projected and waits for a person.
    Parked "parked",
    /// The pinned version of the object is gone.
    ObjectMissing "object-missing",
    /// The pinned version of the object has other bytes than were recorded.
    ObjectAltered "object-altered",
    /// An object that the ledger says was destroyed.
    ObjectPresent "object-present",
    /// The bucket shows something that happened, which no event records.
    ObjectUnrecorded "object-unrecorded",
    /// An object that no event speaks of.
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
