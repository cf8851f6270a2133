//! Whether the process lives, and whether all that it stands on can be reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::Api;
use crate::http::errors::Problem;
use crate::http::readiness::{Check, failures};

/// The label that a look at every part is counted by.
pub(crate) const CHECK: &str = "check";

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok` or `ready`.
    #[schema(example = "ok")]
    pub(super) status: &'static str,
    /// What parts say of themselves, by their names: how long ago the ledger was verified.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub(super) says: BTreeMap<&'static str, String>,
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "service", responses(
    (status = 200, description = "It does", body = Health)))]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", says: BTreeMap::new() })
}

/// Whether every part of the service can be reached
#[utoipa::path(get, path = "/readyz", tag = "service", responses(
    (status = 200, description = "It can", body = Health),
    (status = 503, description = "It cannot; `failures` names the parts")))]
pub(super) async fn readyz(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    let failures = failures(&api.checks).await;
    if failures.is_empty() {
        return Ok(Json(ready(&api.checks)));
    }
    Err(Problem::not_ready(failures))
}

/// Every part can be reached; what they say.
pub(crate) fn ready(checks: &[Arc<dyn Check>]) -> Health {
    let says = checks.iter().filter_map(|check| Some((check.name(), check.says()?)));
    Health { status: "ready", says: says.collect() }
}
