//! The present and past states of an asset.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ledger::asset::{Asset, AssetStatus, Rejection};
use ledger::history::History;
use ledger::id::AssetId;
use ledger::service::Caller;

use crate::http::allowed::{Allowed, Reading};
use crate::http::api::Api;
use crate::http::errors::{Code, Problem};
use crate::http::wire::asset_view;
use crate::http::wire::params::{self, PathId, QueryParams};

/// Read the full state of an asset, now or at a past time
#[utoipa::path(get, path = "/asset/{id}/state", tag = "reads",
    security(("api_key" = ["read"])), params(PathId,
    ("version" = Option<u64>, Query, description = "As its first so many events made it"),
    ("as_of" = Option<String>, Query,
        description = "As it was at this RFC 3339 time, that time included"),
), responses(
    (status = 200, description = "The asset", body = asset_view::StateView,
        headers(("ETag" = String, description = "The asset's version in quotes"))),
    (status = 400, description = "A parameter cannot be taken, or is a time to come"),
    (status = 404, description = "There is no such asset or version, or was none then"),
))]
pub(super) async fn state(
    State(api): State<Arc<Api>>,
    Allowed { caller, .. }: Allowed<Reading>,
    PathId(id): PathId,
    mut given: QueryParams,
) -> Result<Response, Problem> {
    let (version, as_of) = (given.take("version")?, given.take("as_of")?);
    given.done()?;
    let asset = match (version, as_of) {
        (None, None) => api.present(&caller, id).await?,
        (Some(version), None) => {
            let version = params::version(&version)?;
            at_version(&api.past(&caller, id).await?, version)?
        }
        (None, Some(as_of)) => api.as_of(&caller, id, &as_of).await?,
        (Some(_), Some(_)) => {
            let detail = "version, as_of: are two ways to say the same; give one";
            return Err(Problem::new(Code::QueryInvalid, detail));
        }
    };
    Ok(asset_view::about(&asset, StatusCode::OK, asset_view::StateView::of(&asset)))
}

/// The asset as its first so many events made it.
pub(super) fn at_version(history: &History, version: u64) -> Result<Asset, Problem> {
    let missing = || format!("ASSET {} has no version {version}", history.asset().key.asset);
    let asset = history.at_version(version);
    asset.ok_or_else(|| Problem::new(Code::VersionNotFound, missing()))
}

impl Api {
    async fn present(&self, caller: &Caller, id: AssetId) -> Result<Asset, Problem> {
        let asset = self.current(caller, id).await?;
        let purged = asset.status() == AssetStatus::Purged;
        if purged { Err(Problem::rejected(id, &Rejection::NotFound)) } else { Ok(asset) }
    }

    async fn as_of(&self, caller: &Caller, id: AssetId, text: &str) -> Result<Asset, Problem> {
        let at = params::as_of(text)?;
        let missing = || format!("ASSET {id} was not yet created then");
        let history = self.past(caller, id).await?;
        params::past(at, self.effects.now(), history.asset().updated_at)?;
        let asset = history.as_of(at);
        asset.ok_or_else(|| Problem::new(Code::VersionNotFound, missing()))
    }
}
