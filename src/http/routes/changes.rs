//! The changes that the original service does not have.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use ledger::asset::Rejection;
use ledger::service::AssetChange;

use super::assets;
use crate::http::allowed::{Allowed, Deleting, Purging, Uploading};
use crate::http::api::Api;
use crate::http::errors::Problem;
use crate::http::wire::asset_view;
use crate::http::wire::body::NoBody;
use crate::http::wire::idempotency::IdempotencyHeader;
use crate::http::wire::params::{self, IfMatchHeader, PathId, QueryParams};
use crate::http::wire::signed_urls::Created;

/// Restore a deleted asset
#[utoipa::path(post, path = "/asset/{id}/restore", tag = "changes",
    security(("api_key" = ["delete"])),
    params(PathId, IfMatchHeader, IdempotencyHeader), responses(
    (status = 200, description = "The asset, as it was before", body = asset_view::StateView,
        headers(
            ("ETag" = String, description = "The asset's version in quotes"),
            ("Idempotency-Replayed" = String, description = "`true`: executed before"))),
    (status = 400, description = "A header, a parameter or a body cannot be taken"),
    (status = 404, description = "There is no such asset"),
    (status = 409, description = "It is not deleted, being purged, or its bytes are gone"),
    (status = 410, description = "It was purged"),
    (status = 412, description = "The asset is at another version"),
    (status = 413, description = "A body is not taken, least of all a large one"),
))]
pub(super) async fn restore(
    State(api): State<Arc<Api>>,
    by: Allowed<Deleting>,
    PathId(id): PathId,
    given: QueryParams,
    headers: HeaderMap,
    _: NoBody,
) -> Result<Response, Problem> {
    given.done()?;
    let (asset, replayed) = assets::change(&api, &by, id, &headers, AssetChange::Restore).await?;
    let body = asset_view::StateView::of(&asset);
    Ok((replayed, asset_view::about(&asset, StatusCode::OK, body)).into_response())
}

/// Destroy the bytes of a deleted asset
///
/// The history stays. If the store fails half way, a repeated request continues from there.
#[utoipa::path(post, path = "/asset/{id}/purge", tag = "changes",
    security(("api_key" = ["purge"])),
    params(PathId, IfMatchHeader, IdempotencyHeader), responses(
    (status = 202, description = "PURGED if no bytes are left, else being purged",
        body = asset_view::StateView,
        headers(
            ("ETag" = String, description = "The asset's version in quotes"),
            ("Idempotency-Replayed" = String, description = "`true`: executed before"))),
    (status = 400, description = "A header, a parameter or a body cannot be taken"),
    (status = 404, description = "There is no such asset"),
    (status = 409, description = "It is not deleted"),
    (status = 410, description = "It was purged already"),
    (status = 412, description = "The asset is at another version"),
    (status = 413, description = "A body is not taken, least of all a large one"),
))]
pub(super) async fn purge(
    State(api): State<Arc<Api>>,
    by: Allowed<Purging>,
    PathId(id): PathId,
    given: QueryParams,
    headers: HeaderMap,
    _: NoBody,
) -> Result<Response, Problem> {
    given.done()?;
    let (asset, replayed) = assets::change(&api, &by, id, &headers, AssetChange::Purge).await?;
    let body = asset_view::StateView::of(&asset);
    Ok((replayed, asset_view::about(&asset, StatusCode::ACCEPTED, body)).into_response())
}

/// Get a new upload URL of the same kind as the first
#[utoipa::path(post, path = "/asset/{id}/upload-url", tag = "changes",
    security(("api_key" = ["write"])), params(PathId, IfMatchHeader), responses(
    (status = 201, description = "The URL", body = Created, headers(
        ("Location" = String, description = "The asset"),
        ("ETag" = String, description = "The asset's version in quotes"))),
    (status = 400, description = "`If-Match`, a parameter or a body cannot be taken"),
    (status = 404, description = "There is no such asset"),
    (status = 409, description = "Bytes were received already, or it is deleted"),
    (status = 410, description = "It was purged"),
    (status = 412, description = "The asset is at another version"),
    (status = 413, description = "A body is not taken, least of all a large one"),
))]
pub(super) async fn upload_url(
    State(api): State<Arc<Api>>,
    by: Allowed<Uploading>,
    PathId(id): PathId,
    given: QueryParams,
    headers: HeaderMap,
    _: NoBody,
) -> Result<Response, Problem> {
    given.done()?;
    let expected = params::if_match(&headers)?;
    let asset = api.current(&by.caller, id).await?;
    let actual = asset.version;
    let moved = expected.is_some_and(|expected| expected != actual);
    let conflict = moved.then_some(Rejection::VersionConflict { actual });
    conflict
        .map_or(Ok(()), Err)
        .and_then(|()| asset.upload_again())
        .map_err(|rejection| Problem::rejected(id, &rejection))?;
    assets::refuse_undeclared(&by.principal, &asset.declared)?;
    assets::upload(&api, &by, &asset).await
}
