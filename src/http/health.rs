//! Whether the process lives, and whether all that it stands on can be reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Json;
use axum::extract::State;
use futures::future::join_all;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::problem::{Problem, ReadinessFailure};

/// How long a part may take to answer: what asks for readiness waits no longer.
const CHECK_MAX: Duration = Duration::from_secs(2);

/// A part of the service that requests cannot be answered without.
#[async_trait]
pub trait Check: Send + Sync {
    /// The part's name, such as `bucket`.
    fn name(&self) -> &'static str;

    /// Looks at the part. The failure is shown to whoever asks: it says what to mend, such as
    /// "the bucket is not versioned", and nothing that only the log may know.
    async fn check(&self) -> Result<(), NotReady>;

    /// What there is to know of the part where nothing is wrong, such as how long ago it was
    /// looked at.
    fn says(&self) -> Option<String> {
        None
    }
}

/// What is wrong with a part, for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotReady(pub String);

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
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
pub(super) async fn healthz() -> Json<Health> {
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
pub(super) fn ready(checks: &[Arc<dyn Check>]) -> Health {
    let says = checks.iter().filter_map(|check| Some((check.name(), check.says()?)));
    Health { status: "ready", says: says.collect() }
}

/// What is not ready; nothing if all is.
pub(super) async fn failures(checks: &[Arc<dyn Check>]) -> Vec<ReadinessFailure> {
    join_all(checks.iter().map(look)).await.into_iter().flatten().collect()
}

async fn look(check: &Arc<dyn Check>) -> Option<ReadinessFailure> {
    let looked = tokio::time::timeout(CHECK_MAX, check.check()).await;
    let slow = |_| Err(NotReady(format!("no answer within {} s", CHECK_MAX.as_secs())));
    let problem = looked.unwrap_or_else(slow).err()?.0;
    tracing::warn!(check = check.name(), problem, "not ready");
    Some(ReadinessFailure { check: check.name(), problem })
}
