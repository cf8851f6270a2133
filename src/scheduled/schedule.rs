//! The schedule: one job at a time, each a period after its last run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ledger::Effects;
use metrics::counter;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::state::{JobRun, JobState, LastRuns};
use super::status::ScheduleStatus;

/// The wait before the first job: pending requests and rows go first.
const DELAY: Duration = Duration::from_secs(10);
/// The wait after a run with findings, so that a repair becomes visible.
const AGAIN: Duration = Duration::from_mins(15);
/// The wait after a failure.
const RETRY: Duration = Duration::from_mins(5);
/// The longest sleep, so that a changed clock or a suspended machine is detected.
const NAP: Duration = Duration::from_mins(1);

/// A scheduled job.
#[async_trait]
pub(super) trait ScheduledJob: Send + Sync {
    /// Its stable name.
    fn name(&self) -> &'static str;

    /// Runs the job.
    async fn run(&self) -> anyhow::Result<JobFindings>;
}

/// The findings of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JobFindings {
    pub(super) findings: u64,
    pub(super) tampered: u64,
}

/// The jobs and their times.
pub(crate) struct Schedule {
    jobs: Vec<TimedJob>,
    effects: Arc<dyn Effects>,
    state: JobState,
    last: LastRuns,
    status: Arc<ScheduleStatus>,
    delay: Duration,
}

struct TimedJob {
    job: Box<dyn ScheduledJob>,
    every: Duration,
    due: DateTime<Utc>,
}

impl Schedule {
    /// A schedule without jobs, on a folder with the saved runs.
    pub(super) fn on(folder: &Path, effects: Arc<dyn Effects>) -> Self {
        let state = JobState::of(folder);
        let (last, status) = (state.load(), Arc::new(ScheduleStatus::new(effects.clone())));
        Self { jobs: Vec::new(), effects, state, last, status, delay: DELAY }
    }

    /// Adds a job with its period.
    pub(super) fn add(&mut self, job: Box<dyn ScheduledJob>, every: Duration) {
        let (now, last) = (self.effects.now(), self.last.get(job.name()).cloned());
        self.status.expect(job.name(), every, last.clone());
        let soon = now + span(self.delay.min(every));
        // A last run in the future is of another clock and is ignored.
        let next = last.filter(|last| last.at <= now).map_or(soon, |last| next(&last, every));
        self.jobs.push(TimedJob { job, every, due: next.max(soon) });
    }

    /// The status of the jobs.
    pub(crate) fn status(&self) -> Arc<ScheduleStatus> {
        Arc::clone(&self.status)
    }

    /// Runs due jobs until it is stopped. An interrupted job runs at the next start.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async { self.go_on().await }).await;
    }

    async fn go_on(&mut self) {
        while let Some(first) = (0..self.jobs.len()).min_by_key(|job| self.jobs[*job].due) {
            let wait = self.jobs[first].due - self.effects.now();
            match wait.to_std() {
                Ok(wait) if !wait.is_zero() => sleep(wait.min(NAP)).await,
                _ => self.turn(first).await,
            }
        }
    }

    async fn turn(&mut self, number: usize) {
        let TimedJob { job, every, .. } = &self.jobs[number];
        let (name, every) = (job.name(), *every);
        let ran = job.run().await;
        let now = self.effects.now();
        self.jobs[number].due = match ran {
            Ok(JobFindings { findings, tampered }) => {
                let done = JobRun { at: now, findings, tampered };
                let due = next(&done, every);
                self.keep(name, done);
                due
            }
            Err(error) => {
                tracing::error!(job = name, cause = format!("{error:#}"), "a scheduled job failed");
                counter!("asset_ledger_scheduled_failures", "job" => name).increment(1);
                self.status.ended(name, None);
                now + span(RETRY.min(every))
            }
        };
    }

    fn keep(&mut self, name: &'static str, done: JobRun) {
        self.last.insert(name.to_owned(), done.clone());
        self.status.ended(name, Some(done));
        if let Err(error) = self.state.save(&self.last) {
            tracing::warn!(job = name, %error, "cannot save the time of the job's last run");
        }
    }
}

/// The time of the next run.
fn next(last: &JobRun, every: Duration) -> DateTime<Utc> {
    last.at + span(if last.findings > 0 { AGAIN.min(every) } else { every })
}

