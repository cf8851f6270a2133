//! The routes of a process without assets: whether it runs, whether it is ready, and its metrics.

use std::sync::Arc;

use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::meter::{Meter, MetricsSource};
use super::middleware::command_label::labelled;
use super::middleware::headers;
use super::readiness::{Check, failures};
use super::routes::health::{CHECK, healthz, ready};
use super::routes::metrics::metrics;

/// The state of the routes.
#[derive(Clone)]
struct Watched {
    checks: Arc<[Arc<dyn Check>]>,
    meter: Meter,
}

impl FromRef<Watched> for Meter {
    fn from_ref(watched: &Watched) -> Self {
        watched.meter.clone()
    }
}

/// Only `/healthz`, `/readyz` and `/metrics`.
pub fn watch(checks: Arc<[Arc<dyn Check>]>, meter: Arc<dyn MetricsSource>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", labelled(CHECK, get(readyz)))
        .route("/metrics", get(metrics))
        .layer(map_response(secured))
        .with_state(Watched { checks, meter: Meter(Some(meter)) })
}

async fn secured(mut response: Response) -> Response {
    headers::secure(response.headers_mut());
    response
}

/// Only `/metrics`, for a listener of its own beside an API that needs a credential.
pub fn only_metrics(meter: Arc<dyn MetricsSource>) -> Router {
    let routes = Router::new().route("/metrics", get(metrics)).layer(map_response(secured));
    routes.with_state(Meter(Some(meter)))
}

async fn readyz(State(Watched { checks, .. }): State<Watched>) -> (StatusCode, Json<Value>) {
    let failures = failures(&checks).await;
    if failures.is_empty() {
        return (StatusCode::OK, Json(json!(ready(&checks))));
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "failures": failures })))
}
