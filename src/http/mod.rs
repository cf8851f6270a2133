//! The HTTP API: one router for every server. Status codes are known only here.
//!
//! `routes` answer in the forms of `wire`, and fail with `errors`; each request passes
//! `middleware`. `openapi` describes all of it. Only the two routers here use `routes`.

mod allowed;
mod api;
mod errors;
mod given_urls;
mod iam;
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

use std::convert::Infallible;
use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::future::RouteFuture;
use axum::{Extension, Router};
use futures::{FutureExt, TryFutureExt};
use tower::util::MapFutureLayer;

use api::SharedApi;
pub use api::{Api, Limits};
pub use iam::{IamGrants, IamGrantsError};
pub use middleware::actor::Actor;
use middleware::around::Surroundings;
pub use middleware::auth::GatewayCaller;
pub use middleware::origin::AllowedHosts;
pub use middleware::rate::RatePolicy;
pub use middleware::request_id::RequestId;
use middleware::{around, auth, deadline, panics};
#[cfg(feature = "local")]
pub(crate) use origins::bare;
pub(crate) use origins::is_this_machine;
pub use origins::{AllowedOrigins, spelt};
pub use principal::{AuthMethod, AuthMode};
use quotas::Quotas;
pub use readiness::{Check, NotReady};
pub use routes::metrics::{MetricsSource, with_meter};
pub use watch::{only_metrics, watch};

/// The whole API. Of the layers, the last is the outermost.
pub fn router(api: Api) -> Router {
    let (routes, description) = routes::routes().split_for_parts();
    let longest = api.limits.deadline;
    let around = Surroundings { effects: api.effects.clone(), hosts: api.hosts.clone() };
    let quotas = Arc::new(Quotas::new(Arc::clone(&api.totals), api.effects.clone()));
    routes
        .layer(Extension(openapi::Document::of(
            description,
            api.auth == AuthMode::Required,
            api.tokens.is_some(),
        )))
        .layer(from_fn_with_state(api.gate(), auth::admit))
        .layer(MapFutureLayer::new(move |route: RouteFuture<Infallible>| {
            let answer = panics::catch(route.unwrap_or_else(|never| match never {}));
            deadline::limit(longest, answer).map(Ok::<_, Infallible>)
        }))
        .layer(from_fn_with_state(around, around::answer))
        .with_state(SharedApi(Arc::new(api), quotas))
}
