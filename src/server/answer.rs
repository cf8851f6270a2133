//! The body of an answer while it is sent. Until at most the buffer of a connection is left of it,
//! the connection counts as busy. Its memory is counted until it is freed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::slots::Busy;

pub(super) struct ResponseBody {
    body: Body,
    /// Whether bytes of it were taken.
    begun: bool,
    _busy: Busy,
    memory: Option<Arc<OwnedSemaphorePermit>>,
}

/// Bytes of an answer whose memory is counted until they are freed, which is after the last of them
/// is sent.
struct CountedBytes {
    bytes: Bytes,
    _memory: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ResponseBody {
    pub(super) fn new(body: Body, busy: Busy, memory: Option<OwnedSemaphorePermit>) -> Self {
        Self { body, begun: false, _busy: busy, memory: memory.map(Arc::new) }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.begun = true;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let counted = |bytes| match &self.memory {
            Some(memory) => Bytes::from_owner(CountedBytes { bytes, _memory: memory.clone() }),
            None => bytes,
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(counted))))
    }

    /// Only of an empty body: hyper drops a body as soon as it is at its end, when it has taken the
    /// last bytes and before it sends them. One that is not known to be at its end is dropped when
    /// hyper asks for more, with less than a buffer left to send.
    fn is_end_stream(&self) -> bool {
        !self.begun && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::memory::ResponseMemory;
    use super::super::slots::ConnectionLimit;
    use super::*;

    #[tokio::test]
    async fn memory_is_counted_until_the_bytes_are_freed() {
        let slot = ConnectionLimit::by_descriptors().take().await.unwrap();
        let memory = ResponseMemory::new();
        let held = memory.hold(1 << 20).await.ok().flatten();
        let mut body = ResponseBody::new(Body::from(vec![0; 1 << 20]), slot.work(), held);
        let bytes = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(bytes.len(), 1 << 20);
        drop(body);
        assert_eq!(memory.held_kib(), 1 << 10);
        drop(bytes);
        assert_eq!(memory.held_kib(), 0);
    }
}
