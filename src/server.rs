//! What a process that serves is made of: listeners, what runs beside them, and an end in good
//! order.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// How long requests under way may take to finish when the process is told to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How long a request's head may take to come, and a connection may lie idle between two: whoever
/// sends a byte a minute must not hold a connection for ever.
const HEAD: Duration = Duration::from_mins(1);
/// The pause after a connection could not be taken, mostly for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// A bound address, before anything is answered on it: the other parts must know it first.
pub(crate) struct Bound {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Bound {
    pub(crate) async fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<Self> {
        let cannot = || format!("{flag} {address}: cannot listen there");
        let listener = TcpListener::bind(address).await.with_context(cannot)?;
        let address = listener.local_addr().with_context(cannot)?;
        Ok(Self { listener, address })
    }

    /// Answers until `stop`, then finishes the requests that are under way.
    pub(crate) async fn serve(self, router: Router, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, from)) => {
                    tokio::spawn(converse(stream, from, router.clone(), graceful.watcher()));
                }
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "a connection was not taken");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(self.listener);
        graceful.shutdown().await;
    }
}

/// Answers what comes over one connection. A client that breaks it is no news.
async fn converse(stream: TcpStream, from: SocketAddr, router: Router, watcher: Watcher) {
    // Answers are small and complete: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(from));
        router.clone().oneshot(request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let _ = watcher.watch(http.serve_connection(TokioIo::new(stream), answer)).await;
}

/// What runs beside its starter, and ends together.
#[derive(Default)]
pub(crate) struct Tasks {
    /// Tells them to end.
    pub(crate) stop: CancellationToken,
    running: TaskTracker,
}

impl Tasks {
    pub(crate) fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(task);
    }

    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.running.close();
        if tokio::time::timeout(DRAIN, self.running.wait()).await.is_err() {
            tracing::warn!("some work was cut off; nothing acknowledged is lost");
        }
    }
}
