//! Upload tokens: signed for the holder of an API key, and what they allow.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::SubsecRound;
use ledger::access::UploadGrant;
use ledger::asset::{Declaration, UploadKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::allowed::{Allowed, Writing};
use crate::http::api::Api;
use crate::http::errors::{Code, Problem};
use crate::http::middleware::auth::presented_key;
use crate::http::wire::asset_view::Timestamp;
use crate::http::wire::params::QueryParams;
use crate::http::wire::signed_urls::NO_STORE;
use crate::http::wire::upload_token::{AskedToken, NewTokenBody};

/// An upload token.
#[derive(Serialize, ToSchema)]
#[schema(as = UploadToken, example = json!({
    "id": "9f86d081884c7d65", "token": "alu.main.5bf8a4d0c1e27f36.eyJpZCI6….4xLE8PGM…",
    "expires_at": "2026-11-23T08:15:00.000000Z"
}))]
pub(super) struct TokenView {
    /// Its name, which the actor of its uploads contains.
    id: String,
    /// The token, for `Authorization: Bearer`.
    token: String,
    /// Its end.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Sign a token with which a browser may upload
///
/// Nothing is stored. The holder of an API key can sign the same without this request.
#[utoipa::path(post, path = "/upload-tokens", tag = "access",
    security(("api_key" = ["write"])), request_body = NewTokenBody, responses(
    (status = 201, description = "The token", body = TokenView),
    (status = 400, description = "A field cannot be taken; `detail` names it"),
    (status = 409, description = "The key was created before there were upload tokens"),
    (status = 413, description = "The body is too large"),
))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    _: Allowed<Writing>,
    given: QueryParams,
    headers: HeaderMap,
    AskedToken(asked, life): AskedToken,
) -> Result<Response, Problem> {
    given.done()?;
    // The principal does not hold its secret: the key is read once more.
    let detail = "only an API key can sign an upload token";
    let none = || Problem::new(Code::UploadOutside, detail);
    let key = presented_key(&headers).ok_or_else(none)?;
    let granted = api.access.authenticate(&key).await;
    let granted = granted.map_err(|error| Problem::of_access(&error))?;
    let (_, granted) = granted.ok_or_else(none)?;
    if granted.upload_public_key != Some(key.upload_public_key()) {
        let detail = "this key was created before there were upload tokens: rotate it";
        return Err(Problem::new(Code::KeyOutdated, detail));
    }
    let issued_at = api.effects.now().trunc_subsecs(0);
    let id = format!("{:016x}", api.effects.random() >> 64);
    let expires_at = issued_at + life;
    let NewTokenBody { assets, object_bytes, types, acting_for, .. } = asked;
    let grant = UploadGrant { id, issued_at, expires_at, assets, object_bytes, types, acting_for };
    let token = key.sign_upload(&grant)?;
    let view = TokenView { id: grant.id, token, expires_at: Timestamp(expires_at) };
    Ok((StatusCode::CREATED, [NO_STORE], Json(view)).into_response())
}

/// Refuses a file that the token does not allow.
pub(super) fn refuse_outside(grant: &UploadGrant, file: &Declaration) -> Result<(), Problem> {
    let undeclared = |detail| Err(Problem::new(Code::UploadUndeclared, detail));
    let outside = |detail: String| Err(Problem::new(Code::UploadOutside, detail));
    if file.upload == UploadKind::Plain {
        return undeclared("with an upload token, create the asset with a JSON object");
    }
    match file.size {
        None => return undeclared("size: must be declared with an upload token"),
        Some(size) if size > grant.object_bytes => {
            return outside(format!(
                "size: must be at most {} with this token",
                grant.object_bytes
            ));
        }
        Some(_) => {}
    }
    match &file.content_type {
        None if !grant.types.is_empty() => {
            undeclared("content_type: must be declared with this token")
        }
        Some(kind) if !grant.takes_type(kind) => outside(format!(
            "content_type: must be one of {} with this token",
            grant.types.join(", ")
        )),
        _ => Ok(()),
    }
}
