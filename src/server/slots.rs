//! Limits the connections of a listener. The limit follows from the descriptors that the process
//! may open, so connections never take those that the stores need.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// The maximum for one listener, with any number of descriptors: some 12 KiB each while idle.
const MOST: usize = 4_096;
/// Descriptors for the stores: three SQLite files with nine connections each, of three files, and
/// as many again for other purposes.
const RESERVE: u64 = 192;
/// The descriptor limit that the process requests, if it may raise its own.
const WANTED: u64 = 3 * MOST as u64 + RESERVE;
/// How long a new connection waits until an idle one is closed.
const ROOM: Duration = Duration::from_millis(100);

/// The connections of one listener.
pub(super) struct ConnectionLimit {
    permits: Arc<Semaphore>,
    /// The idle times are relative to this.
    began: Instant,
    open: Mutex<OpenSlots>,
}

/// The open connections by their numbers.
#[derive(Default)]
struct OpenSlots {
    next: u64,
    slots: BTreeMap<u64, Weak<ConnectionSlot>>,
}

/// The slot of one connection.
pub(super) struct ConnectionSlot {
    limit: Arc<ConnectionLimit>,
    number: u64,
    /// Nanoseconds until the connection became idle, and 1; 0 while a request is in progress. An
    /// own value for each connection, since a request changes it twice.
    idle_since: AtomicU64,
    /// Whether the connection was asked to end since it became idle.
    asked: AtomicBool,
    /// Whether it had a request.
    used: AtomicBool,
    /// Cancelled if the connection must end because another one needs its slot.
    pub(super) wanted: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionLimit {
    /// The limit by this process' descriptors, after raising their limit if possible.
    pub(super) fn by_descriptors() -> Arc<Self> {
        let _ = rlimit::increase_nofile_limit(WANTED);
        let limit = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(1_024, |(soft, _)| soft);
        Self::new(share(limit))
    }

    fn new(most: usize) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(most));
        Arc::new(Self { permits, began: Instant::now(), open: Mutex::default() })
    }

    /// A slot for a new connection: a free one, or that of the connection that was idle longest.
    /// `None` if none is idle.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Arc<ConnectionSlot>> {
        let permit = if let Ok(free) = Arc::clone(&self.permits).try_acquire_owned() {
            free
        } else {
            self.longest_idle()?.wanted.cancel();
            let freed = Arc::clone(&self.permits).acquire_owned();
            tokio::time::timeout(ROOM, freed).await.ok()?.ok()?
        };
        let mut open = self.open();
        let number = open.next;
        open.next += 1;
        let slot = Arc::new(ConnectionSlot {
            limit: Arc::clone(self),
            number,
            idle_since: AtomicU64::new(self.now()),
            asked: AtomicBool::new(false),
            used: AtomicBool::new(false),
            wanted: CancellationToken::new(),
            _permit: permit,
        });
        open.slots.insert(number, Arc::downgrade(&slot));
        Some(slot)
    }

    /// The connection that was idle longest, of those not asked to end yet. The search is short
    /// compared with accepting the connection that needs it.
    fn longest_idle(&self) -> Option<Arc<ConnectionSlot>> {
        let slots: Vec<_> = self.open().slots.values().filter_map(Weak::upgrade).collect();
        let idle = slots.into_iter().filter(|slot| !slot.asked.load(Ordering::Relaxed));
        let idle = idle.filter_map(|slot| Some((slot.idle_since()?, slot)));
        let (_, longest) = idle.min_by_key(|(since, _)| *since)?;
        longest.asked.store(true, Ordering::Relaxed);
        Some(longest)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn open(&self) -> MutexGuard<'_, OpenSlots> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The share of each listener: one connection of S3 may hold a file beside its socket, so both
/// listeners together take three descriptors for a connection of each.
fn share(descriptors: u64) -> usize {
    let share = descriptors.saturating_sub(RESERVE) / 3;
    usize::try_from(share).unwrap_or(MOST).clamp(8, MOST)
}

impl ConnectionSlot {
    /// A request arrived. The connection counts as busy until the result is dropped.
    pub(super) fn work(self: &Arc<Self>) -> Busy {
        self.idle_since.store(0, Ordering::Relaxed);
        self.used.store(true, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Whether there was no request yet, so that nothing is to be sent.
    pub(super) fn is_unused(&self) -> bool {
        !self.used.load(Ordering::Relaxed)
    }

    /// The client goes on reading the end of an answer, which counts as idle time.
    pub(super) fn reads_on(&self) {
        if self.idle_since.load(Ordering::Relaxed) > 0 {
            self.idle_since.store(self.limit.now(), Ordering::Relaxed);
        }
    }

    /// Since when no request is in progress.
    fn idle_since(&self) -> Option<Instant> {
        let since = self.idle_since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.limit.began + Duration::from_nanos(since))
    }

    /// Waits until the connection has been idle for `time`. Only a timer for the whole time, and
    /// none for each request.
    pub(super) async fn idles_for(&self, time: Duration) {
        loop {
            let since = self.idle_since().unwrap_or_else(Instant::now);
            if since.elapsed() >= time {
                return;
            }
            sleep_until(since + time).await;
        }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.limit.open().slots.remove(&self.number);
    }
}

/// A request in progress.
pub(super) struct Busy(Arc<ConnectionSlot>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.asked.store(false, Ordering::Relaxed);
        self.0.idle_since.store(self.0.limit.now(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_always_have_descriptors_left() {
        for descriptors in [1_024, 4_096, 65_536, u64::MAX] {
            let connections = share(descriptors) as u64;
            assert!(connections * 3 + RESERVE <= descriptors, "{descriptors}: {connections}");
        }
        assert_eq!((share(1_024), share(u64::MAX), share(0)), (277, MOST, 8));
    }

    #[tokio::test]
    async fn the_longest_idle_makes_room_and_one_at_work_never_does() {
        let slots = ConnectionLimit::new(2);
        let (first, second) = (slots.take().await.unwrap(), slots.take().await.unwrap());
        let busy = first.work();
        let freed = tokio::spawn({
            let wanted = second.wanted.clone();
            async move {
                wanted.cancelled().await;
                drop(second);
            }
        });
        let third = slots.take().await.unwrap();
        freed.await.unwrap();
        assert!(!first.wanted.is_cancelled());
        let _working = third.work();
        assert!(slots.take().await.is_none(), "all are at work");
        drop(busy);
        assert!(slots.take().await.is_none(), "it did not go");
        assert!(first.wanted.is_cancelled(), "it was idle again");
    }
}
