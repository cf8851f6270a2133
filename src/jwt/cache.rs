//! An issuer's keys as this process knows them: when they are believed, and when they are fetched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ledger::error::chain;
use tokio::sync::Mutex as Flight;
use tokio::time::Instant;

use super::jwk::Jwks;
use super::trust::TrustedIssuer;

/// How long keys are believed without asking: a key that its issuer withdrew ends within this time.
const FRESH: Duration = Duration::from_mins(15);
/// How long keys serve while the issuer is away.
const KEPT: Duration = Duration::from_hours(24);
/// One fetch in this time, for everybody, for keys that are stale, and one for unknown names:
/// anybody can make up names.
const PAUSE: Duration = Duration::from_secs(30);
/// The same while there are no keys at all: an issuer that comes back is noticed soon.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The port to an issuer's keys. A fetch ends in time, and its answer is limited in size.
#[async_trait]
pub(crate) trait JwksSource: Send + Sync {
    /// The keys as the issuer publishes them now.
    async fn fetch(&self, issuer: &TrustedIssuer) -> Result<Jwks, FetchError>;
}

/// Why there are no new keys. It has no part of a token.
pub(crate) type FetchError = Box<dyn std::error::Error + Send + Sync>;

/// The keys were never fetched, or too long ago, and the issuer does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IssuerAway;

/// The keys of one issuer. A clone shares them.
#[derive(Clone)]
pub(super) struct CachedKeys {
    issuer: Arc<TrustedIssuer>,
    source: Arc<dyn JwksSource>,
    /// Held by the one task that fetches.
    flight: Arc<Flight<()>>,
    known: Arc<Mutex<KeyState>>,
}

#[derive(Default)]
struct KeyState {
    keys: Option<(Arc<Jwks>, Instant)>,
    /// The last fetch.
    tried: Option<Instant>,
    /// The last fetch that an unknown name caused, or that did not bring the name.
    sought: Option<Instant>,
}

/// What to do about a name.
enum KeyPlan {
    Use(Arc<Jwks>),
    /// Fetch. Meanwhile others may use these.
    Fetch(Option<Arc<Jwks>>),
    Refuse,
}

impl CachedKeys {
    pub(super) fn new(issuer: Arc<TrustedIssuer>, source: Arc<dyn JwksSource>) -> Self {
        Self { issuer, source, flight: Arc::default(), known: Arc::default() }
    }

    /// Keys that have the name; or the latest keys, if they do not have it.
    pub(super) async fn keys(&self, kid: &str) -> Result<Arc<Jwks>, IssuerAway> {
        let stale = match self.known().plan(kid) {
            KeyPlan::Use(keys) => return Ok(keys),
            KeyPlan::Refuse => return Err(IssuerAway),
            KeyPlan::Fetch(stale) => stale.filter(|keys| keys.has(kid)),
        };
        let guard = match stale {
            None => Arc::clone(&self.flight).lock_owned().await,
            Some(stale) => match Arc::clone(&self.flight).try_lock_owned() {
                Ok(guard) => guard,
                Err(_) => return Ok(stale),
            },
        };
        // Another may have fetched while this one waited.
        match self.known().plan(kid) {
            KeyPlan::Use(keys) => return Ok(keys),
            KeyPlan::Refuse => return Err(IssuerAway),
            KeyPlan::Fetch(_) => {}
        }
        let (this, kid) = (self.clone(), kid.to_owned());
        // A caller who gives up does not end a fetch that others wait for.
        let fetched = tokio::spawn(async move {
            let _guard = guard;
            this.fetch(&kid).await
        });
        fetched.await.unwrap_or(Err(IssuerAway))
    }

    async fn fetch(&self, kid: &str) -> Result<Arc<Jwks>, IssuerAway> {
        let fetched = self.source.fetch(&self.issuer).await;
        let (mut known, now) = (self.known(), Instant::now());
        known.tried = Some(now);
        match fetched {
            Ok(keys) => known.keys = Some((Arc::new(keys), now)),
            Err(error) => {
                let (issuer, error) = (&*self.issuer.issuer, chain(&*error));
                tracing::warn!(issuer, error, "the keys of an issuer of tokens were not fetched");
            }
        }
        let keys = known.kept();
        if keys.as_ref().is_some_and(|keys| !keys.has(kid)) {
            known.sought = Some(now);
        }
        keys.ok_or(IssuerAway)
    }

    fn known(&self) -> MutexGuard<'_, KeyState> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyState {
    fn plan(&self, kid: &str) -> KeyPlan {
        let due = |last: Option<Instant>, pause| last.is_none_or(|last| last.elapsed() >= pause);
        let Some(keys) = self.kept() else {
            return if due(self.tried, FIRST_PAUSE) {
                KeyPlan::Fetch(None)
            } else {
                KeyPlan::Refuse
            };
        };
        let fresh = self.keys.as_ref().is_some_and(|(_, at)| at.elapsed() < FRESH);
        let refresh = !fresh && due(self.tried, PAUSE);
        let seek = !keys.has(kid) && due(self.sought, PAUSE);
        if refresh || seek { KeyPlan::Fetch(Some(keys)) } else { KeyPlan::Use(keys) }
    }

    fn kept(&self) -> Option<Arc<Jwks>> {
        let (keys, at) = self.keys.as_ref()?;
        (at.elapsed() < KEPT).then(|| Arc::clone(keys))
    }
}

#[cfg(test)]
mod tests;
