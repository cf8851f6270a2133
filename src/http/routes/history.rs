//! The events of one asset, or a selection of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use ledger::history::{Entry, History};
use ledger::id::AssetId;
use ledger::record::StoredLine;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::allowed::{Allowed, Auditing};
use crate::http::api::Api;
use crate::http::errors::{Code, Problem};
use crate::http::wire::event_view::EventView;
use crate::http::wire::params::{self, PathId, QueryParams};

/// One event's stored bytes a line.
const JSONL: &str = "application/jsonl";

/// The events of an asset, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = History, example = json!({
    "asset_id": "019aaf6b-5a00-7123-8456-0123456789ab",
    "events": [{
        "version": 1, "type": "created", "at": "2026-11-23T08:00:00.000000Z",
        "actor": "anonymous", "source": "api", "request": "0c5b3a52-6f6d-4f0e-9f52-8f7f7f0f9d00",
        "data": {"upload": "plain"},
        "hash": "2f4205d851599273def3e870acd83f7b87f47a80ef679774f58299c6ea714166",
        "prev": "0000000000000000000000000000000000000000000000000000000000000000"
    }]
}))]
pub(super) struct HistoryPage<'a> {
    /// The asset's id.
    asset_id: String,
    /// The events.
    events: Vec<EventView<'a>>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Read all events of an asset
///
/// Also of a purged one. With `Accept: application/jsonl` the answer is the whole raw chain: the
/// stored bytes of one event in each line, which `sha256sum` and `jq` can check. A part of a chain
/// proves nothing, so the raw form has no parameters.
#[utoipa::path(get, path = "/asset/{id}/history", tag = "reads",
    security(("api_key" = ["audit"])), params(PathId,
    ("limit" = Option<u16>, Query, description = "Events of a page, 1 to 1000; 100 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ("type" = Option<String>, Query, description = "Only events of this type"),
    ("actor" = Option<String>, Query, description = "Only what this actor did"),
    ("since" = Option<String>, Query,
        description = "Only what happened at this RFC 3339 time or later"),
    ("until" = Option<String>, Query,
        description = "Only what happened before this RFC 3339 time"),
), responses(
    (status = 200, description = "The events", content(
        (HistoryPage = "application/json"), (String = "application/jsonl"))),
    (status = 400, description = "A parameter cannot be taken"),
    (status = 404, description = "There is no such asset"),
))]
pub(super) async fn history(
    State(api): State<Arc<Api>>,
    Allowed { caller, .. }: Allowed<Auditing>,
    PathId(id): PathId,
    mut given: QueryParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if accepts_jsonl(&headers) {
        given.done_raw()?;
        let history = api.past(&caller, id).await?;
        return Ok(raw_chain(history.entries().iter().map(|entry| &entry.line)));
    }
    let limit = params::limit(given.take("limit")?.as_deref())?;
    let after = params::version_cursor(given.take("cursor")?.as_deref())?;
    let filter = HistoryFilter::take(&mut given)?;
    given.done()?;
    page(id, &api.past(&caller, id).await?, after, limit, &filter)
}

/// Whether the raw chain is asked for by its name; `*/*` gets the pages.
pub(super) fn accepts_jsonl(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(JSONL));
        let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        named && !refused
    })
}

/// The stored bytes of these lines.
pub(super) fn raw_chain<'a>(lines: impl Iterator<Item = &'a StoredLine>) -> Response {
    let body: String = lines.flat_map(|line| [line.body.as_str(), "\n"]).collect();
    let headers = [(header::CONTENT_TYPE, JSONL), (header::VARY, "accept")];
    (headers, body).into_response()
}

/// The selected events of the history.
#[derive(Debug)]
struct HistoryFilter {
    kind: Option<String>,
    actor: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl HistoryFilter {
    fn take(given: &mut QueryParams) -> Result<Self, Problem> {
        let kind = params::kind(given.take("type")?)?;
        let actor = params::actor(given.take("actor")?)?;
        let (since, until) = params::between(given)?;
        Ok(Self { kind, actor, since, until })
    }

    fn wants(&self, entry: &Entry) -> bool {
        let record = &entry.record;
        self.kind.as_ref().is_none_or(|kind| kind == record.event.kind())
            && self.actor.as_ref().is_none_or(|actor| *actor == record.cause.actor)
            && self.since.is_none_or(|since| record.at >= since)
            && self.until.is_none_or(|until| record.at < until)
    }
}

fn page(
    id: AssetId,
    history: &History,
    after: u64,
    limit: usize,
    filter: &HistoryFilter,
) -> Result<Response, Problem> {
    let internal = || Problem::new(Code::Internal, "an event cannot be shown");
    let skipped = usize::try_from(after).unwrap_or(usize::MAX);
    let mut left = history.entries().iter().skip(skipped).filter(|entry| filter.wants(entry));
    let shown = left.by_ref().take(limit).map(|entry| EventView::of(&entry.line));
    let events: Vec<_> = shown.collect::<Option<_>>().ok_or_else(internal)?;
    let last = left.next().and(events.last()).map(|event| event.version.to_string());
    let body = HistoryPage { asset_id: id.to_string(), events, next_cursor: last };
    Ok(([(header::VARY, "accept")], Json(body)).into_response())
}
