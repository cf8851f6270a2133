//! Stores that fail before the effect, fail after it, or are slow.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::effects::Chance;
use crate::error::{StoreError, StoreErrorKind};
use crate::id::Key;
use crate::journal::{Arrival, Arrivals, Journal, JournalDecorator};
use crate::objects::{CurrentObject, Objects};

/// Calls after which [`persist`] gives up on a store that fails half of them: 2^64 to one.
const PATIENCE: u32 = 64;

/// Decides which calls of a store fail, and how.
pub trait FaultInjector: Send + Sync + 'static {
    /// Makes a call of `method`, or fails it before or after its effect.
    fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;
}

/// The rate and the kinds of faults. All stores of one world share it.
#[derive(Debug)]
pub struct Faults {
    chance: Chance,
    per_mille: AtomicU64,
    latency_ms: u64,
}

impl Faults {
    /// Faults drawn from `seed`: `per_mille` of the calls fail, and every call takes up to
    /// `latency_ms` of tokio's time.
    #[must_use]
    pub const fn new(seed: u64, per_mille: u64, latency_ms: u64) -> Self {
        Self { chance: Chance::new(seed), per_mille: AtomicU64::new(per_mille), latency_ms }
    }

    /// Stops all faults.
    pub fn stop(&self) {
        self.per_mille.store(0, Ordering::Relaxed);
    }

    async fn wait(&self) {
        if self.latency_ms > 0 {
            let ms = self.chance.below(self.latency_ms + 1);
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}

impl FaultInjector for Faults {
    async fn around<T: Send>(
        &self,
        _: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.wait().await;
        if !self.chance.happens(self.per_mille.load(Ordering::Relaxed)) {
            return call.await;
        }
        match self.chance.below(3) {
            0 => Err(StoreError::new(StoreErrorKind::Unavailable, "the request was lost")),
            1 => Err(StoreError::new(StoreErrorKind::Throttled, "too many requests")),
            _ => {
                call.await?;
                self.wait().await;
                Err(StoreError::new(StoreErrorKind::Unavailable, "the reply was lost"))
            }
        }
    }
}

/// Retries a call while its error says that the same call may succeed later.
pub async fn persist<T, C>(mut call: impl FnMut() -> C) -> Result<T, StoreError>
where
    C: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 1;
    loop {
        match call().await {
            Err(StoreError {
                kind: StoreErrorKind::Unavailable | StoreErrorKind::Throttled,
                ..
            }) if tries < PATIENCE => {
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// A plan of faults: asked before each call, by the method's name, whether and how to fail it.
pub struct FaultPlan(Box<Mutex<PlannedFault>>);

type PlannedFault = dyn FnMut(&'static str) -> Option<InjectedFault> + Send;

/// How a planned call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// It never reaches the store.
    Before,
    /// It takes effect, and the reply is lost.
    After,
}

impl FaultInjector for FaultPlan {
    async fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = self.0.lock().unwrap_or_else(PoisonError::into_inner)(method);
        let lost = |what| {
            Err(StoreError::new(StoreErrorKind::Unavailable, format!("{method}: lost {what}")))
        };
        match fault {
            None => call.await,
            Some(InjectedFault::Before) => lost("before it arrived"),
            Some(InjectedFault::After) => {
                call.await?;
                lost("with its answer")
            }
        }
    }
}

/// A store whose calls fail: at random as [`Faults`] says, or by a [`FaultPlan`]. It implements
/// each port that the store implements.
#[derive(Debug)]
pub struct Faulty<S: ?Sized, F = FaultPlan> {
    store: Arc<S>,
    faults: Arc<F>,
}

impl<S: ?Sized, F> Faulty<S, F> {
    /// `store` with faults.
    #[must_use]
    pub const fn new(store: Arc<S>, faults: Arc<F>) -> Self {
        Self { store, faults }
    }

    /// The inner store, which never fails.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// The inner store, for a caller that keeps it.
    #[must_use]
    pub fn share(&self) -> Arc<S> {
        self.store.clone()
    }

    /// Another store with the same faults.
    #[must_use]
    pub fn beside<T: ?Sized>(&self, store: Arc<T>) -> Faulty<T, F> {
        Faulty { store, faults: self.faults.clone() }
    }
}

impl<S: ?Sized> Faulty<S> {
    /// `store` with the faults of `plan`.
    pub fn planned(
        store: impl Into<Arc<S>>,
        plan: impl FnMut(&'static str) -> Option<InjectedFault> + Send + 'static,
    ) -> Self {
        let faults = Arc::new(FaultPlan(Box::new(Mutex::new(plan))));
        Self { store: store.into(), faults }
    }
}

impl<S: ?Sized, F: FaultInjector> Faulty<S, F> {
    /// Makes a call, or fails it.
    pub async fn call<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.faults.around(method, call).await
    }
}

impl<S: Journal + ?Sized, F: FaultInjector> JournalDecorator for Faulty<S, F> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.store
    }

    async fn around<T: Send>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.call(method, call).await
    }
}

#[async_trait]
impl<S: Arrivals + ?Sized, F: FaultInjector> Arrivals for Faulty<S, F> {
    async fn arrivals(&self, after: u64, limit: usize) -> Result<Vec<Arrival>, StoreError> {
        self.call("arrivals", self.store.arrivals(after, limit)).await
    }

    fn latest(&self) -> watch::Receiver<u64> {
        self.store.latest()
    }
}

#[async_trait]
impl<S: Objects + ?Sized, F: FaultInjector> Objects for Faulty<S, F> {
    async fn current(&self, key: &Key) -> Result<CurrentObject, StoreError> {
        self.call("current", self.store.current(key)).await
    }

    async fn exists(&self, key: &Key, version_id: &str) -> Result<bool, StoreError> {
        self.call("exists", self.store.exists(key, version_id)).await
    }

    async fn versions(&self, key: &Key) -> Result<Vec<String>, StoreError> {
        self.call("versions", self.store.versions(key)).await
    }

    async fn delete(&self, key: &Key, version_id: &str) -> Result<(), StoreError> {
        self.call("delete", self.store.delete(key, version_id)).await
    }
}
