//! The list of generations and its transitions: pure, so that every store has the same rules.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Generation, LIST_LEASE};

/// The longest time of a batch: the timeout of the projector's function.
const BATCH_MAX: Duration = Duration::from_mins(1);
/// How long the rows of an unlisted generation stay: longer than a reader caches the list, plus a
/// list of rows in progress, and longer than a runner's batch that began at the end of its lease.
pub const DROP_GRACE: TimeDelta =
    TimeDelta::seconds((2 * LIST_LEASE.as_secs() + BATCH_MAX.as_secs()).cast_signed());

/// The list of generations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationList {
    /// The generation that is read.
    pub current: Generation,
    /// The generation that a replay is building.
    pub building: Option<Building>,
    /// The previous generation, kept up to date for a rollback.
    pub kept: Option<KeptGeneration>,
    /// Generations that are neither written nor read any more.
    pub dropped: Vec<DroppedGeneration>,
    /// The last number that was assigned.
    pub last: Generation,
    /// Rows of another journal, after an operator accepted a restored one: they are evidence of
    /// that journal, and are neither written nor read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Generation>,
}

/// A generation that is being built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Building {
    /// The generation.
    pub generation: Generation,
    /// The replay that announced it. It distinguishes two replays that announce at once.
    pub run: String,
    /// The time of the announcement.
    pub at: DateTime<Utc>,
}

/// A generation that is kept for a rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptGeneration {
    /// The generation.
    pub generation: Generation,
    /// The end of the period.
    pub until: DateTime<Utc>,
}

/// A generation whose rows may be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedGeneration {
    /// The generation.
    pub generation: Generation,
    /// The time from which they may be removed: before it, a reader or writer may use them.
    pub from: DateTime<Utc>,
}

/// Why a transition is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenerationsError {
    /// Only one can be built at a time.
    #[error("generation {0} is being built already")]
    Building(Generation),
    /// It was given up.
    #[error("generation {0} is not being built any more")]
    Gone(Generation),
    /// No generation is kept for a rollback.
    #[error("no earlier generation is kept")]
    NothingKept,
}

impl Default for GenerationList {
    fn default() -> Self {
        let (current, last) = (Generation::FIRST, Generation::FIRST);
        let (dropped, evidence) = (Vec::new(), Vec::new());
        Self { current, building: None, kept: None, dropped, last, evidence }
    }
}

impl GenerationList {
    /// The generations that every row is written to, the current one first.
    pub fn written(&self) -> impl Iterator<Item = Generation> {
        let building = self.building.as_ref().map(|building| building.generation);
        let kept = self.kept.as_ref().map(|kept| kept.generation);
        [Some(self.current), building, kept].into_iter().flatten()
    }

    /// With a new generation, which `run` is about to build.
    pub fn announced(&self, run: &str, at: DateTime<Utc>) -> Result<Self, GenerationsError> {
        if let Some(building) = &self.building {
            return Err(GenerationsError::Building(building.generation));
        }
        let generation = self.last.next();
        let building = Some(Building { generation, run: run.to_owned(), at });
        Ok(Self { building, last: generation, ..self.clone() })
    }

    /// With `built` as the current one, and the previous one kept for some time, or not.
    pub fn switched(
        &self,
        built: Generation,
        keep: Option<TimeDelta>,
        now: DateTime<Utc>,
    ) -> Result<Self, GenerationsError> {
        if self.building.as_ref().is_none_or(|building| building.generation != built) {
            return Err(GenerationsError::Gone(built));
        }
        let mut next = self.unkept(now);
        next.building = None;
        let before = std::mem::replace(&mut next.current, built);
        match keep {
            Some(keep) => {
                next.kept = Some(KeptGeneration { generation: before, until: now + keep });
            }
            None => next.drop_from(before, now),
        }
        Ok(next)
    }

    /// With the kept generation as the current one, and the other kept for as long.
    pub fn rolled_back(&self) -> Result<Self, GenerationsError> {
        let mut next = self.clone();
        let kept = next.kept.as_mut().ok_or(GenerationsError::NothingKept)?;
        std::mem::swap(&mut kept.generation, &mut next.current);
        Ok(next)
    }

    /// Without the one that is being built.
    #[must_use]
    pub fn given_up(&self, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        if let Some(building) = next.building.take() {
            next.drop_from(building.generation, now);
        }
        next
    }

    /// Without the one that is kept.
    #[must_use]
    pub fn unkept(&self, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        if let Some(kept) = next.kept.take() {
            next.drop_from(kept.generation, now);
        }
        next
    }

    /// Without the one that is kept, if its period is over.
    #[must_use]
    pub fn expired(&self, now: DateTime<Utc>) -> Self {
        let over = self.kept.as_ref().is_some_and(|kept| kept.until <= now);
        if over { self.unkept(now) } else { self.clone() }
    }

    /// The generations whose rows no reader or writer can be using any more.
    pub fn removable(&self, now: DateTime<Utc>) -> impl Iterator<Item = Generation> {
        self.dropped.iter().filter(move |it| it.from <= now).map(|it| it.generation)
    }

    /// Without one whose rows were removed.
    #[must_use]
    pub fn removed(&self, generation: Generation) -> Self {
        let mut next = self.clone();
        next.dropped.retain(|it| it.generation != generation);
        next
    }

