//! A client's socket with a write timeout: writing fails if the client has read nothing for too
//! long.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::memory::ResponseMemory;
use super::slots::ConnectionSlot;

/// How long the kernel may take nothing more of an answer, because its client does not read.
const UNREAD: Duration = Duration::from_mins(1);
/// The same while other answers wait for the memory that its answer holds.
const UNREAD_WHEN_SHORT: Duration = Duration::from_secs(2);
/// The interval of checks of a stalled client.
const LOOK: Duration = Duration::from_secs(1);

pub(super) struct Socket {
    pub(super) stream: TcpStream,
    memory: Arc<ResponseMemory>,
    slot: Arc<ConnectionSlot>,
    stalled: Option<Stalled>,
}

/// A write that waits for the client.
struct Stalled {
    since: Instant,
    look: Pin<Box<Sleep>>,
}

impl Socket {
    pub(super) fn new(
        stream: TcpStream,
        memory: Arc<ResponseMemory>,
        slot: Arc<ConnectionSlot>,
    ) -> Self {
        Self { stream, memory, slot, stalled: None }
    }

    fn judge(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.stalled.take().is_some() {
                self.slot.reads_on();
            }
            return written;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Stalled { since: Instant::now(), look: Box::pin(sleep(LOOK)) });
        loop {
            ready!(stalled.look.as_mut().poll(cx));
            let limit = if self.memory.is_short() { UNREAD_WHEN_SHORT } else { UNREAD };
            if stalled.since.elapsed() >= limit {
                let text = "the client takes nothing of its answer";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)));
            }
            stalled.look.as_mut().reset(Instant::now() + LOOK);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::slots::ConnectionLimit;
    use super::*;

    /// How long a client may read nothing.
    async fn patience(memory: &Arc<ResponseMemory>) -> Duration {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let slot = ConnectionLimit::by_descriptors().take().await.unwrap();
        let mut socket = Socket::new(listener.accept().await.unwrap().0, Arc::clone(memory), slot);
        let began = Instant::now();
        let error = socket.write_all(&vec![0; 64 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off_and_sooner_when_memory_is_short() {
        let memory = ResponseMemory::new();
        let alone = patience(&memory).await;
        assert!(alone >= UNREAD && alone < UNREAD * 2, "{alone:?}");
        let _all = memory.hold(u64::MAX).await;
        let other = Arc::clone(&memory);
        tokio::spawn(async move { other.hold(u64::MAX).await.is_ok() });
        tokio::task::yield_now().await;
        let beside_others = patience(&memory).await;
        assert!(beside_others < UNREAD_WHEN_SHORT * 2, "{beside_others:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_time_begins_again_when_a_client_reads_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let slot = ConnectionLimit::by_descriptors().take().await.unwrap();
        let stream = listener.accept().await.unwrap().0;
        let mut socket = Socket::new(stream, ResponseMemory::new(), Arc::clone(&slot));
        let writing = tokio::spawn(async move { socket.write_all(&vec![0; 64 << 20]).await });
        sleep(UNREAD / 2).await;
        let mut block = Vec::new();
        client.take(32 << 20).read_to_end(&mut block).await.unwrap();
        let began = Instant::now();
        slot.idles_for(UNREAD).await;
        assert!(began.elapsed() >= UNREAD * 3 / 4, "{:?}", began.elapsed());
        writing.abort();
    }
}
