//! How far a follower has come, kept beside the rows that it wrote.

use async_trait::async_trait;
use ledger::StoreError;
use ledger::chain::Hash;
use ledger::history::History;
use ledger::id::Key;
use ledger::journal::Arrivals;

use crate::generations::Generation;
use crate::views::PutOutcome;

/// A place in a local journal, and how to recognise that journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The last arrival whose row is written; 0 before the first.
    pub number: u64,
    /// The hash of that event; zeros before the first.
    pub hash: Hash,
}

impl Position {
    /// Before the first arrival.
    pub const BEGINNING: Self = Self { number: 0, hash: Hash::ZERO };

    /// The last place of a journal.
    pub async fn last_of(arrivals: &dyn Arrivals) -> Result<Self, StoreError> {
        let latest = *arrivals.latest().borrow();
        let Some(before) = latest.checked_sub(1) else { return Ok(Self::BEGINNING) };
        let last = arrivals.arrivals(before, 1).await?.into_iter().next();
        let place =
            |last: ledger::journal::Arrival| Self { number: last.number, hash: last.hash() };
        Ok(last.map_or(Self::BEGINNING, place))
    }

    /// Whether the journal has the position's event at the position's place. If not, the rows are
    /// of another journal, or this one has lost events.
    pub async fn is_in(&self, arrivals: &dyn Arrivals) -> Result<bool, StoreError> {
        let Some(before) = self.number.checked_sub(1) else { return Ok(true) };
        let found = arrivals.arrivals(before, 1).await?;
        Ok(found.first().is_some_and(|it| it.number == self.number && it.hash() == self.hash))
    }
}

/// What became of rows and a position that were to be saved together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PositionCommit {
    /// All are saved; what became of each row in the first generation.
    Moved(Vec<PutOutcome>),
    /// The position was no longer where it was to be moved from: nothing is saved.
    Elsewhere,
    /// The rows of these assets contradict their histories or cannot be stored, so they are to be
    /// looked at one by one: nothing is saved.
    Apart(Vec<Key>),
}

/// Where followers keep their position.
///
/// # Contract
/// * Rows and the position after them are saved in one transaction: neither is ever there without
///   the other, also after a crash of the machine.
/// * A position moves on from where its follower found it, or not at all: of two followers one is
///   told that it came second.
/// * Each row is written as [`put_checked`](crate::Views::put_checked) does; where one contradicts
///   its history, nothing is saved.
/// * A call that fails may have taken effect; repeating it is safe.
#[async_trait]
pub trait Positions: Send + Sync {
    /// The position; of a new view, number 0.
    async fn load(&self) -> Result<Position, StoreError>;

    /// Writes the rows that the histories make to each generation, and moves the position to `to`
    /// if it still is `from`.
    async fn commit(
        &self,
        generations: &[Generation],
        histories: &[History],
        from: &Position,
        to: &Position,
    ) -> Result<PositionCommit, StoreError>;
}
