//! The composition of each function: the adapters of AWS and the parts above them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use super::api;
use super::audit::Auditor;
use super::bucket::Notifications;
use super::projector::Projector;
use crate::aws::{
    API_OPERATION, Clients, Config, ConfigError, Deployment, PROJECTOR_OPERATION, auth_of_function,
    function_config,
};
use crate::bucket::Bucket;
use crate::http::{self, Api, Limits};
use crate::system::SystemEffects;

/// The time limit of a request, shorter than the function's: Lambda's own timeout would give no
/// answer and end the process.
const DEADLINE: Duration = Duration::from_secs(12);

/// The API, under any host name: API Gateway knows its own name, and the caller.
///
/// # Errors
/// If the environment does not name the tables and the bucket, or who decides about callers.
pub async fn router() -> Result<Router, ConfigError> {
    let (auth, parts) = (auth_of_function()?, reached_within(API_OPERATION).await?);
    let limits = Limits { deadline: DEADLINE, ..Limits::default() };
    let api = parts.api(auth.mode, auth.issuers, limits);
    Ok(api::behind_gateway(http::router(Api { iam: auth.iam.map(Arc::new), ..api })))
}

/// The handler of the journal's stream.
///
/// # Errors
/// As [`router`].
pub async fn projector() -> Result<Projector, ConfigError> {
    let runner = reached_within(PROJECTOR_OPERATION).await?.runner();
    Ok(Projector::new(runner, Arc::new(SystemEffects)))
}

/// The handler of the audit's schedule.
///
/// # Errors
/// As [`router`].
pub async fn auditor() -> Result<Auditor, ConfigError> {
    Ok(Auditor::new(reached_within(PROJECTOR_OPERATION).await?))
}

/// The handler of S3's notifications.
///
/// # Errors
/// As [`router`].
pub async fn notifications() -> Result<Notifications, ConfigError> {
    Ok(Notifications::new(Bucket::new(reached_within(API_OPERATION).await?.service())))
}

/// The deployment of the environment; each of its calls ends after `operation`.
async fn reached_within(operation: Duration) -> Result<Deployment, ConfigError> {
    let config = Config::from_env()?;
    Ok(Deployment::new(config, Clients::new(&function_config().await?, operation)))
}
