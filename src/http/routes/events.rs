//! The events of all assets, for clients that follow them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use projections::feed::{FeedError, FeedPage, FeedQuery};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::allowed::{Allowed, AuditingAll};
use crate::http::api::Api;
use crate::http::errors::Problem;
use crate::http::wire::event_view::FeedEventView;
use crate::http::wire::params::{self, QueryParams};
use crate::percent::component;

/// A page of events, and the position after it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Events, example = json!({"events": [{
    "asset_id": "019aaf6b-5a00-7123-8456-0123456789ab",
    "version": 1, "type": "created", "at": "2026-11-23T08:00:00.000000Z",
    "actor": "anonymous", "source": "api", "request": "0c5b3a52-6f6d-4f0e-9f52-8f7f7f0f9d00",
    "data": {"upload": "plain"},
    "hash": "2f4205d851599273def3e870acd83f7b87f47a80ef679774f58299c6ea714166",
    "prev": "0000000000000000000000000000000000000000000000000000000000000000"
}], "next": "a1-2f4205d851599273", "more": false}))]
pub(super) struct FeedPageView<'a> {
    /// The events. A page may be short or empty even if more follow.
    events: Vec<FeedEventView<'a>>,
    /// The `after` of the next page; always present, so that a reader can poll.
    next: String,
    /// Whether more events are known to exist: continue at once, or after a pause.
    more: bool,
}

/// Follow the events of all assets
///
/// Each event is returned at least once. Those of one asset first occur in the order of their
/// versions; between assets there is no order. Store `next`, and continue with it.
#[utoipa::path(get, path = "/events", tag = "reads", security(("api_key" = ["audit"])), params(
    ("after" = Option<String>, Query,
        description = "The `next` of the page before; the first event that is kept if there was \
            none"),
    ("limit" = Option<u16>, Query, description = "Events of a page, 1 to 1000; 100 by default"),
    ("type" = Option<String>, Query, description = "Only events of this type"),
    ("actor" = Option<String>, Query, description = "Only what this actor did"),
), responses(
    (status = 200, description = "Some events, and where to go on", body = FeedPageView, headers(
        ("Link" = String, description = "What comes next, as `rel=\"next\"`; always there"))),
    (status = 400, description = "A parameter cannot be taken, or `after` is of another ledger"),
    (status = 410, description = "`after` is older than the feed keeps events"),
))]
pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Allowed { caller, .. }: Allowed<AuditingAll>,
    mut given: QueryParams,
) -> Result<Response, Problem> {
    let query = FeedQuery {
        tenant: caller.tenant,
        after: params::after(given.take("after")?)?,
        limit: params::limit(given.take("limit")?.as_deref())?,
        kind: params::kind(given.take("type")?)?,
        actor: params::actor(given.take("actor")?)?,
    };
    given.done()?;
    Ok(shown(&query, &api.feed.page(&query).await?))
}

fn shown(query: &FeedQuery, page: &FeedPage) -> Response {
    let shown = page.events.iter();
    let events =
        shown.filter_map(|event| FeedEventView::of(event.key.asset, &event.line)).collect();
    let (next, more) = (page.next.to_string(), page.more);
    let link = [(header::LINK, format!("<{}>; rel=\"next\"", onward(query, &next)))];
    (link, Json(FeedPageView { events, next, more })).into_response()
}

/// The same query for the next page.
fn onward(query: &FeedQuery, next: &str) -> String {
    let said = |name: &str, value: &Option<String>| {
        value.as_ref().map_or(String::new(), |value| format!("&{name}={}", component(value)))
    };
    let (kind, actor) = (said("type", &query.kind), said("actor", &query.actor));
    format!("/events?limit={}{kind}{actor}&after={}", query.limit, component(next))
}

impl From<FeedError> for Problem {
    fn from(refused: FeedError) -> Self {
        match refused {
            FeedError::Foreign => params::bad_after(),
            FeedError::Expired => params::expired_after(),
            FeedError::Store(error) => error.into(),
        }
    }
}
