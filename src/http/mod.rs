//! The HTTP API: one router, whatever drives it. Only here are status codes known.

mod actor;
mod answers;
mod assets;
mod body;
mod changes;
mod code;
mod command_label;
#[cfg(feature = "local")]
mod docs;
mod envelope;
mod event_view;
mod events;
mod health;
mod history;
mod meter;
mod openapi;
mod origin;
mod pages;
mod params;
mod problem;
mod proof;
mod readiness_log;
mod reads;
mod request_id;
mod shield;
#[cfg(test)]
pub(crate) mod tests;
mod urls;

use std::sync::Arc;
use std::time::Duration;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use ledger::Effects;
use ledger::id::Tenant;
use ledger::service::LedgerService;
use projections::{Feed, Reader};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use actor::{Actor, MissingActor};
pub use health::{Check, NotReady};
pub use meter::{MetricsSource, with_meter};
pub use origin::AllowedHosts;
#[cfg(feature = "local")]
pub(crate) use pages::bare;
pub use pages::{AllowedOrigins, spelt};
pub use readiness_log::watch;
pub use request_id::RequestId;

use crate::presign::Presigner;

/// What the API stands on. A clone is the same one.
#[derive(Clone)]
pub struct Api {
    /// The commands.
    pub service: Arc<LedgerService>,
    /// The reads.
    pub reader: Reader,
    /// What happens to all assets.
    pub feed: Arc<dyn Feed>,
    /// Signs the URLs.
    pub presigner: Arc<dyn Presigner>,
    /// Whose assets callers see: one tenant, until a caller's credential names it.
    pub tenant: Tenant,
    /// The clock and chance.
    pub effects: Arc<dyn Effects>,
    /// What `/readyz` looks at.
    pub checks: Arc<[Arc<dyn Check>]>,
    /// How long things may last.
    pub limits: Limits,
    /// Under which names the server may be called.
    pub hosts: AllowedHosts,
}

/// How long things may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// An upload URL.
    pub upload_expiry: Duration,
    /// A download URL, where the client does not say: the original's 60 s.
    pub download_default: Duration,
    /// A download URL, whatever the client says.
    pub download_max: Duration,
    /// A request, which then answers 503.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_expiry: Duration::from_mins(15),
            download_default: Duration::from_mins(1),
            download_max: Duration::from_hours(1),
            deadline: Duration::from_secs(30),
        }
    }
}

/// The whole API. Of the layers, the last is the outermost.
pub fn router(api: Api) -> Router {
    let (routes, description) = routes().split_for_parts();
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
        .layer(from_fn_with_state(api.clone(), request_id::name))
        .with_state(api)
}

fn routes() -> OpenApiRouter<Api> {
    let routes = OpenApiRouter::with_openapi(openapi::description())
        .routes(routes!(assets::create, assets::list))
        .routes(routes!(assets::download, assets::confirm, assets::delete))
        .routes(routes!(reads::state))
        .routes(routes!(history::history))
        .routes(routes!(proof::proof))
        .routes(routes!(events::events))
        .routes(routes!(changes::restore))
        .routes(routes!(changes::purge))
        .routes(routes!(changes::upload_url))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(meter::metrics))
        .routes(routes!(openapi::document));
    #[cfg(feature = "local")]
    let routes = routes.routes(routes!(docs::page)).routes(routes!(docs::page_file));
    routes
}
