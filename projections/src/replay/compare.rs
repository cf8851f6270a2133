//! Compares the rows of a new generation with the current ones.
//!
//! Commands continue meanwhile, so a late row is not a difference: if the journal seems to lack an
//! event, both are read again, the row first and the journal after it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::asset::Asset;
use ledger::history::History;
use ledger::id::{Key, Tenant};
use ledger::{StoreError, service};

use super::fill::is_over;
use super::throttle::persist;
use super::walk::RowWalk;
use super::{Phase, Replay, ReplayError};
use crate::rows::{Rows, StoredRow};
use crate::runner::{ProjectedAsset, Runner};
use crate::totals::TenantSums;

/// Assets that are named; the rest is counted.
const NAMED: usize = 20;
/// Rows between two checks of the stop signal.
const STEP: u64 = 1_000;

/// How a current row differs from the fold of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// It does not differ.
    Same,
    /// It is late: the journal has later events.
    Lagging,
    /// It does not exist.
    Missing,
    /// Its last event is the journal's, but its content is not.
    Altered,
    /// It cannot be read.
    Unreadable,
    /// It is a tombstone that has expired: a replay leaves it out.
    Expired,
    /// Its last event is not the one of the journal at that version: one of them was forged, or the
    /// journal was cut and appended to again.
    Rewritten,
    /// It has later events than the journal.
    Beyond,
    /// The journal has no events of its asset.
    Orphaned,
}

impl Difference {
    /// Whether the journal may lack events or have been changed.
    #[must_use]
    pub fn speaks_against_the_journal(self) -> bool {
        self >= Self::Rewritten
    }
}

/// The number of differing rows, by difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// The number of rows by difference.
    pub counts: BTreeMap<Difference, u64>,
    /// Some that differ, by partition; those that contradict the journal first.
    pub named: Vec<(String, Difference)>,
}

impl Differences {
    /// The number of rows with this difference.
    #[must_use]
    pub fn count(&self, of: Difference) -> u64 {
        self.counts.get(&of).copied().unwrap_or_default()
    }

    /// Whether a row has an event that the journal does not have.
    #[must_use]
    pub fn speak_against_the_journal(&self) -> bool {
        self.counts.keys().any(|difference| difference.speaks_against_the_journal())
    }

    fn add(&mut self, id: String, difference: Difference) {
        *self.counts.entry(difference).or_default() += 1;
        if difference == Difference::Same {
            return;
        }
        if self.named.len() == NAMED && difference.speaks_against_the_journal() {
            self.named.pop_if(|(_, last)| !last.speaks_against_the_journal());
        }
        if self.named.len() < NAMED {
            let at = self.named.partition_point(|(_, there)| *there >= difference);
            self.named.insert(at, (id, difference));
        }
    }
}

/// The two generations of a tenant's rows.
struct ComparedGenerations<'a> {
    replay: &'a Replay,
    /// The runner that projects late rows, if they must be projected.
    runner: Option<&'a Runner>,
    tenant: Tenant,
    read: Arc<dyn Rows>,
    built: Arc<dyn Rows>,
}

impl Replay {
    /// The differences between the rows of `read` and those of `built`, and the sums of `built` by
    /// tenant; `None` if it was stopped.
    ///
    /// A late row may have events that are not in the feed yet. After the switch this could not be
    /// detected, so `runner` announces them first.
    pub(super) async fn compare(
        &self,
        read: Arc<dyn Rows>,
        built: Arc<dyn Rows>,
        runner: Option<&Runner>,
    ) -> Result<Option<(Differences, Vec<TenantSums>)>, ReplayError> {
        self.tally.enter(Phase::Comparing);
        let (mut found, mut all_sums) = (Differences::default(), Vec::new());
        for tenant in self.tenants(&[&read, &built]).await? {
            let (read, built) = (read.clone(), built.clone());
            let mut sums = TenantSums::begin(&tenant, &*self.effects);
            let sides = ComparedGenerations { replay: self, runner, tenant, read, built };
            if !sides.compare(&mut found, &mut sums).await? {
                return Ok(None);
            }
            all_sums.push(sums);
        }
        Ok(Some((found, all_sums)))
    }
}

/// The order of two rows; the end comes last.
fn order(left: Option<&StoredRow>, right: Option<&StoredRow>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => left.id.cmp(&right.id),
        (Some(_), None) => Ordering::Less,
        (None, _) => Ordering::Greater,
    }
}

