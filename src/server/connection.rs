//! One connection: limits on its client, and an end that lets the client read the answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::AnsweringService;
use super::answer::ResponseBody;
use super::memory::ResponseMemory;
use super::on_wake::OnWake;
use super::request::RequestBody;
use super::slots::ConnectionSlot;
use super::socket::Socket;

/// The time limit of a request's head, and of an idle connection: a client that sends a byte a
/// minute must not hold a connection forever.
const HEAD: Duration = Duration::from_mins(1);
/// Bytes of a request's head: the longest signed URL with its headers is a tenth of that.
const HEAD_MAX: usize = 32 << 10;
/// Bytes that are read or written at once, and so the buffer of a connection.
const BUFFER: usize = 64 << 10;
/// Bytes in the kernel that were not sent yet. Without a limit it takes megabytes for each client
/// that reads nothing, and has room again only when a third of them was read: a slow client would
/// be taken for one that reads nothing.
const UNSENT: u32 = 128 << 10;
/// How long a client may go on sending after the last answer: if the connection is closed at once,
/// the client's kernel discards the answer.
const LINGER: Duration = Duration::from_secs(2);
/// Connections over the limit that are refused with an answer concurrently; any more are closed.
const REFUSED_AT_ONCE: usize = 32;

/// The protocol of a listener, for answers before any handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The REST API: an answer is built completely before it is sent.
    Api,
    /// S3: bytes are streamed, and never held in memory.
    S3,
}

/// The API's answer without room: like its other problems, without a request id.
const API_BUSY: &str = concat!(
    r#"{"type":"about:blank","title":"Service Unavailable","status":503,"#,
    r#""detail":"too much is under way; try again","code":"server.busy","#,
    r#""error_message":"too much is under way; try again"}"#
);
/// The same in S3's form.
const S3_BUSY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code>\
    <Message>Please reduce your request rate.</Message></Error>";

impl Protocol {
    /// The answer of a server without room: media type and text.
    fn busy(self) -> (&'static str, &'static str) {
        match self {
            Self::Api => ("application/problem+json", API_BUSY),
            Self::S3 => ("application/xml", S3_BUSY),
        }
    }
}

/// Why a connection ends that its client keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Another one needs its slot.
    Wanted,
    /// The server stops.
    Stopped,
    /// The client sends no request.
    Silent,
}

/// The shared state of a listener's connections.
pub(super) struct ConnectionContext<S> {
    service: S,
    speaks: Protocol,
    stop: CancellationToken,
    memory: Arc<ResponseMemory>,
    refusals: Arc<Semaphore>,
}

impl<S: AnsweringService> ConnectionContext<S> {
    pub(super) fn new(service: S, speaks: Protocol, stop: CancellationToken) -> Self {
        let refusals = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
        Self { service, speaks, stop, memory: ResponseMemory::new(), refusals }
    }

