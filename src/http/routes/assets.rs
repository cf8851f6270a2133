//! The original service's five routes, with its paths, names, statuses and texts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::asset::{Asset, Declaration, UploadKind};
use ledger::id::AssetId;
use ledger::service::AssetChange;
use projections::views::{AssetPage, ListQuery};

use super::uploads;
use crate::http::allowed::{Allowed, Deleting, Reading, Uploading};
use crate::http::api::Api;
use crate::http::errors::{Code, Problem};
use crate::http::principal::Principal;
use crate::http::quotas::Quotas;
use crate::http::wire::asset_view::{self, AssetItem, AssetList, Confirmed};
use crate::http::wire::idempotency::{self, IdempotencyHeader, Replayed};
use crate::http::wire::new_asset::{DeclaredBody, NewAsset};
use crate::http::wire::params::{self, IfMatchHeader, PathId, QueryParams};
use crate::http::wire::signed_urls::{Created, NO_STORE, UploadView};

/// Create an asset and get an upload URL
///
/// Without a body the URL is signed for `host` only and accepts any bytes. With a JSON object, even
/// an empty one, it accepts only the declared bytes, and never replaces an object.
#[utoipa::path(post, path = "/asset", tag = "assets",
    security(("api_key" = ["write"])), params(IdempotencyHeader), request_body = NewAsset,
    responses(
    (status = 201, description = "The asset, CREATED", body = Created, headers(
        ("Location" = String, description = "The asset"),
        ("ETag" = String, description = "The asset's version in quotes"),
        ("Idempotency-Replayed" = String, description = "`true`: executed before"))),
    (status = 400, description = "A field cannot be taken; `detail` names it"),
    (status = 413, description = "The body, or the declared size, is too large"),
))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    State(quotas): State<Arc<Quotas>>,
    by: Allowed<Uploading>,
    headers: HeaderMap,
    DeclaredBody(declaration): DeclaredBody,
) -> Result<Response, Problem> {
    let (caller, principal) = (&by.caller, &by.principal);
    let key = idempotency::key(&headers, &principal.subject)?;
    refuse_undeclared(principal, &declaration)?;
    if let Some(grant) = &principal.upload {
        idempotency::numbered(&headers, grant.assets)?;
        uploads::refuse_outside(grant, &declaration)?;
    }
    let refused = |refusal| Problem::refused(AssetId::new(api.effects.now(), 0), refusal);
    if let Err(full) = quotas.admit(&principal.tenant, &principal.limits, &declaration).await {
        // What was created is answered again, whatever has been used since.
        let repeated = match &key {
            Some(key) => api.service.was_created(caller, &declaration, key).await,
            None => Ok(false),
        };
        if !repeated.map_err(refused)? {
            return Err(full);
        }
    }
    let created = api.service.create_once(caller, declaration, key.as_ref()).await;
    let created = created.map_err(refused)?;
    let answer = upload(&api, &by, &created.asset()).await?;
    Ok((idempotency::replayed(created.replayed), answer).into_response())
}

/// Refuses an upload of any bytes, if the tenant's limits demand a declaration.
pub(super) fn refuse_undeclared(
    principal: &Principal,
    declared: &Declaration,
) -> Result<(), Problem> {
    let plain = declared.upload == UploadKind::Plain;
    if principal.limits.declared_only && plain {
        let detail = "this tenant's uploads must be declared: create the asset with a JSON object";
        return Err(Problem::new(Code::UploadUndeclared, detail));
    }
    Ok(())
}

/// The answer with an upload URL for an asset that has no bytes.
pub(super) async fn upload(
    api: &Api,
    by: &Allowed<Uploading>,
    asset: &Asset,
) -> Result<Response, Problem> {
    let signed = api.upload_url(by, asset).await?;
    let location = (header::LOCATION, format!("/asset/{}", asset.key.asset));
    let body = asset_view::about(asset, StatusCode::CREATED, Created::of(asset, signed));
    Ok(([location], [NO_STORE], body).into_response())
}

/// List assets, newest first
///
/// The list may lag by a moment. A read of a single asset is always current. A caller that is
/// limited to its own assets lists those.
#[utoipa::path(get, path = "/asset", tag = "assets", security(("api_key" = ["read"])), params(
    ("limit" = Option<u16>, Query, description = "Assets of a page, 1 to 1000; 100 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
    ("state" = Option<String>, Query,
        description = "Only assets that are CREATED, RECEIVED, UPLOADED or DELETED"),
), responses(
    (status = 200, description = "A page of assets", body = AssetList, headers(
        ("Link" = String, description = "The next page, as `rel=\"next\"`; absent on the last"))),
    (status = 400, description = "A parameter cannot be taken, or is not known"),
))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Allowed { caller, .. }: Allowed<Reading>,
    mut given: QueryParams,
) -> Result<Response, Problem> {
    let (limit, state) = (given.take("limit")?, given.take("state")?);
    let query = ListQuery {
        state: params::state(state.as_deref())?,
        owner: caller.owner().map(str::to_owned),
        after: params::asset_cursor(given.take("cursor")?.as_deref())?,
        ..ListQuery::all(caller.tenant, params::limit(limit.as_deref())?)
    };
    given.done()?;
    let page = api.reader.list(&query).await?;
    if page.incomplete {
        let detail = "the rows that lists are made of are still being made; try again";
        return Err(Problem::new(Code::ListIncomplete, detail));
    }
    Ok(listed(&query, &page))
}

