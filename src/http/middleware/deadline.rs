//! A time limit for every request.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::http::errors::{Code, Problem};

/// Ends a request that takes too long. Events that it appended stay.
pub(crate) async fn limit(max: Duration, answer: impl Future<Output = Response>) -> Response {
    timeout(max, answer).await.unwrap_or_else(|_| {
        tracing::warn!("a request reached its deadline");
        Problem::new(Code::RequestTimeout, "the request took too long; try again").into_response()
    })
}
