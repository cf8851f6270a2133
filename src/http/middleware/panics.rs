//! A panic in a handler does not end the process.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use crate::http::errors::{Code, Problem};

/// The answer, also of a handler that panics.
pub(crate) async fn catch(answer: impl Future<Output = Response>) -> Response {
    let caught = AssertUnwindSafe(answer).catch_unwind().await;
    caught.unwrap_or_else(|panic| {
        tracing::error!(panic = message(panic.as_ref()), "a handler panicked");
        let detail = "something went wrong here; the log knows more";
        Problem::new(Code::Internal, detail).into_response()
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of an unknown kind")
}
