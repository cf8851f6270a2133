//! How the rows of a new generation differ from those that are read.
//!
//! Commands go on meanwhile, so a row that is merely on its way is not a difference: what looks as
//! if the journal lacked something is looked at again, row first and journal after.

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
use crate::views::Views;

/// Assets that are named; the rest is counted.
const NAMED: usize = 20;
/// Rows between two looks at whether to stop.
const STEP: u64 = 1_000;

/// How a row that is read differs from the one that the journal makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Not at all.
    Same,
    /// It lags: the journal has later events.
    Lagging,
    /// It is not there.
    Missing,
    /// Its last event is the journal's, and what it says is not.
    Altered,
    /// It cannot be read.
    Unreadable,
    /// It is a tombstone that has expired: a replay leaves it out.
    Expired,
    /// Its last event is another than the journal has at that version: either was forged, or the
    /// journal was cut and written to again.
    Rewritten,
    /// It knows later events than the journal has.
    Beyond,
    /// The journal has no events of its asset.
    Orphaned,
}

impl Difference {
    /// Whether it is the journal that may lack something, or have been changed.
    #[must_use]
    pub fn speaks_against_the_journal(self) -> bool {
        self >= Self::Rewritten
    }
}

/// How many rows differ, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Rows by how they differ.
    pub counts: BTreeMap<Difference, u64>,
    /// Some that differ, by partition; those that speak against the journal first.
    pub named: Vec<(String, Difference)>,
}

impl Differences {
    /// How many differ so.
    #[must_use]
    pub fn count(&self, of: Difference) -> u64 {
        self.counts.get(&of).copied().unwrap_or_default()
    }

    /// Whether a row knows something that the journal does not.
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

/// The two generations of a tenant's rows that are compared.
struct ComparedGenerations<'a> {
    replay: &'a Replay,
    /// Who brings a row that is behind up to the journal, if anybody should.
    runner: Option<&'a Runner>,
    tenant: Tenant,
    read: Arc<dyn Rows>,
    built: Arc<dyn Rows>,
}

impl Replay {
    /// How the rows of `read` differ from those of `built`; `None` if it was told to stop.
    ///
    /// A row that is behind stands for events that the feed may not have been told of either.
    /// Once the new rows are read nobody would notice that, so `runner` announces them first.
    pub(super) async fn compare(
        &self,
        read: Arc<dyn Rows>,
        built: Arc<dyn Rows>,
        runner: Option<&Runner>,
    ) -> Result<Option<Differences>, ReplayError> {
        self.tally.enter(Phase::Comparing);
        let mut found = Differences::default();
        for tenant in self.tenants(&[&read, &built]).await? {
            let (read, built) = (read.clone(), built.clone());
            let sides = ComparedGenerations { replay: self, runner, tenant, read, built };
            if !sides.compare(&mut found).await? {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }
}

/// Which of two rows comes first; what is at its end comes last.
fn order(left: Option<&StoredRow>, right: Option<&StoredRow>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => left.id.cmp(&right.id),
        (Some(_), None) => Ordering::Less,
        (None, _) => Ordering::Greater,
    }
}

impl ComparedGenerations<'_> {
    /// Compares the rows of the tenant; whether it was not told to stop.
    async fn compare(&self, found: &mut Differences) -> Result<bool, ReplayError> {
        let [mut old, mut new] = [&self.read, &self.built].map(|it| RowWalk::new(it, &self.tenant));
        let (tally, mut count) = (&self.replay.tally, 0);
        let (mut left, mut right) = (old.next().await?, new.next().await?);
        while left.is_some() || right.is_some() {
            let order = order(left.as_ref(), right.as_ref());
            let one = if order == Ordering::Greater { None } else { left.take() };
            let two = if order == Ordering::Less { None } else { right.take() };
            left = if one.is_some() { old.next().await? } else { left };
            right = if two.is_some() { new.next().await? } else { right };
            self.look(one, two, found).await?;
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

    /// Looks at what both sides have under one key.
    async fn look(
        &self,
        read: Option<StoredRow>,
        built: Option<StoredRow>,
        found: &mut Differences,
    ) -> Result<(), ReplayError> {
        let Some(id) = read.as_ref().or(built.as_ref()).map(|row| row.id.clone()) else {
            return Ok(());
        };
        let built = built.map(|row| row.asset).transpose()?;
        let difference = match (read.map(|row| row.asset), built) {
            (None, _) => Some(Difference::Missing),
            (Some(Err(_)), Some(_)) => Some(Difference::Unreadable),
            (Some(Ok(read)), Some(built)) if read.version < built.version => {
                Some(self.behind(&read).await?)
            }
            (Some(Ok(read)), Some(built)) if read.version == built.version => {
                Some(tell_apart(&read, &built))
            }
            (Some(_), _) => self.look_again(&id).await?,
        };
        if let Some(difference) = difference {
            self.announce(&id, difference).await?;
            found.add(format!("{}#{id}", self.tenant), difference);
        }
        Ok(())
    }

    /// Whether a row that shows an earlier version is merely late. One of an event that the history
    /// does not have may be the last that remembers what was cut before others were appended.
    async fn behind(&self, read: &Asset) -> Result<Difference, ReplayError> {
        match self.fold(&read.key).await {
            Ok(Some(history)) => Ok(late(read, &history)),
            Ok(None) => Ok(Difference::Orphaned),
            // That it does not verify is told by the filling.
            Err(error) if error.kind.is_of_one_asset() => Ok(Difference::Lagging),
            Err(error) => Err(error.into()),
        }
    }

    /// Projects an asset whose row that is read says too little, which announces what it lacks.
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

    /// Looks at a row that the new generation does not reach, and then at the journal. `None` for
    /// one whose history does not verify, which is told as that.
    async fn look_again(&self, id: &str) -> Result<Option<Difference>, ReplayError> {
        let Ok(asset) = id.parse() else { return Ok(Some(Difference::Orphaned)) };
        let key = Key { tenant: self.tenant.clone(), asset };
        let read = match persist(|| self.read.get(&key)).await {
            Ok(Some(read)) => Some(read),
            Ok(None) => return Ok(Some(Difference::Same)), // a tombstone, swept meanwhile
            Err(error) if error.kind.is_of_one_asset() => None,
            Err(error) => return Err(error.into()),
        };
        let history = match self.fold(&key).await {
            Ok(Some(history)) => history,
            Ok(None) => return Ok(Some(Difference::Orphaned)),
            Err(error) if error.kind.is_of_one_asset() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let fold = history.asset();
        if is_over(fold, self.replay.effects.now()) {
            return Ok(Some(Difference::Expired));
        }
        persist(|| self.built.put(fold)).await?;
        Ok(Some(match read {
            None => Difference::Unreadable,
            Some(read) if read.version < fold.version => late(&read, &history),
            Some(read) => tell_apart(&read, fold),
        }))
    }

    async fn fold(&self, key: &Key) -> Result<Option<History>, StoreError> {
        let lines = persist(|| self.replay.journal.history(key)).await?;
        service::read(key, lines)
    }
}

/// What a row is that shows an earlier version than its history has come to.
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
