//! Whether the process lives, and whether all that it stands on can be reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use futures::future::join_all;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::errors::problem::{Problem, ReadinessFailure};
use crate::http::readiness::{Check, NotReady};
use crate::http::state::Api;

/// How long a part may take to answer: what asks for readiness waits no longer.
const CHECK_MAX: Duration = Duration::from_secs(2);

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Health {
    /// `ok` or `ready`.
    #[schema(example = "ok")]
    pub(in crate::http) status: &'static str,
    /// What parts say of themselves, by their names: how long ago the ledger was verified.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub(in crate::http) says: BTreeMap<&'static str, String>,
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "service", responses(
    (status = 200, description = "It does", body = Health)))]
pub(in crate::http) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok", says: BTreeMap::new() })
}

/// Whether every part of the service can be reached
#[utoipa::path(get, path = "/readyz", tag = "service", responses(
    (status = 200, description = "It can", body = Health),
    (status = 503, description = "It cannot; `failures` names the parts")))]
pub(in crate::http) async fn readyz(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    let failures = failures(&api.checks).await;
    if failures.is_empty() {
        return Ok(Json(ready(&api.checks)));
    }
    Err(Problem::not_ready(failures))
}

/// Every part can be reached; what they say.
pub(in crate::http) fn ready(checks: &[Arc<dyn Check>]) -> Health {
    let says = checks.iter().filter_map(|check| Some((check.name(), check.says()?)));
    Health { status: "ready", says: says.collect() }
}

/// What is not ready; nothing if all is.
pub(in crate::http) async fn failures(checks: &[Arc<dyn Check>]) -> Vec<ReadinessFailure> {
    join_all(checks.iter().map(look)).await.into_iter().flatten().collect()
}

async fn look(check: &Arc<dyn Check>) -> Option<ReadinessFailure> {
    let looked = tokio::time::timeout(CHECK_MAX, check.check()).await;
    let slow = |_| Err(NotReady(format!("no answer within {} s", CHECK_MAX.as_secs())));
    let problem = looked.unwrap_or_else(slow).err()?.0;
    tracing::warn!(check = check.name(), problem, "not ready");
    Some(ReadinessFailure { check: check.name(), problem })
}
