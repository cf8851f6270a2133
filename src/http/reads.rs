//! What an asset is, what it was, and everything that happened to it.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::asset::{Asset, Rejection, Status};
use ledger::history::{Entry, History};
use ledger::id::AssetId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Api;
use super::answers;
use super::code::Code;
use super::params::{self, Id, Params};
use super::problem::Problem;

/// One event's stored bytes a line.
const JSONL: &str = "application/jsonl";

/// Read everything that is known of an asset, now or at a point of its past
#[utoipa::path(get, path = "/asset/{id}/state", tag = "reads", params(
    ("id" = String, Path, description = "The asset's id"),
    ("version" = Option<u64>, Query, description = "As its first so many events made it"),
    ("as_of" = Option<String>, Query,
        description = "As it was at this RFC 3339 time, that time included"),
), responses(
    (status = 200, description = "The asset", body = answers::State,
        headers(("ETag" = String, description = "The asset's version in quotes"))),
    (status = 400, description = "A parameter cannot be taken, or is a time to come"),
    (status = 404, description = "There is no such asset or version, or was none then"),
))]
pub(super) async fn state(
    State(api): State<Api>,
    Id(id): Id,
    mut given: Params,
) -> Result<Response, Problem> {
    let (version, as_of) = (given.take("version")?, given.take("as_of")?);
    given.done()?;
    let asset = match (version, as_of) {
        (None, None) => api.present(id).await?,
        (Some(version), None) => api.at_version(id, params::version(&version)?).await?,
        (None, Some(as_of)) => api.as_of(id, &as_of).await?,
        (Some(_), Some(_)) => {
            let detail = "version, as_of: are two ways to say the same; give one";
            return Err(Problem::new(Code::QueryInvalid, detail));
        }
    };
    Ok(answers::about(&asset, StatusCode::OK, answers::State::of(&asset)))
}

impl Api {
    async fn present(&self, id: AssetId) -> Result<Asset, Problem> {
        let asset = self.current(id).await?;
        let purged = asset.status() == Status::Purged;
        if purged { Err(Problem::rejected(id, &Rejection::NotFound)) } else { Ok(asset) }
    }

    async fn at_version(&self, id: AssetId, version: u64) -> Result<Asset, Problem> {
        let missing = || format!("ASSET {id} has no version {version}");
        let asset = self.past(id).await?.at_version(version);
        asset.ok_or_else(|| Problem::new(Code::VersionNotFound, missing()))
    }

    async fn as_of(&self, id: AssetId, text: &str) -> Result<Asset, Problem> {
        let at = params::as_of(text, self.effects.now())?;
        let missing = || format!("ASSET {id} was not yet created then");
        let asset = self.past(id).await?.as_of(at);
        asset.ok_or_else(|| Problem::new(Code::VersionNotFound, missing()))
    }

    async fn past(&self, id: AssetId) -> Result<History, Problem> {
        let history = self.service.history(id).await?;
        history.ok_or_else(|| Problem::rejected(id, &Rejection::NotFound))
    }
}

/// Everything that happened to an asset, oldest first.
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
pub(super) struct Page<'a> {
    /// The asset's id.
    asset_id: String,
    /// The events.
    events: Vec<Happened<'a>>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Something that happened to an asset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct Happened<'a> {
    /// Its place in the history, from 1.
    version: u64,
    /// What happened.
    #[schema(example = "uploaded")]
    r#type: &'static str,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: answers::Stamp,
    /// Who did it.
    #[schema(example = "anonymous")]
    actor: &'a str,
    /// Through which door: `api`, `s3`, `cli` or `reconcile`.
    #[schema(example = "api")]
    source: &'static str,
    /// In which request.
    request: &'a str,
    /// What else is to say of it.
    #[schema(value_type = Object)]
    data: &'a RawValue,
    /// The event's id: the SHA-256 of its stored bytes.
    hash: String,
    /// The hash of the event before; zeros for the first.
    prev: String,
}

/// Read everything that happened to an asset
///
/// Also of a purged one. With `Accept: application/jsonl` it is the raw chain, all of it: one
/// event's stored bytes a line, which `sha256sum` and `jq` can check.
#[utoipa::path(get, path = "/asset/{id}/history", tag = "reads", params(
    ("id" = String, Path, description = "The asset's id"),
    ("limit" = Option<u16>, Query, description = "Events of a page, 1 to 1000; 100 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
), responses(
    (status = 200, description = "The events", content(
        (Page = "application/json"), (String = "application/jsonl"))),
    (status = 400, description = "A parameter cannot be taken"),
    (status = 404, description = "There is no such asset"),
))]
pub(super) async fn history(
    State(api): State<Api>,
    Id(id): Id,
    mut given: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let raw = accepts_jsonl(&headers);
    if raw {
        given.done()?;
        return Ok(chain(&api.past(id).await?));
    }
    let limit = params::limit(given.take("limit")?.as_deref())?;
    let after = params::version_cursor(given.take("cursor")?.as_deref())?;
    given.done()?;
    page(id, &api.past(id).await?, after, limit)
}

/// Whether the raw chain is asked for by its name; `*/*` gets the pages.
fn accepts_jsonl(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(JSONL));
        let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        named && !refused
    })
}

fn chain(history: &History) -> Response {
    let body: String =
        history.entries().iter().flat_map(|entry| [entry.line.body.as_str(), "\n"]).collect();
    let headers = [(header::CONTENT_TYPE, JSONL), (header::VARY, "accept")];
    (headers, body).into_response()
}

fn page(id: AssetId, history: &History, after: u64, limit: usize) -> Result<Response, Problem> {
    let skipped = usize::try_from(after).unwrap_or(usize::MAX);
    let mut left = history.entries().iter().skip(skipped);
    let events: Vec<_> = left.by_ref().take(limit).map(Happened::of).collect::<Result<_, _>>()?;
    let last = left.next().and(events.last()).map(|event| event.version.to_string());
    let body = Page { asset_id: id.to_string(), events, next_cursor: last };
    Ok(([(header::VARY, "accept")], Json(body)).into_response())
}

impl<'a> Happened<'a> {
    fn of(entry: &'a Entry) -> Result<Self, Problem> {
        /// What is shown as it is stored.
        #[derive(Deserialize)]
        struct Stored<'a> {
            #[serde(borrow)]
            data: &'a RawValue,
        }
        let internal = |_| Problem::new(Code::Internal, "an event cannot be shown");
        let stored: Stored<'a> = serde_json::from_str(&entry.line.body).map_err(internal)?;
        let record = &entry.record;
        Ok(Self {
            version: record.version,
            r#type: record.event.kind(),
            at: answers::Stamp(record.at),
            actor: &record.cause.actor,
            source: record.cause.source.as_str(),
            request: &record.cause.request,
            data: stored.data,
            hash: entry.hash.to_string(),
            prev: record.prev.to_string(),
        })
    }
}
