//! The HTTP API: one router for every server. Status codes are known only here.
//!
//! `routes` answer in the forms of `wire`, and fail with `errors`; each request passes
//! `middleware`. `openapi` describes all of it. Only the two routers here use `routes`.

mod allowed;
mod api;
mod errors;
mod middleware;
mod openapi;
mod origins;
mod principal;
mod readiness;
mod routes;
#[cfg(test)]
pub(crate) mod tests;
mod watch;
mod wire;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};

pub use api::{Api, Limits};
pub use middleware::actor::Actor;
pub use middleware::auth::GatewayCaller;
pub use middleware::origin::AllowedHosts;
pub use middleware::request_id::RequestId;
use middleware::{
    access_log, auth, deadline, headers, legacy_envelope, origin, panics, problems, request_id,
};
#[cfg(feature = "local")]
pub(crate) use origins::bare;
pub use origins::{AllowedOrigins, spelt};
pub use principal::{AuthMethod, AuthMode};
pub use readiness::{Check, NotReady};
pub use routes::metrics::{MetricsSource, with_meter};
pub use watch::{only_metrics, watch};

/// The whole API. Of the layers, the last is the outermost.
pub fn router(api: Api) -> Router {
    let (routes, description) = routes::routes().split_for_parts();
    routes
        .layer(Extension(openapi::Document::of(description, api.auth == AuthMode::Required)))
        .layer(from_fn_with_state(api.gate(), auth::admit))
        .layer(from_fn(panics::catch))
        .layer(from_fn_with_state(api.limits.deadline, deadline::limit))
        .layer(from_fn_with_state(api.hosts.clone(), origin::guard))
        .layer(from_fn(problems::render))
        .layer(from_fn(access_log::write))
        .layer(from_fn(legacy_envelope::wrap))
        .layer(from_fn(headers::secure))
        .layer(from_fn_with_state(api.effects.clone(), request_id::name))
        .with_state(api)
}
