//! The API's operations, by resource.

mod assets;
mod changes;
#[cfg(feature = "local")]
mod docs;
mod events;
pub(super) mod health;
mod history;
pub(super) mod metrics;
mod proof;
mod state;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;
use super::openapi;

/// Every operation, and the description of it.
pub(super) fn routes() -> OpenApiRouter<Api> {
    let routes = OpenApiRouter::with_openapi(openapi::description())
        .routes(routes!(assets::create, assets::list))
        .routes(routes!(assets::download, assets::confirm, assets::delete))
        .routes(routes!(state::state))
        .routes(routes!(history::history))
        .routes(routes!(proof::proof))
        .routes(routes!(events::events))
        .routes(routes!(changes::restore))
        .routes(routes!(changes::purge))
        .routes(routes!(changes::upload_url))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(openapi::document));
    #[cfg(feature = "local")]
    let routes = routes.routes(routes!(docs::page)).routes(routes!(docs::page_file));
    routes
}
