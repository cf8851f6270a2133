//! The label of a request's command, for counting consumed units.

use axum::routing::MethodRouter;
use ledger::command_label;
use tower::util::MapFutureLayer;

/// The same routes, with handlers that run under `label`.
pub(crate) fn labelled<S>(label: &'static str, routes: MethodRouter<S>) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes.route_layer(MapFutureLayer::new(move |answer| command_label::scope(label, answer)))
}
