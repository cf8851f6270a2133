//! Limits the memory of answers that clients do not read. An answer of the API is built completely
//! before it is sent, so a client that requests a long one and reads nothing keeps it in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of an answer that is not counted: about the cost of any connection.
const SMALL: u64 = 64 << 10;
/// KiB of all longer answers together.
const ROOM: u32 = 24 << 10;
/// Answers that wait for room, which are in memory too.
const WAITING: usize = 16;
/// How long an answer waits: longer than it takes to disconnect a client that reads nothing.
const WAIT: Duration = Duration::from_secs(8);

/// The memory of one listener's answers.
pub(super) struct ResponseMemory {
    room: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// There is no room for an answer.
pub(super) struct OutOfMemory;

impl ResponseMemory {
    pub(super) fn new() -> Arc<Self> {
        let room = Arc::new(Semaphore::new(ROOM as usize));
        Arc::new(Self { room, waiting: AtomicUsize::new(0) })
    }

    #[cfg(test)]
    pub(super) fn held_kib(&self) -> usize {
        ROOM as usize - self.room.available_permits()
    }

    /// Whether answers wait for room.
    pub(super) fn is_short(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Reserves room for an answer of `bytes` until the result is dropped; none for a small one.
    pub(super) async fn hold(
        &self,
        bytes: u64,
    ) -> Result<Option<OwnedSemaphorePermit>, OutOfMemory> {
        if bytes <= SMALL {
            return Ok(None);
        }
        let needed = u32::try_from(bytes >> 10).unwrap_or(ROOM).min(ROOM);
        if let Ok(permit) = Arc::clone(&self.room).try_acquire_many_owned(needed) {
            return Ok(Some(permit));
        }
        let _waits = WaitingAnswer::counted(&self.waiting).ok_or(OutOfMemory)?;
        let room = Arc::clone(&self.room).acquire_many_owned(needed);
        timeout(WAIT, room).await.ok().and_then(Result::ok).map(Some).ok_or(OutOfMemory)
    }
}

struct WaitingAnswer<'a>(&'a AtomicUsize);

impl<'a> WaitingAnswer<'a> {
    fn counted(waiting: &'a AtomicUsize) -> Option<Self> {
        let waits = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(waits)
    }
}

impl Drop for WaitingAnswer<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn long_answers_wait_for_room_and_short_ones_never_do() {
        let memory = ResponseMemory::new();
        let whole = memory.hold(u64::from(ROOM) << 10).await.ok().flatten();
        assert!(whole.is_some() && !memory.is_short());
        assert!(memory.hold(SMALL).await.is_ok());
        let other = Arc::clone(&memory);
        let waits = tokio::spawn(async move { other.hold(SMALL + 1024).await.is_ok() });
        tokio::task::yield_now().await;
        assert!(memory.is_short());
        drop(whole);
        assert!(waits.await.unwrap() && !memory.is_short());
    }

    #[tokio::test(start_paused = true)]
    async fn who_gets_no_room_is_told() {
        let memory = ResponseMemory::new();
        let _whole = memory.hold(u64::MAX).await;
        assert!(memory.hold(SMALL * 2).await.is_err());
        assert!(!memory.is_short());
    }
}
