//! The label of a request's command, for counting consumed units.

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::MethodRouter;
use ledger::command_label;

/// The same routes, with handlers that run under `label`.
pub(crate) fn labelled<S>(label: &'static str, routes: MethodRouter<S>) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes.route_layer(from_fn(move |request: Request, next: Next| {
        command_label::scope(label, next.run(request))
    }))
}
