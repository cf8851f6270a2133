//! Rows that are ahead of their journal: the journal was restored from a copy, or the folder was
//! copied while it was written. Tampering, in contrast, leaves the journal's end in place.

use ledger::StoreError;
use ledger::audit::{Finding, FindingKind};
use ledger::journal::Arrivals;

use crate::position::Position;

/// The remedy in both cases.
const REMEDY: &str = "put the right journal back, or accept this one with `asset-ledger replay \
    --accept-restored`";

/// The finding if the rows' position, read before the journal, is not in the journal.
pub async fn followed(
    position: &Position,
    journal: &dyn Arrivals,
) -> Result<Option<Finding>, StoreError> {
    if position.is_in(journal).await? {
        return Ok(None);
    }
    let end = Position::last_of(journal).await?.number;
    let number = position.number;
    let says = if end < number {
        format!(
            "this journal is older than its rows, or its end was cut: it ends at arrival {end}, \
             and they have followed it to {number}. Rows that are newer than their events are of \
             that end; {REMEDY}"
        )
    } else {
        format!(
            "the rows have followed another journal than this: its arrival {number} is not the \
             event that they saw. That was edited, or cut and written over, or the journal was put \
             back and written to; {REMEDY}"
        )
    };
    let finding = Finding::new(FindingKind::PositionLost, "journal", says);
    Ok(Some(finding.hashes(Some(position.hash), None)))
}

#[cfg(test)]
mod tests {
    use ledger::chain::Hash;
    use ledger::testing::MemoryJournal;

    use super::*;
    use crate::testing::Story;

    async fn told(number: u64, hash: Option<Hash>) -> Option<Finding> {
        let (journal, story) = (MemoryJournal::default(), Story::begin("main", 1).received());
        story.append_to(&journal).await;
        let last = Position::last_of(&journal).await.unwrap();
        let hash = hash.unwrap_or(last.hash);
        followed(&Position { number, hash }, &journal).await.unwrap()
    }

    #[tokio::test]
    async fn a_journal_that_is_older_than_its_rows_is_named_as_that() {
        assert_eq!(told(2, None).await, None);
        assert_eq!(told(0, Some(Hash::ZERO)).await, None);
        let older = told(5, None).await.unwrap();
        assert_eq!(older.kind, FindingKind::PositionLost);
        assert!(older.says.contains("older than its rows"), "{}", older.says);
        assert!(older.says.contains("replay --accept-restored"), "{}", older.says);
    }

    #[tokio::test]
    async fn one_that_went_on_without_what_its_rows_saw_is_another() {
        let another = told(1, None).await.unwrap();
        assert_eq!(another.kind, FindingKind::PositionLost);
        assert!(another.says.contains("another journal"), "{}", another.says);
    }
}
