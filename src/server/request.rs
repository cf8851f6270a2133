//! The body of a request while it is received. It must arrive at a minimum rate. The rest of a
//! refused request is received within limits and discarded: otherwise a client that is still
//! sending would see a broken connection instead of the answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// The minimum rate in bytes a second, as in many web servers.
const MINIMUM_RATE: u64 = 1_024;
/// The period over which the rate is measured: a radio link may be silent for some seconds.
const WINDOW: Duration = Duration::from_secs(30);
/// Bytes of a refused request that are received.
const DRAIN: u64 = 64 << 20;
/// The time limit for that.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// A request's body.
pub(super) struct RequestBody {
    inner: Option<Incoming>,
    pace: MinimumRate,
    /// Whether the client waits for `100 Continue`, which is sent when the body is first polled.
    waits_for_continue: bool,
    /// Set if a part of a body was left on the connection.
    unread: Arc<AtomicBool>,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, waits_for_continue: bool, unread: Arc<AtomicBool>) -> Self {
        Self { inner: Some(inner), pace: MinimumRate::default(), waits_for_continue, unread }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        this.waits_for_continue = false;
        match Pin::new(inner).poll_frame(cx) {
            Poll::Pending if this.pace.is_too_slow(cx) => Poll::Ready(Some(Err(too_slow()))),
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let kept = this.pace.keeps_up(bytes as u64);
                Poll::Ready(Some(if kept { Ok(frame) } else { Err(too_slow()) }))
            }
            Poll::Ready(end) => {
                this.inner = None;
                Poll::Ready(end.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(rest) = self.inner.take().filter(|inner| !inner.is_end_stream()) else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if !self.waits_for_continue => {
                runtime.spawn(drain(rest, Arc::clone(&self.unread)));
            }
            // A client that waits for `100 Continue` does not get it, and sends nothing.
            _ => self.unread.store(true, Ordering::Release),
        }
    }
}

/// Receives and discards the rest of a body, within the limits.
async fn drain(mut rest: Incoming, unread: Arc<AtomicBool>) {
    let all = async {
        let mut left = DRAIN;
        while let Some(Ok(frame)) = rest.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            left = left.checked_sub(bytes)?;
        }
        Some(())
    };
    if !matches!(timeout(DRAIN_TIME, all).await, Ok(Some(()))) {
        unread.store(true, Ordering::Release);
    }
}

/// The text by which `s3` recognises it: s3s keeps only the text of an error.
pub(crate) const TOO_SLOW: &str = "the body came at less than 1024 bytes a second";

fn too_slow() -> axum::BoxError {
    io::Error::new(io::ErrorKind::TimedOut, TOO_SLOW).into()
}

/// Bytes received while waiting for the client. The processing time here does not count.
#[derive(Default)]
struct MinimumRate {
    bytes: u64,
    waited: Duration,
    since: Option<Instant>,
    end: Option<Pin<Box<Sleep>>>,
}

impl MinimumRate {
    /// No data: whether the period ends with too little.
    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let since = *self.since.get_or_insert_with(Instant::now);
            let window_end = since + WINDOW.saturating_sub(self.waited);
            let end = self.end.get_or_insert_with(|| Box::pin(sleep_until(window_end)));
            if end.as_mut().poll(cx).is_pending() {
                return false;
            }
            if !self.keeps_up(0) {
                return true;
            }
        }
    }

    /// Data arrived: whether it is enough, if a period ends.
    fn keeps_up(&mut self, bytes: u64) -> bool {
        self.end = None;
        self.waited += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.bytes += bytes;
        if self.waited < WINDOW {
            return true;
        }
        let enough = self.bytes >= MINIMUM_RATE * WINDOW.as_secs();
        (self.bytes, self.waited) = (0, Duration::ZERO);
        enough
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn told(slow: bool) -> Poll<()> {
        if slow { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether a client that sends `bytes` every `pause` is fast enough, for ten minutes.
    async fn keeps_up(bytes: u64, pause: Duration) -> bool {
        let (mut pace, began) = (MinimumRate::default(), Instant::now());
        while began.elapsed() < Duration::from_mins(10) {
            let slow = poll_fn(|cx| told(pace.is_too_slow(cx)));
            if timeout(pause, slow).await.is_ok() || !pace.keeps_up(bytes) {
                return false;
            }
        }
        true
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_ends_and_a_slow_one_does_not() {
        let second = Duration::from_secs(1);
        assert!(keeps_up(MINIMUM_RATE * 11 / 10, second).await);
        assert!(keeps_up(32 * MINIMUM_RATE, 20 * second).await, "silent for a while");
        assert!(!keeps_up(1, second).await);
        assert!(!keeps_up(MINIMUM_RATE / 2, second).await);
        assert!(!keeps_up(u64::from(u32::MAX), 40 * second).await, "silent for too long");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_fast_buys_no_more_than_a_window() {
        let (mut pace, began) = (MinimumRate::default(), Instant::now());
        assert!(pace.keeps_up(1 << 30));
        poll_fn(|cx| told(pace.is_too_slow(cx))).await;
        assert!(began.elapsed() <= 2 * WINDOW + Duration::from_secs(1), "{:?}", began.elapsed());
    }

    /// The error in a handler if the client sends nothing after the first byte.
    #[tokio::test(start_paused = true)]
    async fn a_handler_is_told_of_a_client_that_sends_too_little() {
        use hyper::service::service_fn;
        use hyper_util::rt::TokioIo;
        use tokio::io::AsyncWriteExt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client.write_all(b"PUT / HTTP/1.1\r\ncontent-length: 99\r\n\r\nx").await.unwrap();
        let (told, mut tells) = tokio::sync::mpsc::channel(1);
        let read = service_fn(move |request: hyper::Request<Incoming>| {
            let (told, unread) = (told.clone(), Arc::default());
            async move {
                let body = RequestBody::new(request.into_body(), false, unread);
                let error = body.collect().await.map(|_| ()).unwrap_err();
                told.send(error.to_string()).await.unwrap();
                Ok::<_, std::convert::Infallible>(hyper::Response::new(String::new()))
            }
        });
        let socket = TokioIo::new(listener.accept().await.unwrap().0);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(socket, read));
        let error = timeout(2 * WINDOW, tells.recv()).await.expect("it is never told");
        assert_eq!(error.as_deref(), Some(TOO_SLOW));
    }
}
