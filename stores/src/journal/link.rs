//! Whether an event follows the last one of a history: the condition of an append.

use serde::Deserialize;

use ledger::chain::Hash;
use ledger::error::{StoreError, StoreErrorKind};
use ledger::record::StoredLine;

/// The `prev` of an event. A line without one, which no ledger wrote, only requires that a previous
/// event exists.
pub(super) fn prev(new: &StoredLine) -> Option<Hash> {
    #[derive(Deserialize)]
    struct Linked {
        prev: Hash,
    }
    serde_json::from_str(&new.body).ok().map(|Linked { prev }| prev)
}

/// Why `version`, with `prev` as the previous event's hash, does not follow `last`.
pub(super) fn refusal(
    version: u64,
    prev: Option<Hash>,
    last: Option<&StoredLine>,
) -> Option<String> {
    let end = last.map_or(0, |last| last.version);
    let names = |last: &&StoredLine| prev.is_none_or(|prev| prev == last.hash());
    if end >= version {
        Some(format!("the history has no version {version}, and yet a version {end}"))
    } else if end + 1 < version {
        Some(format!("the history ends before version {}: with version {end}", version - 1))
    } else if last.as_ref().is_some_and(|last| !names(last)) {
        Some(format!("version {end} is another event than the one that version {version} names"))
    } else {
        None
    }
}

/// The error of an append that was refused.
pub(super) fn broken(partition: &str, refusal: &str) -> StoreError {
    let context = format!(
        "journal: nothing was appended to {partition}: {refusal}. Look at it with `verify`"
    );
    StoreError::new(StoreErrorKind::Corrupt, context)
}
