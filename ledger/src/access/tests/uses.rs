//! The last uses of keys: noted seldom, beside the requests.

use async_trait::async_trait;
use chrono::NaiveDate;

use super::*;
use crate::key_uses::{KeyUses, LastUses, MemoryKeyUses};

/// Uses that count the notes, and can be away or hang.
#[derive(Default)]
struct CountedUses {
    uses: MemoryKeyUses,
    notes: AtomicU64,
    away: AtomicU64,
    hangs: AtomicU64,
}

#[async_trait]
impl KeyUses for CountedUses {
    async fn note(&self, tenant: &Tenant, key: KeyId, day: NaiveDate) -> Result<(), StoreError> {
        self.notes.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) > 0 {
            std::future::pending::<()>().await;
        }
        if self.away.load(Ordering::Relaxed) > 0 {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "away"));
        }
        self.uses.note(tenant, key, day).await
    }

    async fn last_uses(&self, tenant: &Tenant) -> Result<LastUses, StoreError> {
        self.uses.last_uses(tenant).await
    }
}

struct UseWorld {
    counted: Arc<CountedUses>,
    effects: Arc<TestEffects>,
    service: AccessService,
}

impl UseWorld {
    fn new() -> Self {
        let (counted, effects) = (Arc::<CountedUses>::default(), Arc::new(TestEffects::seeded(1)));
        let service = AccessService::new(Arc::new(MemoryJournal::default()), effects.clone());
        Self { service: service.noting(counted.clone()), counted, effects }
    }

    /// Some requests with a key, each with the work beside it.
    async fn uses(&self, number: u64) {
        for _ in 0..9 {
            if let Some(noting) = self.service.used(&tenant(), id(number)) {
                noting.await;
            }
        }
    }

    fn notes(&self) -> u64 {
        self.counted.notes.swap(0, Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_is_noted_once_a_process_key_and_day() {
    let world = UseWorld::new();
    world.uses(1).await;
    world.uses(2).await;
    assert_eq!(world.notes(), 2);
    let today = world.effects.now().date_naive();
    let expected = [(id(1), today), (id(2), today)].into();
    assert_eq!(world.service.last_uses(&tenant()).await.unwrap(), expected);
    world.effects.advance(TimeDelta::days(1));
    world.uses(1).await;
    assert_eq!(world.notes(), 1);
    let tomorrow = world.effects.now().date_naive();
    assert!(tomorrow > today);
    let expected = [(id(1), tomorrow), (id(2), today)].into();
    assert_eq!(world.service.last_uses(&tenant()).await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_there_is_a_pause_and_the_use_is_not_lost() {
    let world = UseWorld::new();
    world.counted.away.store(1, Ordering::Relaxed);
    for key in 1..5 {
        world.uses(key).await;
    }
    assert_eq!(world.notes(), 1, "a store that is away is left alone");
    world.counted.away.store(0, Ordering::Relaxed);
    tokio::time::advance(Duration::from_secs(59)).await;
    world.uses(1).await;
    assert_eq!(world.notes(), 0);
    tokio::time::advance(Duration::from_secs(1)).await;
    for key in 1..5 {
        world.uses(key).await;
    }
    assert_eq!(world.notes(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_and_what_is_remembered_have_bounds() {
    let world = UseWorld::new();
    world.counted.hangs.store(1, Ordering::Relaxed);
    let begun: Vec<_> = (0..100).filter_map(|key| world.service.used(&tenant(), id(key))).collect();
    assert_eq!(begun.len(), 16);
    let world = UseWorld::new();
    for key in 0..=102_400 {
        world.service.used(&tenant(), id(key)).expect("the first of the day").await;
    }
    assert_eq!(world.notes(), 102_401);
    world.uses(0).await;
    assert_eq!(world.notes(), 1, "beyond the bound one may be noted twice");
}
