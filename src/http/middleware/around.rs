//! The one layer around the routes. Each of axum's layers allocates, and copies all layers inside
//! it, for every request, so all steps are in one layer, each as a function.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures::future::BoxFuture;
use ledger::Effects;
use tower::{Layer, Service};
use tracing::Instrument;

use super::access_log::AccessLogLine;
use super::auth::Gate;
use super::origin::AllowedHosts;
use super::request_id::RequestId;
use super::{deadline, headers, legacy_envelope, panics, problems};

/// What the steps need; as a layer, it puts them around a route.
#[derive(Clone)]
pub(crate) struct Surroundings(Arc<Steps>);

struct Steps {
    effects: Arc<dyn Effects>,
    hosts: AllowedHosts,
    gate: Gate,
    deadline: Duration,
}

impl Surroundings {
    pub(crate) fn new(
        effects: Arc<dyn Effects>,
        hosts: AllowedHosts,
        gate: Gate,
        deadline: Duration,
    ) -> Self {
        Self(Arc::new(Steps { effects, hosts, gate, deadline }))
    }
}

impl Layer<Route> for Surroundings {
    type Service = SurroundedRoute;

    fn layer(&self, route: Route) -> SurroundedRoute {
        SurroundedRoute { steps: Arc::clone(&self.0), route }
    }
}

/// A route with all steps around it.
#[derive(Clone)]
pub(crate) struct SurroundedRoute {
    steps: Arc<Steps>,
    route: Route,
}

impl Service<Request> for SurroundedRoute {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // as a route always is
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { steps, route } = self.clone();
        Box::pin(async move { Ok(steps.answer(request, route).await) })
    }
}

impl Steps {
    /// Names the request, refuses other sites' pages, and writes the access log; writes errors as
    /// problem details, in the original service's form for clients that request it; sets safe
    /// headers.
    async fn answer(&self, mut request: Request, route: Route) -> Response {
        let id = RequestId::name(&mut request, &*self.effects);
        // Of the highest level, so that warnings show their request at any filter.
        let span = tracing::error_span!("request", id = id.as_str());
        let steps = async {
            let wrapped = legacy_envelope::is_wanted(&request);
            let line = AccessLogLine::begin(&request);
            let answer = match self.hosts.check(&request) {
                Ok(()) => self.handle(request, route).await,
                Err(problem) => problem.into_response(),
            };
            let answer = problems::render(answer, &id);
            line.write(&answer);
            if wrapped { Box::pin(legacy_envelope::wrap(answer)).await } else { answer }
        };
        let mut answer = steps.instrument(span).await;
        headers::secure(answer.headers_mut());
        id.tell(answer.headers_mut());
        answer
    }

    /// Lets the caller in and calls the route. Neither a panic nor a slow store keeps the client
    /// waiting.
    async fn handle(&self, request: Request, mut route: Route) -> Response {
        let answer = self.gate.admit(request, async |request| {
            let Ok(answer) = route.call(request).await;
            answer
        });
        deadline::limit(self.deadline, panics::catch(answer)).await
    }
}
