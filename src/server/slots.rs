//! Limits the connections of a listener. The limit follows from the descriptors that the process
//! may open, so connections never take those that the stores need.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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
    idle: Mutex<Idle>,
}

/// Connections without a request in progress, by the time since they are idle.
#[derive(Default)]
struct Idle {
    next: u64,
    order: BTreeMap<u64, CancellationToken>,
}

/// The slot of one connection.
pub(super) struct ConnectionSlot {
    slots: Arc<ConnectionLimit>,
    place: Mutex<Option<u64>>,
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
        Arc::new(Self { permits: Arc::new(Semaphore::new(most)), idle: Mutex::default() })
    }

    /// A slot for a new connection: a free one, or that of the connection that was idle longest.
    /// `None` if none is idle.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Arc<ConnectionSlot>> {
        let permit = if let Ok(free) = Arc::clone(&self.permits).try_acquire_owned() {
            free
        } else {
            let (_, wanted) = self.idle().order.pop_first()?;
            wanted.cancel();
            let freed = Arc::clone(&self.permits).acquire_owned();
            tokio::time::timeout(ROOM, freed).await.ok()?.ok()?
        };
        let slots = Arc::clone(self);
        let slot = ConnectionSlot {
            slots,
            place: Mutex::default(),
            wanted: CancellationToken::new(),
            _permit: permit,
        };
        slot.lies_idle();
        Some(Arc::new(slot))
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.leave();
        Busy(Arc::clone(self))
    }

    fn lies_idle(&self) {
        let mut idle = self.slots.idle();
        let place = idle.next;
        idle.next += 1;
        idle.order.insert(place, self.wanted.clone());
        *self.place() = Some(place);
    }

    fn leave(&self) {
        if let Some(place) = self.place().take() {
            self.slots.idle().order.remove(&place);
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<u64>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A request in progress.
pub(super) struct Busy(Arc<ConnectionSlot>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.lies_idle();
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