    /// Serves one connection. A connection broken by the client is not logged.
    pub(super) async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        from: SocketAddr,
        slot: Arc<ConnectionSlot>,
    ) {
        // Answers are small and complete: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        let unread = Arc::new(AtomicBool::new(false));
        let answer = service_fn(|request| {
            Box::pin(Arc::clone(&self).answer(request, from, slot.clone(), unread.clone()))
        });
        let mut http = http1::Builder::new();
        // The slot knows since when the connection waits for a head.
        http.header_read_timeout(None).max_header_size(HEAD_MAX).max_buf_size(BUFFER);
        let socket = Socket::new(stream, Arc::clone(&self.memory), Arc::clone(&slot));
        let mut connection = http.serve_connection(TokioIo::new(socket), answer);
        let end = pin!(async {
            tokio::select! {
                () = slot.wanted.cancelled() => End::Wanted,
                () = self.stop.cancelled() => End::Stopped,
                () = slot.idles_for(HEAD) => End::Silent,
            }
        });
        // Its own poll, since it sends what is left before it shuts the socket down.
        let served = {
            let serving = poll_fn(|cx| Pin::new(&mut connection).poll(cx));
            tokio::select! {
                outcome = serving => Some(outcome),
                end = OnWake::new(end) => match end {
                    End::Silent => Some(Ok(())),
                    // hyper would wait for the rest of a first head.
                    End::Wanted if slot.is_unused() => Some(Ok(())),
                    End::Wanted | End::Stopped => None,
                },
            }
        };
        let outcome = if let Some(outcome) = served {
            outcome
        } else {
            Pin::new(&mut connection).graceful_shutdown();
            tokio::select! {
                outcome = poll_fn(|cx| Pin::new(&mut connection).poll(cx)) => outcome,
                () = slot.idles_for(HEAD) => Ok(()),
            }
        };
        // A refused head may be followed by more data, too.
        let refused = outcome.is_err_and(|error| error.is_parse());
        let stream = connection.into_parts().io.into_inner().stream;
        if refused || unread.load(Ordering::Acquire) {
            linger(stream).await;
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        from: SocketAddr,
        slot: Arc<ConnectionSlot>,
        unread: Arc<AtomicBool>,
    ) -> Result<Response<ResponseBody>, Infallible> {
        let busy = slot.work();
        let expects = request.headers().contains_key(header::EXPECT);
        let mut request = request.map(|body| {
            if body.is_end_stream() {
                return Body::empty();
            }
            Body::new(RequestBody::new(body, expects, unread))
        });
        request.extensions_mut().insert(ConnectInfo(from));
        let response = self.service.clone().oneshot(request).await?;
        // S3 answers are streamed, at any length.
        let held = (self.speaks == Protocol::Api).then(|| response.body().size_hint().exact());
        let (response, memory) = match self.memory.hold(held.flatten().unwrap_or_default()).await {
            Ok(memory) => (response, memory),
            Err(_) => (self.no_room(), None),
        };
        Ok(response.map(|body| ResponseBody::new(body, busy, memory)))
    }

    fn no_room(&self) -> Response<Body> {
        let (media_type, text) = self.speaks.busy();
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    /// Refuses a client's connection for lack of room.
    pub(super) fn refuse(&self, mut stream: TcpStream, connections: &mut JoinSet<()>) {
        tracing::warn!("refused a connection: the connection limit is reached");
        metrics::counter!("asset_ledger_connections_refused").increment(1);
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        let (media_type, text) = self.speaks.busy();
        connections.spawn(async move {
            let answer = format!(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {media_type}\r\n\
                 content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{text}",
                text.len()
            );
            let told = timeout(LINGER, stream.write_all(answer.as_bytes())).await;
            if matches!(told, Ok(Ok(()))) {
                linger(stream).await;
            }
            drop(permit);
        });
    }
}

/// Closes a connection whose client may still be sending, after the client has read the answer.
async fn linger(mut stream: TcpStream) {
    let rest = async {
        let _ = stream.shutdown().await;
        let mut thrown_away = [0; 4_096];
        while stream.read(&mut thrown_away).await.is_ok_and(|read| read > 0) {}
    };
    let _ = timeout(LINGER, rest).await;
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::{MethodRouter, get};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::task::JoinHandle;
    use tokio::time::{Instant, sleep};

    use super::super::slots::ConnectionLimit;
    use super::*;

    /// A request that takes longer than a client may be silent.
    const LONG: Duration = Duration::from_mins(3);

    /// A client that has sent this to a server with one answer.
    struct Conversation {
        client: TcpStream,
        memory: Arc<ResponseMemory>,
        serving: JoinHandle<()>,
    }

    impl Conversation {
        async fn begun(client: TcpSocket, answer: MethodRouter, sent: &[u8]) -> Self {
            let (service, stop) = (Router::new().fallback(answer), CancellationToken::new());
            let context = ConnectionContext::new(service, Protocol::Api, stop);
            let memory = Arc::clone(&context.memory);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = client.connect(listener.local_addr().unwrap()).await.unwrap();
            let (stream, from) = listener.accept().await.unwrap();
            let slot = ConnectionLimit::by_descriptors().take().await.unwrap();
            let serving = tokio::spawn(Arc::new(context).converse(stream, from, slot));
            client.write_all(sent).await.unwrap();
            Self { client, memory, serving }
        }
    }

    /// How long the server keeps the connection of a client that sends this and no more, and what
    /// it answers.
    async fn kept(sent: &'static [u8]) -> (Duration, String) {
        let answer = get(async || {
            sleep(LONG).await;
            "done"
        });
        let began = Instant::now();
        let client = TcpSocket::new_v4().unwrap();
        let Conversation { mut client, serving, .. } =
            Conversation::begun(client, answer, sent).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        serving.await.unwrap();
        (began.elapsed(), answer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_gets_a_long_answer_whole_and_its_memory_is_counted() {
        // More than the kernel's buffers take.
        const LONG_ANSWER: usize = 16 << 20;
        let answer = get(async || vec![7_u8; LONG_ANSWER]);
        let began = Instant::now();
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(64 << 10).unwrap();
        let head = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";
        let Conversation { mut client, memory, serving } =
            Conversation::begun(client, answer, head).await;
        let (mut sent, mut block) = (0, vec![0; 256 << 10]);
        loop {
            sleep(HEAD / 4).await;
            match client.read(&mut block).await.unwrap() {
                0 => break,
                read => sent += read,
            }
            if sent < LONG_ANSWER - (1 << 20) {
                assert!(memory.held_kib() >= LONG_ANSWER >> 10, "{} KiB", memory.held_kib());
            }
        }
        serving.await.unwrap();
        let time = began.elapsed();
        assert!(sent > LONG_ANSWER && time > HEAD * 2, "{sent} bytes, {time:?}");
        assert_eq!(memory.held_kib(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_is_whole_though_the_body_of_its_request_was_not_read() {
        const LONG_ANSWER: usize = 8 << 20;
        // hyper knows by then that the body is not read, and that this is the last answer.
        let answer = get(async || {
            sleep(Duration::from_millis(10)).await;
            vec![7_u8; LONG_ANSWER]
        });
        let head = b"GET / HTTP/1.1\r\nhost: here\r\nexpect: 100-continue\r\n\
            content-length: 9\r\n\r\n";
        let client = TcpSocket::new_v4().unwrap();
        let Conversation { mut client, serving, .. } =
            Conversation::begun(client, answer, head).await;
        sleep(Duration::from_secs(1)).await;
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        serving.await.unwrap();
        assert!(received.len() > LONG_ANSWER, "{} bytes", received.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_no_head_is_cut_off_and_one_that_waits_for_an_answer_is_not() {
        for silent in [&b""[..], b"GET / HTT", b"GET / HTTP/1.1\r\nhost: here\r\n"] {
            let (time, answer) = kept(silent).await;
            assert_eq!(answer, "", "{silent:?}");
            assert!(time >= HEAD && time < HEAD * 2, "{time:?}: {silent:?}");
        }
        let (time, answer) = kept(b"GET / HTTP/1.1\r\nhost: here\r\n\r\nGET / HTT").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
        assert!(time >= LONG + HEAD && time < LONG + HEAD * 2, "{time:?}");
    }
}
