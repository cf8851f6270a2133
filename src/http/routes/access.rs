//! The caller, the keys of its tenant, and the events of its tenant's access.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ledger::access::{AccessHistory, KeyId};
use ledger::id::Tenant;
use ledger::key_uses::LastUses;
use serde::Serialize;
use utoipa::ToSchema;

use super::history::{accepts_jsonl, raw_chain};
use crate::http::allowed::{Allowed, Anyone, AuditingAll, Managing};
use crate::http::api::Api;
use crate::http::errors::{Code, Problem};
use crate::http::wire::asset_view::Timestamp;
use crate::http::wire::event_view::EventView;
use crate::http::wire::idempotency::{self, IdempotencyHeader};
use crate::http::wire::key_view::{
    AskedKey, AskedRotation, KeyView, NewKeyBody, NewKeyView, RotationBody,
};
use crate::http::wire::params::{self, QueryParams};
use crate::http::wire::signed_urls::NO_STORE;

/// The caller of this request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me, example = json!({
    "tenant": "main", "actor": "key:5bf8a4d0c1e27f36/1", "subject": "key:5bf8a4d0c1e27f36",
    "method": "api_key", "scopes": ["read", "write"], "own_only": false
}))]
pub(super) struct MeView {
    /// The tenant whose assets the caller reaches.
    tenant: String,
    /// The name that events record.
    actor: String,
    /// The name that stays the same when a key is replaced.
    subject: String,
    /// How the caller was recognised: `anonymous`, `api_key`, `jwt` or `iam`.
    method: &'static str,
    /// What the caller may do.
    scopes: Vec<&'static str>,
    /// Whether the caller reaches only the assets that its subject created.
    own_only: bool,
    /// The end of the caller's credential, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// Who am I
#[utoipa::path(get, path = "/me", tag = "access", security(("api_key" = [])), responses(
    (status = 200, description = "The caller", body = MeView),
    (status = 400, description = "A parameter cannot be taken"),
))]
pub(super) async fn me(
    allowed: Allowed<Anyone>,
    given: QueryParams,
) -> Result<Json<MeView>, Problem> {
    given.done()?;
    let caller = allowed.principal;
    Ok(Json(MeView {
        tenant: caller.tenant.to_string(),
        actor: caller.actor.as_str().to_owned(),
        subject: caller.subject,
        method: caller.method.as_str(),
        scopes: caller.scopes.names(),
        own_only: caller.own_only,
        expires_at: caller.expires_at.map(Timestamp),
    }))
}

/// The id of a key in a path.
pub(super) struct KeyPath(KeyId);

impl<S: Send + Sync> FromRequestParts<S> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let id = text.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(Problem::key_not_found)
    }
}

/// Create an API key
///
/// The answer is the only place where the key's secret is ever shown. A caller that is limited to
/// its own assets makes only such keys.
#[utoipa::path(post, path = "/keys", tag = "access", security(("api_key" = ["admin"])),
    params(IdempotencyHeader), request_body = NewKeyBody, responses(
    (status = 201, description = "The key, with its secret", body = NewKeyView,
        headers(("Location" = String, description = "The key, without its secret"))),
    (status = 400, description = "A field cannot be taken; `detail` names it"),
    (status = 404, description = "The tenant was never created"),
    (status = 409, description = "The tenant has as many keys or events as it may have; the key \
        would reach more than the caller; or the same request created it before"),
    (status = 413, description = "The body is too large"),
))]
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    allowed: Allowed<Managing>,
    given: QueryParams,
    headers: HeaderMap,
    AskedKey(request): AskedKey,
) -> Result<Response, Problem> {
    given.done()?;
    let once = idempotency::key(&headers, &allowed.principal.subject)?;
    let created = api.access.create_key(&allowed.caller, request, once.as_ref()).await;
    let (key, granted) = created.map_err(Problem::of_refusal)?;
    Ok(shown_once(NewKeyView::of(&key, &granted, api.effects.now()), granted.id))
}

fn shown_once(key: NewKeyView, id: KeyId) -> Response {
    let location = [(header::LOCATION, format!("/keys/{id}"))];
    (StatusCode::CREATED, location, [NO_STORE], Json(key)).into_response()
}

/// The keys of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Keys, example = json!({"keys": []}))]
pub(super) struct KeyList {
    /// The keys that are accepted now, by their ids.
    keys: Vec<KeyView>,
}

/// List the live API keys
///
/// `/access` also has those that have ended.
#[utoipa::path(get, path = "/keys", tag = "access", security(("api_key" = ["admin"])), responses(
    (status = 200, description = "The live keys, without their secrets", body = KeyList),
    (status = 400, description = "A parameter cannot be taken"),
    (status = 404, description = "The tenant was never created"),
))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    allowed: Allowed<Managing>,
    given: QueryParams,
) -> Result<Json<KeyList>, Problem> {
    given.done()?;
    let (history, now) = (api.access_of(&allowed.caller.tenant).await?, api.effects.now());
    let uses = api.last_uses(&allowed.caller.tenant).await?;
    let keys = history.access().live(now);
    let keys = keys.map(|key| KeyView::of(key, now).last_used(uses.get(&key.id))).collect();
    Ok(Json(KeyList { keys }))
}