impl ComparedGenerations<'_> {
    /// Compares the rows of the tenant; returns `false` if it was stopped.
    async fn compare(
        &self,
        found: &mut Differences,
        sums: &mut TenantSums,
    ) -> Result<bool, ReplayError> {
        let [mut old, mut new] = [&self.read, &self.built].map(|it| RowWalk::new(it, &self.tenant));
        let (tally, mut count) = (&self.replay.tally, 0);
        let (mut left, mut right) = (old.next().await?, new.next().await?);
        while left.is_some() || right.is_some() {
            let order = order(left.as_ref(), right.as_ref());
            let one = if order == Ordering::Greater { None } else { left.take() };
            let two = if order == Ordering::Less { None } else { right.take() };
            left = if one.is_some() { old.next().await? } else { left };
            right = if two.is_some() { new.next().await? } else { right };
            self.look(one, two, found, sums).await?;
            count += 1;
            if count % STEP == 0 {
                tally.compared(STEP);
                if *self.replay.stop.borrow() {
                    return Ok(false);
                }
            }
        }
        tally.compared(count % STEP);
        Ok(true)
    }

    /// Compares the rows of both sides under one key.
    async fn look(
        &self,
        read: Option<StoredRow>,
        built: Option<StoredRow>,
        found: &mut Differences,
        sums: &mut TenantSums,
    ) -> Result<(), ReplayError> {
        let Some(id) = read.as_ref().or(built.as_ref()).map(|row| row.id.clone()) else {
            return Ok(());
        };
        let mut built = built.map(|row| row.asset).transpose()?;
        let difference = match (read.map(|row| row.asset), &built) {
            (None, _) => Some(Difference::Missing),
            (Some(Err(_)), Some(_)) => Some(Difference::Unreadable),
            (Some(Ok(read)), Some(built)) if read.version < built.version => {
                Some(self.behind(&read).await?)
            }
            (Some(Ok(read)), Some(built)) if read.version == built.version => {
                Some(tell_apart(&read, built))
            }
            (Some(_), _) => {
                let (again, made) = self.look_again(&id).await?;
                built = made.or(built);
                again
            }
        };
        if let Some(built) = &built {
            sums.add(built);
        }
        if let Some(difference) = difference {
            self.announce(&id, difference).await?;
            found.add(format!("{}#{id}", self.tenant), difference);
        }
        Ok(())
    }

    /// Whether a row of an earlier version is only late. A row of an event that the history does
    /// not have may be the last evidence of an event that was cut before others were appended.
    async fn behind(&self, read: &Asset) -> Result<Difference, ReplayError> {
        match self.fold(&read.key).await {
            Ok(Some(history)) => Ok(late(read, &history)),
            Ok(None) => Ok(Difference::Orphaned),
            // The fill reports a history that does not verify.
            Err(error) if error.kind.is_of_one_asset() => Ok(Difference::Lagging),
            Err(error) => Err(error.into()),
        }
    }

    /// Projects an asset whose current row is late, which announces the missing events.
    async fn announce(&self, id: &str, difference: Difference) -> Result<(), ReplayError> {
        use Difference::{Lagging, Missing, Unreadable};
        let (Some(runner), Ok(asset)) = (self.runner, id.parse()) else { return Ok(()) };
        if !matches!(difference, Lagging | Missing | Unreadable) {
            return Ok(());
        }
        let key = Key { tenant: self.tenant.clone(), asset };
        let project = async || match runner.redrive(&key).await {
            Some(ProjectedAsset::Failed(error)) => Err(error),
            Some(ProjectedAsset::Row(_) | ProjectedAsset::Parked) | None => Ok(()),
        };
        Ok(persist(project).await?)
    }

    /// Reads a row that is ahead of the new generation, and then the journal; also returns the row
    /// that it puts there. No difference for a row whose history does not verify, which is reported
    /// as such.
    async fn look_again(
        &self,
        id: &str,
    ) -> Result<(Option<Difference>, Option<Asset>), ReplayError> {
        let only = |difference| Ok((Some(difference), None));
        let Ok(asset) = id.parse() else { return only(Difference::Orphaned) };
        let key = Key { tenant: self.tenant.clone(), asset };
        let read = match persist(|| self.read.get(&key)).await {
            Ok(Some(read)) => Some(read),
            Ok(None) => return only(Difference::Same), // a tombstone, swept meanwhile
            Err(error) if error.kind.is_of_one_asset() => None,
            Err(error) => return Err(error.into()),
        };
        let history = match self.fold(&key).await {
            Ok(Some(history)) => history,
            Ok(None) => return only(Difference::Orphaned),
            Err(error) if error.kind.is_of_one_asset() => return Ok((None, None)),
            Err(error) => return Err(error.into()),
        };
        let fold = history.asset();
        if is_over(fold, self.replay.effects.now()) {
            return only(Difference::Expired);
        }
        persist(|| self.built.put(fold)).await?;
        let difference = match read {
            None => Difference::Unreadable,
            Some(read) if read.version < fold.version => late(&read, &history),
            Some(read) => tell_apart(&read, fold),
        };
        Ok((Some(difference), Some(fold.clone())))
    }

    async fn fold(&self, key: &Key) -> Result<Option<History>, StoreError> {
        let lines = persist(|| self.replay.journal.history(key)).await?;
        service::read(key, lines)
    }
}

/// The difference of a row with an earlier version than its history.
fn late(read: &Asset, history: &History) -> Difference {
    let known = history.has(read.version, read.head);
    if known { Difference::Lagging } else { Difference::Rewritten }
}

fn tell_apart(read: &Asset, made: &Asset) -> Difference {
    match read.version.cmp(&made.version) {
        Ordering::Less => Difference::Lagging,
        Ordering::Greater => Difference::Beyond,
        Ordering::Equal if read == made => Difference::Same,
        Ordering::Equal if read.head == made.head => Difference::Altered,
        Ordering::Equal => Difference::Rewritten,
    }
}
