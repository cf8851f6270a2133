//! The handlers, by resource.

mod assets;
mod changes;
#[cfg(feature = "local")]
mod docs;
mod events;
mod health;
mod history;
pub(super) mod meter;
pub(super) mod openapi;
pub(super) mod process;
mod proof;
mod reads;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::Api;

/// Every route, with its description.
pub(super) fn all() -> OpenApiRouter<Api> {
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
