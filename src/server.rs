//! The parts of a serving process: listeners, background tasks, and an orderly end.

mod answer;
mod connection;
mod memory;
mod on_wake;
mod request;
mod slots;
mod socket;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::Request;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use self::connection::ConnectionContext;
use self::slots::ConnectionLimit;

pub(crate) use self::connection::Protocol;
pub(crate) use self::request::TOO_SLOW;

/// How long requests in progress may take at a shutdown, by default.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);
/// The pause after a connection could not be accepted, mostly for lack of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// A bound address that answers nothing yet: the other parts need the address first.
pub(crate) struct BoundListener {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl BoundListener {
    pub(crate) async fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<Self> {
        let cannot = || format!("{flag} {address}: cannot listen there");
        let listener = TcpListener::bind(address).await.with_context(cannot)?;
        let address = listener.local_addr().with_context(cannot)?;
        Ok(Self { listener, address })
    }

    /// Answers until `stop`, then finishes the requests in progress. Dropping it interrupts them.
    pub(crate) async fn serve(
        self,
        service: impl AnsweringService,
        speaks: Protocol,
        stop: CancellationToken,
    ) {
        let slots = ConnectionLimit::by_descriptors();
        let door = Arc::new(ConnectionContext::new(service, speaks, stop.clone()));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, from)) => match slots.take().await {
                    Some(slot) => {
                        connections.spawn(Arc::clone(&door).converse(stream, from, slot));
                    }
                    None => door.refuse(stream, &mut connections),
                },
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }
}

/// What answers the requests of a listener: a router, or a service around one.
pub(crate) trait AnsweringService:
    Service<Request, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> AnsweringService for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Background tasks, which end together.
#[derive(Default)]
pub(crate) struct Tasks {
    /// Asks them to end.
    pub(crate) stop: CancellationToken,
    /// Ends the tasks that did not end in time.
    cut: CancellationToken,
    running: TaskTracker,
}

impl Tasks {
    pub(crate) fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.running.spawn(async move {
            tokio::select! {
                () = task => (),
                () = cut.cancelled() => (),
            }
        });
    }

    /// Asks the tasks to end, waits for them until `deadline`, and then interrupts them.
    pub(crate) async fn end(&self, deadline: Instant) {
        self.stop.cancel();
        self.running.close();
        if timeout_at(deadline, self.running.wait()).await.is_err() {
            tracing::warn!(
                "cancelled unfinished work at the deadline; no acknowledged write is lost"
            );
            self.cut.cancel();
        }
    }
}
