//! The HTTP API: one router for every server. Status codes are known only here.
//!
//! `routes` answer in the forms of `wire`, and fail with `errors`; each request passes
//! `middleware`. `openapi` describes all of it. Only the two routers here use `routes`.

mod allowed;
mod api;
mod errors;
mod given_urls;
mod iam;
mod meter;
mod middleware;
mod openapi;
mod origins;
mod principal;
mod quotas;
mod readiness;
mod routes;
#[cfg(test)]
pub(crate) mod tests;
mod watch;
mod wire;

use std::sync::{Arc, LazyLock};

use axum::Router;

use api::SharedApi;
pub use api::{Api, Limits};
pub use iam::{IamGrants, IamGrantsError};
pub use meter::MetricsSource;
pub use middleware::actor::Actor;
use middleware::around::Surroundings;
pub use middleware::auth::GatewayCaller;
pub use middleware::origin::AllowedHosts;
pub use middleware::rate::RatePolicy;
pub use middleware::request_id::RequestId;
#[cfg(feature = "local")]
pub(crate) use origins::bare;
pub(crate) use origins::is_this_machine;
pub use origins::{AllowedOrigins, spelt};
pub use principal::{AuthMethod, AuthMode};
use quotas::Quotas;
pub use readiness::{Check, NotReady};
pub use watch::{only_metrics, watch};

/// The whole API.
pub fn router(api: Api) -> Router {
    let (effects, hosts) = (api.effects.clone(), api.hosts.clone());
    let around = Surroundings::new(effects, hosts, api.gate(), api.limits.deadline);
    let quotas = Arc::new(Quotas::new(Arc::clone(&api.totals), api.effects.clone()));
    let (with_keys, with_tokens) = (api.auth == AuthMode::Required, api.tokens.is_some());
    // It takes milliseconds, for which the start of a function would wait.
    let described = move || openapi::served(routes::description(), with_keys, with_tokens).into();
    let description = Arc::new(LazyLock::new(Box::new(described) as _));
    let shared = SharedApi { api: Arc::new(api), quotas, description };
    routes::routes().layer(around).with_state(shared)
}
