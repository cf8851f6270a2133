//! The assets whose rows contradict their histories, for the processes that execute commands.
//!
//! The list is short, and read periodically for all commands. If this process parks an asset, it is
//! reported here directly and takes effect at once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ledger::StoreError;
use ledger::error::chain;
use ledger::id::{AssetId, Key, Tenant};
use ledger::quarantine::Quarantine;
use tokio::time::Instant;

use crate::generations::Generations;

/// How long the list is cached.
pub const CACHE_TTL: Duration = Duration::from_secs(10);

/// The contradicted assets of a read table.
pub struct ContradictedAssets {
    views: Arc<dyn Generations>,
    known: Mutex<HashMap<Tenant, TenantQuarantine>>,
}

/// The list of one tenant, and the reports since.
#[derive(Default)]
struct TenantQuarantine {
    assets: HashSet<AssetId>,
    /// Assets reported by this process, with the time.
    told: HashMap<AssetId, Instant>,
    read: Option<Instant>,
}

impl TenantQuarantine {
    fn holds(&self, asset: AssetId) -> bool {
        self.assets.contains(&asset) || self.told.contains_key(&asset)
    }
}

impl ContradictedAssets {
    /// The contradicted assets of `views`.
    #[must_use]
    pub fn new(views: Arc<dyn Generations>) -> Self {
        Self { views, known: Mutex::default() }
    }

    /// Reports that an asset was just parked.
    pub(crate) fn tell(&self, key: &Key) {
        let mut known = self.known();
        let known = known.entry(key.tenant.clone()).or_default();
        known.told.insert(key.asset, Instant::now());
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Tenant, TenantQuarantine>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, tenant: &Tenant) -> Result<HashSet<AssetId>, StoreError> {
        let rows = self.views.rows(self.views.generations().await?.current);
        let parked = rows.contradicted(tenant, usize::MAX).await?;
        Ok(parked.into_iter().map(|parked| parked.key.asset).collect())
    }
}

#[async_trait]
impl Quarantine for ContradictedAssets {
    /// If the list cannot be read, the previous one is used. Without any, the answer is unknown,
    /// and the command must be retried.
    async fn holds(&self, key: &Key) -> Result<bool, StoreError> {
        let begun = Instant::now();
        let fresh =
            |known: &TenantQuarantine| known.read.is_some_and(|read| begun - read < CACHE_TTL);
        if let Some(known) = self.known().get(&key.tenant).filter(|known| fresh(known)) {
            return Ok(known.holds(key.asset));
        }
        let read = self.read(&key.tenant).await;
        let mut known = self.known();
        let known = known.entry(key.tenant.clone()).or_default();
        match read {
            Ok(assets) => {
                // A report during the read may not be in the list.
                known.told.retain(|_, told| *told >= begun);
                (known.assets, known.read) = (assets, Some(begun));
            }
            Err(error) if known.read.is_none() => return Err(error),
            Err(error) => {
                tracing::warn!(
                    cause = chain(&error),
                    "cannot refresh the list of contradicted assets"
                );
            }
        }
        Ok(known.holds(key.asset))
    }
}

#[cfg(test)]
mod tests {
    use ledger::asset::Declaration;
    use ledger::journal::Journal;
    use ledger::record::EventSource;
    use ledger::service::{Caller, LedgerService, Refusal};
    use ledger::testing::{Faulty, InjectedFault, MemoryBucket, MemoryJournal, TestEffects};

    use super::*;
    use crate::runner::{ProjectionHint, Runner};
    use crate::testing::{Clock, MemoryViews, Story};
    use crate::views::{Parked, Views};

    fn aside(story: &Story) -> Parked {
        let (key, version, at) = (story.key.clone(), story.version(), Clock::default().0);
        Parked { key, version, error: "cut".to_owned(), at, contradicted: true }
    }

    #[tokio::test(start_paused = true)]
    async fn the_list_is_read_for_many_commands_and_believed_for_ten_seconds() {
        let (reads, story) = (Arc::new(Mutex::new(0)), Story::begin("main", 1));
        let (counted, away) = (reads.clone(), Arc::new(Mutex::new(false)));
        let is_away = away.clone();
        let views = Arc::new(Faulty::planned(MemoryViews::default(), move |name| {
            *counted.lock().unwrap() += u32::from(name == "parked");
            is_away.lock().unwrap().then_some(InjectedFault::Before)
        }));
        let contradicted = ContradictedAssets::new(views.clone());
        *away.lock().unwrap() = true;
        contradicted.holds(&story.key).await.unwrap_err();
        *away.lock().unwrap() = false;
        for _ in 0..9 {
            assert!(!contradicted.holds(&story.key).await.unwrap());
        }
        assert_eq!(*reads.lock().unwrap(), 1, "the first call failed before");
        views.inner().park(&aside(&story)).await.unwrap();
        tokio::time::advance(CACHE_TTL).await;
        assert!(contradicted.holds(&story.key).await.unwrap());
        *away.lock().unwrap() = true;
        tokio::time::advance(CACHE_TTL).await;
        assert!(contradicted.holds(&story.key).await.unwrap(), "the last list is believed");
        *away.lock().unwrap() = false;
        views.inner().let_go(&aside(&story)).await.unwrap();
        tokio::time::advance(CACHE_TTL).await;
        assert!(!contradicted.holds(&story.key).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn commands_do_not_launder_a_cut() {
        let (journal, views) = (Arc::<MemoryJournal>::default(), Arc::<MemoryViews>::default());
        let whole = Story::begin("main", 1).received().uploaded().deleted();
        let hint = |version| ProjectionHint { key: whole.key.clone(), version, lines: Vec::new() };
        views.put(&whole.asset()).await.unwrap();
        // The delete was cut: in the journal the asset is uploaded.
        let cut = whole.first(3);
        cut.append_to(&*journal).await;
        let contradicted = Arc::new(ContradictedAssets::new(views.clone()));
        let runner = Runner::new(journal.clone(), views.clone(), Arc::new(Clock::default()));
        let runner = runner.telling(contradicted.clone());
        let effects = Arc::new(TestEffects::seeded(1));
        let bucket = Arc::<MemoryBucket>::default();
        let tenant = whole.key.tenant.clone();
        let service = LedgerService::new(journal.clone(), bucket, effects, "files")
            .guarded(contradicted.clone());
        let caller = Caller {
            tenant,
            actor: "a".into(),
            source: EventSource::Api,
            request: "r".into(),
            own_only: false,
        };
        let asset = whole.key.asset;
        // The first command is accepted: the asset is not parked yet. Its event is a new one.
        service.delete(&caller, asset, None, None).await.unwrap();
        assert_eq!(runner.project(&[hint(4)]).await.parked, 1);
        let refused = service.restore(&caller, asset, None).await.unwrap_err();
        assert!(matches!(refused, Refusal::Contradicted), "{refused}");
        let refused = service.look(&caller, asset).await.unwrap_err();
        assert!(matches!(refused, Refusal::Contradicted), "{refused}");
        assert_eq!(views.get(&whole.key).await.unwrap(), Some(whole.asset()), "the witness");
        assert_eq!(journal.history(&whole.key).await.unwrap().len(), 4);
        service.create(&caller, Declaration::plain()).await.unwrap();
    }
}
