//! The body of an answer while it is sent. Until at most the buffer of a connection is left of it,
//! the connection counts as busy, and its memory is counted.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::slots::Busy;

pub(super) struct ResponseBody {
    body: Body,
    /// Whether bytes of it were taken.
    begun: bool,
    _busy: Busy,
    _memory: Option<OwnedSemaphorePermit>,
}

impl ResponseBody {
    pub(super) fn new(body: Body, busy: Busy, memory: Option<OwnedSemaphorePermit>) -> Self {
        Self { body, begun: false, _busy: busy, _memory: memory }
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
        Pin::new(&mut self.body).poll_frame(cx)
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
