//! The threads that write and sync small uploads. To wake a thread costs more than to write a small
//! file, so few of them are kept at work: a further one is woken only if more jobs wait than
//! threads are at work, which take them next.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Threads that work at once whenever there is a job for each, so that few uploads do not wait for
/// each other's sync.
const ALWAYS: usize = 4;
/// The maximum number of threads.
const MOST: usize = 128;
/// How long a thread without a job is kept.
const IDLE: Duration = Duration::from_secs(10);

/// The threads. After this is dropped they end with their last job.
pub(super) struct SyncThreads(Arc<SyncQueue>);

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct SyncQueue {
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Threads with a job, or about to take one.
    working: usize,
    idle: usize,
    /// Idle threads that were woken and do not run yet; they count as working.
    wakes: usize,
    /// The same of threads that were started.
    starts: usize,
    ended: bool,
}

impl SyncThreads {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Runs `job` soon, which may block. If no thread can be started, it is dropped.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.0.locked();
        state.jobs.push_back(Box::new(job));
        let waiting = state.jobs.len().saturating_sub(state.wakes + state.starts);
        if waiting <= state.working && state.working >= ALWAYS {
            return;
        }
        if state.idle > 0 {
            (state.idle, state.wakes, state.working) =
                (state.idle - 1, state.wakes + 1, state.working + 1);
            drop(state);
            self.0.woken.notify_one();
        } else if state.working < MOST {
            let shared = Arc::clone(&self.0);
            let started =
                thread::Builder::new().name("objects-sync".to_owned()).spawn(move || shared.work());
            match started {
                Ok(_) => {
                    (state.working, state.starts) = (state.working + 1, state.starts + 1);
                }
                Err(error) if state.working == 0 => {
                    tracing::error!(%error, "cannot start a thread: an upload failed");
                    state.jobs.clear();
                }
                Err(error) => tracing::warn!(%error, "cannot start a further thread"),
            }
        }
    }
}

impl Drop for SyncThreads {
    fn drop(&mut self) {
        self.0.locked().ended = true;
        self.0.woken.notify_all();
    }
}

impl SyncQueue {
    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.locked();
        state.starts -= 1;
        loop {
            while let Some(job) = state.jobs.pop_front() {
                drop(state);
                // The caller of a job that panics gets no answer, which is an error for it.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("an upload panicked");
                }
                state = self.locked();
            }
            (state.idle, state.working) = (state.idle + 1, state.working - 1);
            let has_none = |state: &mut State| state.wakes == 0 && !state.ended;
            let waited = self.woken.wait_timeout_while(state, IDLE, has_none);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.wakes == 0 {
                state.idle -= 1; // too long without a job, or the end
                return;
            }
            state.wakes -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc::channel;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn every_job_runs_once_also_after_a_panic() {
        let (threads, (done, ends)) = (SyncThreads::new(), channel());
        // More panics than there may be threads.
        for round in 0..=MOST {
            for n in 0..40 {
                let done = done.clone();
                threads.run(move || {
                    done.send(round * 40 + n).unwrap();
                    assert!(n != 7, "as told");
                });
            }
            thread::yield_now();
        }
        let mut all: Vec<_> =
            (0..(MOST + 1) * 40).map(|_| ends.recv_timeout(SOON).unwrap()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..(MOST + 1) * 40));
        drop(done);
        assert!(ends.recv_timeout(SOON).is_err(), "none ran twice");
    }

    #[test]
    fn few_jobs_do_not_wait_for_each_other() {
        let (threads, (done, ends)) = (SyncThreads::new(), channel());
        let all = Arc::new(Barrier::new(ALWAYS));
        for _ in 0..ALWAYS {
            let (all, done) = (Arc::clone(&all), done.clone());
            threads.run(move || {
                all.wait();
                done.send(()).unwrap();
            });
        }
        (0..ALWAYS).for_each(|_| ends.recv_timeout(SOON).unwrap());
    }

    #[test]
    fn of_many_jobs_that_block_half_are_at_work_and_the_others_follow() {
        let (threads, (begun, begins)) = (SyncThreads::new(), channel());
        let gate = Arc::new(Barrier::new(9));
        for _ in 0..16 {
            let (gate, begun) = (Arc::clone(&gate), begun.clone());
            threads.run(move || {
                begun.send(()).unwrap();
                gate.wait();
            });
        }
        for _ in 0..2 {
            (0..8).for_each(|_| begins.recv_timeout(SOON).unwrap());
            assert!(begins.try_recv().is_err(), "more than half at once");
            gate.wait();
        }
    }

    #[test]
    fn threads_end_with_their_last_job() {
        let (threads, (done, ends)) = (SyncThreads::new(), channel());
        let shared = Arc::downgrade(&threads.0);
        for n in 0..100 {
            let done = done.clone();
            threads.run(move || done.send(n).unwrap());
        }
        drop((threads, done));
        assert_eq!(ends.iter().count(), 100);
        let begun = std::time::Instant::now();
        while shared.strong_count() > 0 {
            assert!(begun.elapsed() < IDLE / 2, "a thread is left");
            thread::yield_now();
        }
    }
}
