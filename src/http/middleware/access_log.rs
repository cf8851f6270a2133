//! The access log: one line for each request.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use tokio::time::Instant;

/// A line of the access log: the route, never the query or an id, which may contain anything.
pub(crate) struct AccessLogLine {
    started: Instant,
    method: Method,
    route: Option<MatchedPath>,
}

impl AccessLogLine {
    /// Notes what is asked.
    pub(crate) fn begin(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        Self { started: Instant::now(), method: request.method().clone(), route }
    }

    /// Writes the line, with what is answered.
    pub(crate) fn write(self, response: &Response) {
        let Self { started, method, route } = self;
        let route = route.as_ref().map_or("-", MatchedPath::as_str);
        let (status, ms) = (response.status().as_u16(), started.elapsed().as_secs_f64() * 1_000.0);
        tracing::info!(%method, route, status, ms, "answered");
    }
}
