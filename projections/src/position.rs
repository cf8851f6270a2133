//! The position of a follower, stored with the rows that it wrote.

use async_trait::async_trait;
use ledger::StoreError;
use ledger::chain::Hash;
use ledger::history::History;
use ledger::id::Key;
use ledger::journal::Arrivals;

use crate::generations::Generation;
use crate::views::PutOutcome;

/// A position in a local journal, with the hash that identifies the journal.
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

    /// The last position of a journal.
    pub async fn last_of(arrivals: &dyn Arrivals) -> Result<Self, StoreError> {
        let latest = *arrivals.latest().borrow();
        let Some(before) = latest.checked_sub(1) else { return Ok(Self::BEGINNING) };
        let last = arrivals.arrivals(before, 1).await?.into_iter().next();
        let place =
            |last: ledger::journal::Arrival| Self { number: last.number, hash: last.hash() };
        Ok(last.map_or(Self::BEGINNING, place))
    }

    /// Whether the journal has the position's event at this number. If not, the rows are of another
    /// journal, or this one has lost events.
    pub async fn is_in(&self, arrivals: &dyn Arrivals) -> Result<bool, StoreError> {
        let Some(before) = self.number.checked_sub(1) else { return Ok(true) };
        let found = arrivals.arrivals(before, 1).await?;
        Ok(found.first().is_some_and(|it| it.number == self.number && it.hash() == self.hash))
    }
}

/// The result of saving rows together with a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PositionCommit {
    /// All are saved; the result of each row in the first generation.
    Moved(Vec<PutOutcome>),
    /// The position was not the expected one: nothing is saved.
    Elsewhere,
    /// The rows of these assets contradict their histories or cannot be stored, so they must be
    /// processed one by one: nothing is saved.
    Apart(Vec<Key>),
}

/// The store of a follower's position.
///
/// # Contract
/// * Rows and the position after them are saved in one transaction: neither exists without the
///   other, also after a crash of the machine.
/// * A position is moved only from the value that its follower read: of two followers, one fails.
/// * Each row is written as [`put_checked`](crate::Views::put_checked) does; if one contradicts its
///   history, nothing is saved.
/// * A call that fails may have taken effect; repeating it is safe.
#[async_trait]
pub trait Positions: Send + Sync {
    /// The position; for a new view, number 0.
    async fn load(&self) -> Result<Position, StoreError>;

    /// Writes the rows of the histories to each generation, and moves the position to `to` if it is
    /// still `from`.
    async fn commit(
        &self,
        generations: &[Generation],
        histories: &[History],
        from: &Position,
        to: &Position,
    ) -> Result<PositionCommit, StoreError>;
}
