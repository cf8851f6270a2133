//! The rate limit of each caller, and its headers.
//!
//! The limit is one of this process, by the caller's subject: a client is never limited by its
//! address, which many share behind one proxy. The headers are those of the IETF draft
//! `draft-ietf-httpapi-ratelimit-headers`.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use ledger::id::Tenant;

use crate::http::errors::{Code, Problem};

/// The policy of a caller.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What a caller has left.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Requests between two removals of callers that have been idle.
const TIDY: u32 = 10_000;

/// How many requests a caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePolicy {
    /// Requests a second in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
}

impl RatePolicy {
    /// The time in which an empty burst becomes full.
    fn window(self) -> u32 {
        self.burst.get().div_ceil(self.per_second.get())
    }
}

/// The rate limit of every caller.
pub(crate) struct CallerRates<C: Clock = DefaultClock> {
    policy: RatePolicy,
    limiter: RateLimiter<String, DefaultKeyedStateStore<String>, C, StateInformationMiddleware>,
    clock: C,
    requests: AtomicU32,
}

impl CallerRates {
    pub(crate) fn new(policy: RatePolicy) -> Self {
        Self::by(policy, DefaultClock::default())
    }
}

impl<C: Clock + Clone> CallerRates<C> {
    fn by(policy: RatePolicy, clock: C) -> Self {
        let quota = Quota::per_second(policy.per_second).allow_burst(policy.burst);
        let limiter = RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock.clone());
        Self { policy, limiter, clock, requests: AtomicU32::new(0) }
    }

    /// Admits a request of a caller, and returns the headers of its answer; or refuses it.
    pub(crate) fn admit(&self, tenant: &Tenant, subject: &str) -> Result<HeaderMap, Problem> {
        if self.requests.fetch_add(1, Ordering::Relaxed) % TIDY == TIDY - 1 {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key(&format!("{tenant}#{subject}")) {
            Ok(left) => Ok(self.headers(&left)),
            Err(early) => Err(self.refused(early.wait_time_from(self.clock.now()))),
        }
    }

    fn headers(&self, left: &StateSnapshot) -> HeaderMap {
        let (burst, window) = (self.policy.burst, self.policy.window());
        let left = left.remaining_burst_capacity();
        let policy = format!("\"caller\";q={burst};w={window}");
        let headers = [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, format!("\"caller\";r={left}"))];
        let valid = |(name, value)| Some((name, HeaderValue::try_from(value).ok()?));
        headers.into_iter().filter_map(valid).collect()
    }

    fn refused(&self, wait: Duration) -> Problem {
        let RatePolicy { per_second, burst } = self.policy;
        let detail = format!(
            "a caller may make {per_second} requests a second, and {burst} at once; try again later"
        );
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Problem::new(Code::RateLimited, detail).retry_after(seconds.max(1))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_caller_has_a_burst_then_a_rate_and_takes_nothing_from_others() {
        let number = |it| NonZeroU32::new(it).unwrap();
        let clock = FakeRelativeClock::default();
        let policy = RatePolicy { per_second: number(2), burst: number(5) };
        let rates = CallerRates::by(policy, clock.clone());
        let [one, other]: [Tenant; 2] = ["one", "other"].map(|name| name.parse().unwrap());
        for left in (0..5).rev() {
            let headers = rates.admit(&one, "key:1").unwrap();
            assert_eq!(headers["ratelimit"], format!("\"caller\";r={left}"));
            assert_eq!(headers["ratelimit-policy"], "\"caller\";q=5;w=3");
        }
        assert!(rates.admit(&one, "key:1").is_err());
        assert!(rates.admit(&other, "key:1").is_ok());
        assert!(rates.admit(&one, "key:2").is_ok());
        clock.advance(Duration::from_millis(500));
        assert!(rates.admit(&one, "key:1").is_ok());
        assert!(rates.admit(&one, "key:1").is_err());
    }

    #[test]
    fn callers_that_are_idle_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let one = NonZeroU32::MIN;
        let rates = CallerRates::by(RatePolicy { per_second: one, burst: one }, clock.clone());
        let tenant = Tenant::default();
        for caller in 0..TIDY - 1 {
            assert!(rates.admit(&tenant, &caller.to_string()).is_ok());
        }
        assert_eq!(rates.limiter.len(), 9_999);
        clock.advance(Duration::from_secs(10));
        assert!(rates.admit(&tenant, "last").is_ok());
        assert_eq!(rates.limiter.len(), 1);
    }
}