fn listed(query: &ListQuery, page: &AssetPage) -> Response {
    let items = page.assets.iter().map(AssetItem::of).collect();
    let next_cursor = page.next.map(|id| id.to_string());
    let link = next_cursor.as_ref().map(|cursor| {
        let state = query.state.map_or(String::new(), |s| format!("&state={}", s.shown()));
        let limit = query.limit;
        [(header::LINK, format!("</asset?limit={limit}{state}&cursor={cursor}>; rel=\"next\""))]
    });
    (link, Json(AssetList { items, next_cursor })).into_response()
}

/// Get a download URL for an asset
#[utoipa::path(get, path = "/asset/{id}", tag = "assets",
    security(("api_key" = ["read"])), params(PathId,
    ("timeout" = Option<u64>, Query,
        description = "Seconds that the URL is to live, at least 1; cut to the maximum"),
), responses(
    (status = 202, description = "The URL", body = UploadView,
        headers(("ETag" = String, description = "The asset's version in quotes"))),
    (status = 400, description = "`timeout` is not a whole number of at least 1"),
    (status = 403, description = "The asset is not UPLOADED"),
    (status = 404, description = "There is no such asset"),
))]
pub(super) async fn download(
    State(api): State<Arc<Api>>,
    by: Allowed<Reading>,
    PathId(id): PathId,
    mut given: QueryParams,
) -> Result<Response, Problem> {
    let limits = &api.limits;
    let timeout = given.take("timeout")?;
    let timeout =
        params::timeout(timeout.as_deref(), limits.download_default, limits.download_max)?;
    let asset = api.current(&by.caller, id).await?;
    let pin = asset.download().map_err(|rejection| Problem::rejected(id, &rejection))?;
    let version = &pin.version_id;
    let signed = api.download_url(&by, &asset, version, timeout).await?;
    let body = UploadView::of(&asset, pin.version_id.clone(), signed);
    Ok(([NO_STORE], asset_view::about(&asset, StatusCode::ACCEPTED, body)).into_response())
}

/// Confirm an upload
///
/// Inspects the object, records it if no event has yet, and makes it the final content.
#[utoipa::path(put, path = "/asset/{id}", tag = "assets", security(("api_key" = ["write"])),
    params(PathId, IfMatchHeader, IdempotencyHeader), responses(
    (status = 202, description = "The asset, UPLOADED", body = Confirmed,
        headers(
            ("ETag" = String, description = "The asset's version in quotes"),
            ("Idempotency-Replayed" = String, description = "`true`: executed before"))),
    (status = 400, description = "A header is malformed"),
    (status = 404, description = "There is no such asset"),
    (status = 409, description = "The asset has as many events as an asset may have"),
    (status = 412, description = "No bytes are there, they are not the declared ones, or the \
        asset is at another version"),
))]
pub(super) async fn confirm(
    State(api): State<Arc<Api>>,
    by: Allowed<Uploading>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (asset, replayed) = change(&api, &by, id, &headers, AssetChange::Confirm).await?;
    let body = Confirmed::of(&asset);
    Ok((replayed, asset_view::about(&asset, StatusCode::ACCEPTED, body)).into_response())
}

/// Delete an asset softly
///
/// The bytes stay until a purge. A restore undoes the deletion.
#[utoipa::path(delete, path = "/asset/{id}", tag = "assets",
    security(("api_key" = ["delete"])), params(PathId,
    ("reason" = Option<String>, Query, description = "Why, in up to 256 bytes"),
    IfMatchHeader, IdempotencyHeader,
), responses(
    (status = 204, description = "The asset is DELETED",
        headers(
            ("ETag" = String, description = "The asset's version in quotes"),
            ("Idempotency-Replayed" = String, description = "`true`: executed before"))),
    (status = 400, description = "`reason` or a header cannot be taken"),
    (status = 404, description = "There is no such asset"),
    (status = 409, description = "The asset has as many events as an asset may have"),
    (status = 412, description = "The asset is at another version"),
))]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    by: Allowed<Deleting>,
    PathId(id): PathId,
    mut given: QueryParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let delete = AssetChange::Delete(given.take_reason()?);
    let (asset, replayed) = change(&api, &by, id, &headers, delete).await?;
    Ok((StatusCode::NO_CONTENT, replayed, [asset_view::etag(&asset)]).into_response())
}

/// Executes a change under the conditions of its headers. Returns the asset as the change left it.
pub(super) async fn change<N>(
    api: &Api,
    by: &Allowed<N>,
    id: AssetId,
    headers: &HeaderMap,
    change: AssetChange,
) -> Result<(Asset, Replayed), Problem> {
    let expected = params::if_match(headers)?;
    let key = idempotency::key(headers, &by.principal.subject)?;
    let done = api.service.change(&by.caller, id, expected, change, key.as_ref()).await;
    let done = done.map_err(|refusal| Problem::refused(id, refusal))?;
    Ok((done.asset(), idempotency::replayed(done.replayed)))
}
