//! The API's operations, by resource.

mod access;
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
mod uploads;
mod urls;
mod usage;

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::api::SharedApi;
use super::middleware::command_label::labelled;
use super::openapi;

/// An operation: the label of its consumed units, and its route.
type Operation = (&'static str, UtoipaMethodRouter<SharedApi>);

fn operations() -> Vec<Operation> {
    let operations = vec![
        ("create", routes!(assets::create)),
        ("list", routes!(assets::list)),
        ("get", routes!(assets::download)),
        ("confirm", routes!(assets::confirm)),
        ("delete", routes!(assets::delete)),
        ("state", routes!(state::state)),
        ("history", routes!(history::history)),
        ("proof", routes!(proof::proof)),
        ("urls", routes!(urls::urls)),
        ("events", routes!(events::events)),
        ("usage", routes!(usage::usage)),
        ("restore", routes!(changes::restore)),
        ("purge", routes!(changes::purge)),
        ("upload_url", routes!(changes::upload_url)),
        ("upload_token", routes!(uploads::create)),
        ("me", routes!(access::me)),
        ("key_create", routes!(access::create)),
        ("key_list", routes!(access::list)),
        ("key_get", routes!(access::get)),
        ("key_revoke", routes!(access::revoke)),
        ("key_rotate", routes!(access::rotate)),
        ("access", routes!(access::access)),
        ("health", routes!(health::healthz)),
        (health::CHECK, routes!(health::readyz)),
        ("metrics", routes!(metrics::metrics)),
        ("openapi", routes!(openapi::document)),
    ];
    #[cfg(feature = "local")]
    let operations = {
        let docs = [("docs", routes!(docs::page)), ("docs_file", routes!(docs::page_file))];
        operations.into_iter().chain(docs).collect()
    };
    operations
}

/// Every operation, at its path.
pub(super) fn routes() -> Router<SharedApi> {
    operations().into_iter().fold(Router::new(), |all, (label, (_, paths, methods))| {
        let methods = labelled(label, methods);
        paths.paths.keys().fold(all, |all, path| all.route(path, methods.clone()))
    })
}

/// The description of every operation, without what all have in common.
pub(super) fn description() -> OpenApi {
    let none = OpenApiRouter::with_openapi(openapi::description());
    operations().into_iter().fold(none, |all, (_, described)| all.routes(described)).into_openapi()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_a_label_of_its_own() {
        let mut labels = BTreeSet::new();
        for (label, (_, paths, _)) in operations() {
            let items: Vec<_> = paths.paths.values().collect();
            let [item] = items[..] else { panic!("{label}: {} paths", items.len()) };
            let methods = [&item.get, &item.put, &item.post, &item.delete, &item.patch];
            assert_eq!(methods.into_iter().flatten().count(), 1, "{label}");
            assert!(labels.insert(label), "{label} is of two operations");
        }
    }
}
