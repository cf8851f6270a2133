//! Whether the process runs, and whether all parts of the service are reachable.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Api;
use crate::http::errors::Problem;
use crate::http::readiness::{Check, failures};

/// The label of the checks' consumed units.
pub(crate) const CHECK: &str = "check";

/// The state of the process.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok` or `ready`.
    #[schema(example = "ok")]
    pub(super) status: &'static str,
    /// Information about parts, by their names: how long ago the ledger was verified.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub(super) says: BTreeMap<&'static str, String>,
}

/// Whether the process runs
#[utoipa::path(get, path = "/healthz", tag = "service", responses(
    (status = 200, description = "It does", body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", says: BTreeMap::new() })
}

/// Whether every part of the service is reachable
#[utoipa::path(get, path = "/readyz", tag = "service", responses(
    (status = 200, description = "It can", body = Health),
    (status = 503, description = "It cannot; `failures` names the parts")))]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Result<Json<Health>, Problem> {
    let failures = failures(&api.checks).await;
    if failures.is_empty() {
        return Ok(Json(ready(&api.checks)));
    }
    Err(Problem::not_ready(failures))
}

/// Every part is reachable; with their information.
pub(crate) fn ready(checks: &[Arc<dyn Check>]) -> Health {
    let says = checks.iter().filter_map(|check| Some((check.name(), check.says()?)));
    Health { status: "ready", says: says.collect() }
}
