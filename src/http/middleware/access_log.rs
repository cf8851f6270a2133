//! The access log: one line for each request.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::response::Response;
use tokio::time::Instant;

use crate::logging::MAY_WAIT;

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
        let status = response.status();
        let failed = status.is_client_error() || status.is_server_error();
        // Of whole microseconds: further digits would be noise.
        let micros = u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX);
        let (status, ms) = (status.as_u16(), f64::from(micros) / 1_000.0);
        if failed {
            tracing::info!(%method, route, status, ms, "answered");
        } else {
            tracing::info!(name: MAY_WAIT, %method, route, status, ms, "answered");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use tracing::{Event, Subscriber};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt};

    use super::*;

    /// Whether each line may wait.
    #[derive(Clone, Default)]
    struct LinesSeen(Arc<Mutex<Vec<bool>>>);

    impl<S: Subscriber> Layer<S> for LinesSeen {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(event.metadata().name() == MAY_WAIT);
        }
    }

    #[test]
    fn a_line_about_an_error_never_waits() {
        let lines = LinesSeen::default();
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(lines.clone()),
            || {
                for status in [200, 201, 204, 304, 400, 404, 500, 503] {
                    let status = StatusCode::from_u16(status).unwrap();
                    AccessLogLine::begin(&Request::default()).write(&status.into_response());
                }
            },
        );
        let expected = [true, true, true, true, false, false, false, false];
        assert_eq!(*lines.0.lock().unwrap(), expected);
    }
}
