//! `/metrics` in Prometheus' text form.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::http::errors::{Code, Problem};
use crate::http::meter::Meter;

/// Prometheus' text form.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Read the metrics
#[utoipa::path(get, path = "/metrics", tag = "service", responses(
    (status = 200, description = "Prometheus' text form", body = String,
        content_type = "text/plain"),
    (status = 404, description = "This deployment tells its figures elsewhere")))]
pub(crate) async fn metrics(State(Meter(meter)): State<Meter>) -> Result<Response, Problem> {
    let elsewhere = "this deployment tells its figures elsewhere";
    let meter = meter.ok_or_else(|| Problem::new(Code::PathUnknown, elsewhere))?;
    Ok(([(header::CONTENT_TYPE, TEXT)], meter.text().await).into_response())
}

#[cfg(test)]
mod tests {
    use crate::http::tests::world::HttpFixture;

    #[tokio::test]
    async fn what_was_counted_is_told_as_text() {
        let answer = HttpFixture::new().call("GET /metrics").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "things 1\n"));
        let form = answer.headers["content-type"].to_str().unwrap();
        assert!(form.starts_with("text/plain; version=0.0.4"), "{form}");
    }
}
