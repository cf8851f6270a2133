//! What a process that serves is made of: listeners, what runs beside them, and an end in good
//! order.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests under way may take to finish when the process is told to stop.
const DRAIN: Duration = Duration::from_secs(30);

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
        // Answers are small and complete: waiting to fill a packet only delays them.
        let listener = self.listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, address = %self.address, "a listener broke");
        }
    }
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