/// A duration of the clock; one that overflows is infinite.
fn span(of: Duration) -> TimeDelta {
    TimeDelta::from_std(of).unwrap_or(TimeDelta::days(36_500))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tempfile::TempDir;
    use tokio::time::Instant;

    use super::*;

    /// Tokio's time, which is paused in a test, as the clock.
    struct Paused(Instant);

    impl Effects for Paused {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH + span(self.0.elapsed())
        }

        fn random(&self) -> u128 {
            0
        }
    }

    /// A job that reports its runs, and returns findings or an error as set.
    struct Told {
        name: &'static str,
        ran: Arc<Mutex<Vec<(&'static str, i64)>>>,
        clock: Arc<Paused>,
        finds: fn(usize) -> Option<u64>,
    }

    #[async_trait]
    impl ScheduledJob for Told {
        fn name(&self) -> &'static str {
            self.name
        }

        async fn run(&self) -> anyhow::Result<JobFindings> {
            sleep(Duration::from_secs(2)).await;
            let mut ran = self.ran.lock().unwrap();
            ran.push((self.name, (self.clock.now() - DateTime::UNIX_EPOCH).num_seconds()));
            let findings = (self.finds)(ran.len());
            let findings = findings.ok_or_else(|| anyhow::anyhow!("away"))?;
            Ok(JobFindings { findings, tampered: findings })
        }
    }

    struct World {
        folder: TempDir,
        clock: Arc<Paused>,
        ran: Arc<Mutex<Vec<(&'static str, i64)>>>,
    }

    /// The findings of a job's nth run; `None` for a failure.
    type Finds = fn(usize) -> Option<u64>;

    impl World {
        fn new() -> Self {
            let clock = Arc::new(Paused(Instant::now()));
            Self { folder: tempfile::tempdir().unwrap(), clock, ran: Arc::default() }
        }

        /// Runs a schedule for a time, and returns the runs.
        async fn live(
            &self,
            jobs: &[(&'static str, u64, Finds)],
            seconds: u64,
        ) -> Vec<(&'static str, i64)> {
            let mut schedule = Schedule::on(self.folder.path(), self.clock.clone());
            for (name, every, finds) in jobs {
                let (ran, clock) = (self.ran.clone(), self.clock.clone());
                let job = Told { name, ran, clock, finds: *finds };
                schedule.add(Box::new(job), Duration::from_secs(*every));
            }
            let stop = CancellationToken::new();
            let run = schedule.run(stop.clone());
            let _ = tokio::time::timeout(Duration::from_secs(seconds), run).await;
            std::mem::take(&mut *self.ran.lock().unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_after_a_delay_and_then_every_so_often() {
        let world = World::new();
        let jobs: [(_, _, Finds); 2] =
            [("verify", 100, |_| Some(0)), ("checkpoint", 60, |_| Some(0))];
        let ran = world.live(&jobs, 180).await;
        let expected = [
            ("verify", 12),
            ("checkpoint", 14),
            ("checkpoint", 76),
            ("verify", 114),
            ("checkpoint", 138),
        ];
        assert_eq!(ran, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_neither_begins_anew_nor_forgets() {
        let world = World::new();
        let clean: [(_, _, fn(usize) -> _); 1] = [("verify", 1_000, |_| Some(0))];
        assert_eq!(world.live(&clean, 100).await, [("verify", 12)]);
        assert_eq!(world.live(&clean, 100).await, []);
        assert_eq!(world.live(&clean, 1_000).await, [("verify", 1_014)]);
        sleep(Duration::from_secs(5_000)).await;
        assert_eq!(world.live(&clean, 100).await, [("verify", 6_212)], "older than its period");
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_again_and_what_was_found_is_looked_at_sooner() {
        let world = World::new();
        let jobs: [(_, _, fn(usize) -> _); 1] = [("verify", 86_400, |run| match run {
            1 => None,
            2 => Some(3),
            _ => Some(0),
        })];
        let ran = world.live(&jobs, 80_000).await;
        let (retry, again) = (12 + 300 + 2, 12 + 300 + 2 + 900 + 2);
        assert_eq!(ran, [("verify", 12), ("verify", retry), ("verify", again)]);
    }
}
