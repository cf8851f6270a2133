//! The HTTP API: one router, whatever drives it. Only here are status codes known.
//!
//! `routes` has the handlers by resource, `wire` what requests and answers look like, `errors` the
//! problem details, `middleware` the layers around the routes. Modules use those to their right:
//! routes, middleware, wire, errors.

mod errors;
mod middleware;
mod pages;
mod readiness;
mod request_id;
mod routes;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};

#[cfg(feature = "local")]
pub(crate) use self::pages::bare;

pub use self::middleware::actor::{Actor, MissingActor};
pub use self::pages::{AllowedHosts, AllowedOrigins, spelt};
pub use self::readiness::{Check, NotReady};
pub use self::request_id::RequestId;
pub use self::routes::meter::{MetricsSource, with_meter};
pub use self::routes::process::watch;
pub use self::state::{Api, Limits};

use self::errors::problem;
use self::middleware::{actor, caller, command_label, envelope, origin, shield};
use self::routes::openapi;

/// The whole API. Of the layers, the last is the outermost.
pub fn router(api: Api) -> Router {
    let (routes, description) = routes::all().split_for_parts();
    routes
        .layer(Extension(openapi::Document::of(description)))
        .layer(from_fn(command_label::name))
        .layer(from_fn(shield::catch))
        .layer(from_fn_with_state(api.clone(), shield::deadline))
        .layer(from_fn(actor::named))
        .layer(from_fn_with_state(api.clone(), origin::guard))
        .layer(from_fn(problem::render))
        .layer(from_fn(shield::log))
        .layer(from_fn(envelope::wrap))
        .layer(from_fn(shield::careful))
        .layer(from_fn_with_state(api.clone(), caller::name_request))
        .with_state(api)
}
