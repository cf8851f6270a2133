//! The access log of one asset: who was given a URL.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use ledger::url_log::{UrlLogEntry, UrlLogQuery};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::allowed::{Allowed, Auditing};
use crate::http::api::Api;
use crate::http::errors::{Code, Problem};
use crate::http::wire::event_view::EventView;
use crate::http::wire::params::{self, PathId, QueryParams};

/// URLs of an asset that were given out, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Urls, example = json!({
    "asset_id": "019aaf6b-5a00-7123-8456-0123456789ab",
    "urls": [{
        "stream": "urls-20261123-2",
        "version": 1, "type": "url_granted", "at": "2026-11-23T08:15:00.000120Z",
        "actor": "key:5bf8a4d0c1e27f36/1", "source": "api",
        "request": "0c5b3a52-6f6d-4f0e-9f52-8f7f7f0f9d00",
        "data": {"asset": "019aaf6b-5a00-7123-8456-0123456789ab", "version": 3, "method": "GET",
            "version_id": "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY",
            "expires_at": "2026-11-23T08:16:00.000000Z"},
        "hash": "2f4205d851599273def3e870acd83f7b87f47a80ef679774f58299c6ea714166",
        "prev": "0000000000000000000000000000000000000000000000000000000000000000"
    }]
}))]
pub(super) struct GivenUrlsPage<'a> {
    /// The asset's id.
    asset_id: String,
    /// The URLs. A page may be short or empty even if more follow.
    urls: Vec<GivenUrlView<'a>>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A URL that was given out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GivenUrl)]
struct GivenUrlView<'a> {
    /// The named stream of the tenant that records it.
    #[schema(example = "urls-20261123-2")]
    stream: String,
    /// The event of that stream.
    #[serde(flatten)]
    event: EventView<'a>,
}

/// Read who was given a URL of an asset, and when
///
/// Only what was recorded: a tenant's limit `record_urls` switches that on. It proves that a URL
/// was given, not that it was used.
#[utoipa::path(get, path = "/asset/{id}/urls", tag = "reads",
    security(("api_key" = ["audit"])), params(PathId,
    ("limit" = Option<u16>, Query, description = "URLs of a page, 1 to 1000; 100 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ("since" = Option<String>, Query,
        description = "Only URLs given at this RFC 3339 time or later; by default all"),
    ("until" = Option<String>, Query,
        description = "Only URLs given before this RFC 3339 time"),
), responses(
    (status = 200, description = "Some URLs, without the URLs themselves", body = GivenUrlsPage),
    (status = 400, description = "A parameter cannot be taken"),
    (status = 404, description = "There is no such asset"),
))]
pub(super) async fn urls(
    State(api): State<Arc<Api>>,
    Allowed { caller, .. }: Allowed<Auditing>,
    PathId(id): PathId,
    mut given: QueryParams,
) -> Result<Response, Problem> {
    let limit = params::limit(given.take("limit")?.as_deref())?;
    let after = params::urls_cursor(given.take("cursor")?.as_deref())?;
    let (since, until) = params::between(&mut given)?;
    given.done()?;
    let asset = api.current(&caller, id).await?;
    // No URL was given before the asset existed.
    let since = since.map_or(asset.created_at, |since| since.max(asset.created_at));
    let until = until.unwrap_or(DateTime::<Utc>::MAX_UTC);
    let tenant = caller.tenant.clone();
    let query = UrlLogQuery { tenant, asset: id, since, until, after, limit };
    let page = api.urls.page(&query).await.map_err(|error| Problem::of_url_log(&error.into()))?;
    let internal = || Problem::new(Code::Internal, "an event cannot be shown");
    let urls: Option<_> = page.entries.iter().map(GivenUrlView::of).collect();
    let (asset_id, urls) = (id.to_string(), urls.ok_or_else(internal)?);
    let next_cursor = page.next.map(|next| next.to_string());
    Ok(Json(GivenUrlsPage { asset_id, urls, next_cursor }).into_response())
}

impl<'a> GivenUrlView<'a> {
    /// The event as stored; `None` if the bytes are not an event.
    fn of(UrlLogEntry { stream, line }: &'a UrlLogEntry) -> Option<Self> {
        Some(Self { stream: stream.name(), event: EventView::of(line)? })
    }
}
