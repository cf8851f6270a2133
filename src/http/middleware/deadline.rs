//! A time limit for every request.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::http::errors::{Code, Problem};

/// Ends a request that takes too long. Events that it appended stay.
pub(crate) async fn limit(State(max): State<Duration>, request: Request, next: Next) -> Response {
    let told = timeout(max, next.run(request)).await;
    told.unwrap_or_else(|_| {
        tracing::warn!("a request reached its deadline");
        Problem::new(Code::RequestTimeout, "the request took too long; try again").into_response()
    })
}