/// Read an API key, also one that has ended
#[utoipa::path(get, path = "/keys/{id}", tag = "access", security(("api_key" = ["admin"])),
    params(("id" = String, Path, description = "The key's id")), responses(
    (status = 200, description = "The key, without its secret", body = KeyView),
    (status = 400, description = "A parameter cannot be taken"),
    (status = 404, description = "There is no such key"),
))]
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    allowed: Allowed<Managing>,
    KeyPath(id): KeyPath,
    given: QueryParams,
) -> Result<Json<KeyView>, Problem> {
    given.done()?;
    let history = api.access_of(&allowed.caller.tenant).await?;
    let key = history.access().keys.get(&id).ok_or_else(Problem::key_not_found)?;
    let uses = api.last_uses(&allowed.caller.tenant).await?;
    Ok(Json(KeyView::of(key, api.effects.now()).last_used(uses.get(&id))))
}

/// Revoke an API key
///
/// It ends at once in this process, and everywhere within ten seconds. A repeated request changes
/// nothing.
#[utoipa::path(delete, path = "/keys/{id}", tag = "access", security(("api_key" = ["admin"])),
    params(
        ("id" = String, Path, description = "The key's id"),
        ("reason" = Option<String>, Query, description = "Why, in up to 256 bytes"),
        IdempotencyHeader,
    ), responses(
    (status = 204, description = "The key has ended", headers(
        ("Idempotency-Replayed" = String, description = "`true`: executed before"))),
    (status = 400, description = "A parameter cannot be taken"),
    (status = 404, description = "There is no such key"),
    (status = 409, description = "The tenant has as many events as it may have"),
))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    allowed: Allowed<Managing>,
    KeyPath(id): KeyPath,
    mut given: QueryParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let reason = given.take_reason()?;
    given.done()?;
    let once = idempotency::key(&headers, &allowed.principal.subject)?;
    let done = api.access.revoke_key(&allowed.caller, id, reason, once.as_ref()).await;
    let done = done.map_err(Problem::of_refusal)?;
    Ok((StatusCode::NO_CONTENT, idempotency::replayed(done.replayed), ()).into_response())
}

/// Replace an API key by one with the same name and rights
///
/// Both are accepted for a while. The answer is the only place where the new key's secret is ever
/// shown.
#[utoipa::path(post, path = "/keys/{id}/rotate", tag = "access",
    security(("api_key" = ["admin"])),
    params(
        ("id" = String, Path, description = "The id of the key to be replaced"),
        IdempotencyHeader,
    ), request_body = RotationBody, responses(
    (status = 201, description = "The new key, with its secret", body = NewKeyView,
        headers(("Location" = String, description = "The new key, without its secret"))),
    (status = 400, description = "A field cannot be taken; `detail` names it"),
    (status = 404, description = "There is no such key"),
    (status = 409, description = "The key has ended or reaches more than the caller; the tenant \
        has as many keys or events as it may have; or the same request replaced it before"),
    (status = 413, description = "The body is too large"),
))]
pub(super) async fn rotate(
    State(api): State<Arc<Api>>,
    allowed: Allowed<Managing>,
    KeyPath(id): KeyPath,
    given: QueryParams,
    headers: HeaderMap,
    AskedRotation(grace, expires_at): AskedRotation,
) -> Result<Response, Problem> {
    given.done()?;
    let once = idempotency::key(&headers, &allowed.principal.subject)?;
    let (caller, once) = (&allowed.caller, once.as_ref());
    let rotated = api.access.rotate_key(caller, id, grace, expires_at, once).await;
    let (key, granted) = rotated.map_err(Problem::of_refusal)?;
    Ok(shown_once(NewKeyView::of(&key, &granted, api.effects.now()), granted.id))
}

/// The events of a tenant's access, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Access, example = json!({"events": []}))]
pub(super) struct AccessPage<'a> {
    /// The events.
    events: Vec<EventView<'a>>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Read who was granted and denied what, when, and by whom
///
/// With `Accept: application/jsonl` the answer is the whole raw chain.
#[utoipa::path(get, path = "/access", tag = "access", security(("api_key" = ["audit"])), params(
    ("limit" = Option<u16>, Query, description = "Events of a page, 1 to 1000; 100 by default"),
    ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before"),
), responses(
    (status = 200, description = "The events", content(
        (AccessPage = "application/json"), (String = "application/jsonl"))),
    (status = 400, description = "A parameter cannot be taken"),
    (status = 404, description = "The tenant was never created"),
))]
pub(super) async fn access(
    State(api): State<Arc<Api>>,
    allowed: Allowed<AuditingAll>,
    mut given: QueryParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = &allowed.caller.tenant;
    if accepts_jsonl(&headers) {
        given.done_raw()?;
        return Ok(raw_chain(api.access_of(tenant).await?.lines().iter()));
    }
    let limit = params::limit(given.take("limit")?.as_deref())?;
    let after = params::version_cursor(given.take("cursor")?.as_deref())?;
    given.done()?;
    let history = api.access_of(tenant).await?;
    let internal = || Problem::new(Code::Internal, "an event cannot be shown");
    let mut left = history.lines().iter().filter(|line| line.version > after);
    let shown = left.by_ref().take(limit).map(EventView::of);
    let events: Vec<_> = shown.collect::<Option<_>>().ok_or_else(internal)?;
    let next_cursor = left.next().and(events.last()).map(|event| event.version.to_string());
    Ok(([(header::VARY, "accept")], Json(AccessPage { events, next_cursor })).into_response())
}

impl Api {
    async fn last_uses(&self, tenant: &Tenant) -> Result<LastUses, Problem> {
        let uses = self.access.last_uses(tenant).await;
        uses.map_err(|error| Problem::of_access(&error))
    }

    async fn access_of(&self, tenant: &Tenant) -> Result<AccessHistory, Problem> {
        let history =
            self.access.history(tenant).await.map_err(|error| Problem::of_access(&error))?;
        history.ok_or_else(Problem::tenant_not_found)
    }
}
