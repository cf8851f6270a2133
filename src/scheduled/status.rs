//! The jobs in `/readyz` and `/metrics`: the age and the findings of each last run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ledger::Effects;
use metrics::gauge;

use super::state::JobRun;
use crate::http::{Check, NotReady};
use crate::plural::count;

/// The minimum delay of a job before `/readyz` fails.
const GRACE: Duration = Duration::from_mins(15);

/// The status of every job.
pub(crate) struct ScheduleStatus {
    effects: Arc<dyn Effects>,
    started: DateTime<Utc>,
    jobs: Mutex<BTreeMap<&'static str, JobRecord>>,
}

#[derive(Clone)]
struct JobRecord {
    every: Duration,
    last: Option<JobRun>,
    failing: bool,
}

impl ScheduleStatus {
    pub(super) fn new(effects: Arc<dyn Effects>) -> Self {
        let started = effects.now();
        Self { effects, started, jobs: Mutex::default() }
    }

    pub(super) fn expect(&self, name: &'static str, every: Duration, last: Option<JobRun>) {
        self.lock().insert(name, JobRecord { every, last, failing: false });
    }

    /// Records the end of a run: completed, or failed.
    pub(super) fn ended(&self, name: &'static str, done: Option<JobRun>) {
        if let Some(job) = self.lock().get_mut(name) {
            job.failing = done.is_none();
            job.last = done.or(job.last.take());
        }
    }

    /// One check for each job.
    pub(crate) fn checks(self: &Arc<Self>) -> Vec<Arc<dyn Check>> {
        let names: Vec<_> = self.lock().keys().copied().collect();
        let check = |name| Arc::new(JobReadiness { name, of: Arc::clone(self) }) as Arc<dyn Check>;
        names.into_iter().map(check).collect()
    }

    /// Updates the gauges. The age of a job that never ran is infinite.
    #[allow(clippy::cast_precision_loss, reason = "nothing of which there are 2^52")]
    pub(crate) fn measure(&self) {
        let now = self.effects.now();
        for (name, job) in &*self.lock() {
            let age = job.last.as_ref().map_or(f64::INFINITY, |last| {
                (now - last.at).num_milliseconds().max(0) as f64 / 1_000.0
            });
            gauge!(format!("asset_ledger_{name}_age_seconds")).set(age);
            if let ("verify", Some(last)) = (*name, &job.last) {
                gauge!("asset_ledger_verify_last_findings").set(last.findings as f64);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, JobRecord>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The check of one job for `/readyz`.
struct JobReadiness {
    name: &'static str,
    of: Arc<ScheduleStatus>,
}

impl JobReadiness {
    /// The failure, and the information without a failure.
    fn look(&self) -> (Option<String>, Option<String>) {
        let Some(job) = self.of.lock().get(self.name).cloned() else { return (None, None) };
        let now = self.of.effects.now();
        let ago = |at: DateTime<Utc>| (now - at).num_seconds().max(0);
        let late = job.every + GRACE.max(job.every / 24);
        let since = job.last.as_ref().map_or(self.of.started, |last| last.at.max(self.of.started));
        let said = match &job.last {
            Some(last) => format!("{}, {} s ago", count(last.findings, "finding"), ago(last.at)),
            None => "not done yet".to_owned(),
        };
        let why = if job.failing { "it fails" } else { "it is not done" };
        let wrong = match &job.last {
            Some(JobRun { findings, tampered, .. }) if *findings > 0 => Some(format!(
                "{said}, {tampered} of them tampering or loss: see the log, or run \
                 `asset-ledger verify`"
            )),
            _ if now - since > TimeDelta::from_std(late).unwrap_or(TimeDelta::MAX) => {
                Some(format!("{said}, and {why}: see the log"))
            }
            _ => None,
        };
        (wrong, Some(said))
    }
}

#[async_trait]
impl Check for JobReadiness {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn check(&self) -> Result<(), NotReady> {
        self.look().0.map_or(Ok(()), |wrong| Err(NotReady(wrong)))
    }

    fn says(&self) -> Option<String> {
        self.look().1
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// A settable clock.
    #[derive(Default)]
    struct Set(AtomicI64);

    impl Effects for Set {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
        }

        fn random(&self) -> u128 {
            0
        }
    }

    const DAY: i64 = 86_400;

    fn done(clock: &Set, findings: u64) -> JobRun {
        JobRun { at: clock.now(), findings, tampered: findings / 2 }
    }

    #[tokio::test]
    async fn what_was_found_or_is_late_is_not_ready_and_its_age_is_told() {
        let clock = Arc::new(Set::default());
        let status = Arc::new(ScheduleStatus::new(clock.clone()));
        status.expect("verify", Duration::from_hours(24), None);
        let check = status.checks().remove(0);
        let wrong = async || check.check().await.err().map(|error| error.to_string());
        assert_eq!((wrong().await, check.says().as_deref()), (None, Some("not done yet")));
        clock.0.store(DAY + 3_600, Ordering::Relaxed);
        assert_eq!(wrong().await, None, "an hour late is soon enough");
        clock.0.store(DAY + 3_601, Ordering::Relaxed);
        assert_eq!(wrong().await.unwrap(), "not done yet, and it is not done: see the log");
        status.ended("verify", None);
        assert_eq!(wrong().await.unwrap(), "not done yet, and it fails: see the log");
        status.ended("verify", Some(done(&clock, 0)));
        clock.0.fetch_add(7, Ordering::Relaxed);
        assert_eq!(
            (wrong().await, check.says().unwrap()),
            (None, "0 findings, 7 s ago".to_owned())
        );
        status.ended("verify", Some(done(&clock, 5)));
        let told = wrong().await.unwrap();
        assert!(told.starts_with("5 findings, 0 s ago, 2 of them tampering"), "{told}");
        status.ended("verify", None);
        assert_eq!(wrong().await.unwrap(), told, "a failure takes no finding back");
    }

    #[tokio::test]
    async fn whoever_was_off_for_long_has_time_to_look_again() {
        let clock = Arc::new(Set::default());
        let last = Some(done(&clock, 0));
        clock.0.store(30 * DAY, Ordering::Relaxed);
        let status = Arc::new(ScheduleStatus::new(clock.clone()));
        status.expect("verify", Duration::from_hours(24), last);
        assert_eq!(status.checks()[0].check().await, Ok(()));
    }
}