    /// With `built` as the current one, and the previous one as evidence: it is of another journal,
    /// so it is not written any more, and it stays until an operator drops it.
    pub fn accepted(
        &self,
        built: Generation,
        now: DateTime<Utc>,
    ) -> Result<Self, GenerationsError> {
        let mut next = self.switched(built, None, now)?;
        next.dropped.retain(|it| it.generation != self.current);
        next.evidence.push(self.current);
        Ok(next)
    }

    /// Without those that are kept as evidence.
    #[must_use]
    pub fn without_evidence(&self, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        for generation in std::mem::take(&mut next.evidence) {
            next.drop_from(generation, now);
        }
        next
    }

    fn drop_from(&mut self, generation: Generation, now: DateTime<Utc>) {
        self.dropped.push(DroppedGeneration { generation, from: now + DROP_GRACE });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::current::CACHE_TTL;

    fn numbers(list: &GenerationList) -> Vec<u32> {
        list.written().map(Generation::number).collect()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    /// The second generation is current, the first is kept until 60.
    fn switched() -> GenerationList {
        let list = GenerationList::default().announced("a", at(0)).unwrap();
        list.switched(Generation(2), Some(TimeDelta::seconds(60)), at(0)).unwrap()
    }

    #[test]
    fn every_listed_generation_is_written_the_current_one_first() {
        assert_eq!(numbers(&GenerationList::default()), [1]);
        assert_eq!(numbers(&GenerationList::default().announced("a", at(0)).unwrap()), [1, 2]);
        assert_eq!(numbers(&switched()), [2, 1]);
        assert_eq!(numbers(&switched().announced("b", at(0)).unwrap()), [2, 3, 1]);
    }

    #[test]
    fn one_is_built_at_a_time_and_two_that_announce_one_can_be_told_apart() {
        let list = GenerationList::default().announced("a", at(0)).unwrap();
        assert_eq!(list.announced("b", at(0)), Err(GenerationsError::Building(Generation(2))));
        assert_ne!(Some(list), GenerationList::default().announced("b", at(0)).ok());
    }

    #[test]
    fn only_what_is_being_built_is_switched_to() {
        let list = GenerationList::default().announced("a", at(0)).unwrap().given_up(at(0));
        assert_eq!(
            list.switched(Generation(2), None, at(0)),
            Err(GenerationsError::Gone(Generation(2)))
        );
        let list = list.announced("b", at(0)).unwrap();
        assert_eq!(
            list.switched(Generation(2), None, at(0)),
            Err(GenerationsError::Gone(Generation(2)))
        );
        assert_eq!(list.switched(Generation(3), None, at(0)).unwrap().current, Generation(3));
    }

    #[test]
    fn numbers_are_never_used_again() {
        let list = GenerationList::default()
            .announced("a", at(0))
            .unwrap()
            .given_up(at(0))
            .removed(Generation(2));
        assert_eq!(list.announced("b", at(0)).unwrap().building.unwrap().generation.number(), 3);
    }

    #[test]
    fn going_back_can_itself_be_taken_back() {
        let back = switched().rolled_back().unwrap();
        assert_eq!((numbers(&back), back.kept.clone().unwrap().until), (vec![1, 2], at(60)));
        assert_eq!(back.rolled_back().unwrap(), switched());
        assert_eq!(GenerationList::default().rolled_back(), Err(GenerationsError::NothingKept));
    }

    #[test]
    fn what_is_kept_goes_when_its_time_is_over_or_another_is_kept() {
        assert_eq!(switched().expired(at(59)), switched());
        assert_eq!(numbers(&switched().expired(at(60))), [2]);
        let keep = Some(TimeDelta::seconds(60));
        let next = switched().announced("b", at(0)).unwrap().switched(Generation(3), keep, at(9));
        assert_eq!(numbers(&next.unwrap()), [3, 2]);
    }

    #[test]
    fn evidence_is_neither_written_nor_removed_before_a_person_drops_it() {
        let list = switched().announced("b", at(0)).unwrap().accepted(Generation(3), at(0));
        let list = list.unwrap();
        assert_eq!((numbers(&list), list.evidence.clone()), (vec![3], vec![Generation(2)]));
        assert_eq!(list.removable(at(9_999)).collect::<Vec<_>>(), [Generation(1)]);
        let next = list.announced("c", at(0)).unwrap().switched(Generation(4), None, at(0));
        assert_eq!(next.unwrap().expired(at(9_999)).evidence, [Generation(2)]);
        assert!(list.without_evidence(at(0)).removable(at(9_999)).any(|it| it == Generation(2)));
    }

    #[test]
    fn rows_are_removed_once_no_reader_can_hold_on_to_them() {
        let list = GenerationList::default().announced("a", at(0)).unwrap();
        let list = list.switched(Generation(2), None, at(0)).unwrap();
        let linger = DROP_GRACE.num_seconds();
        assert!(DROP_GRACE.to_std().unwrap() > 2 * CACHE_TTL);
        assert!(DROP_GRACE.to_std().unwrap() > LIST_LEASE + BATCH_MAX);
        assert_eq!(list.removable(at(linger - 1)).count(), 0);
        assert_eq!(list.removable(at(linger)).collect::<Vec<_>>(), [Generation(1)]);
        assert_eq!(list.removed(Generation(1)).dropped, []);
    }
}
