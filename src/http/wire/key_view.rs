//! API keys as they are asked for and shown.

use axum::extract::{FromRequest, Request};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ledger::access::{ApiKey, GrantedKey, KeyName, KeyRequest, ROTATION_GRACE_MAX, Scopes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::asset_view::Timestamp;
use super::body::{self, invalid};
use crate::http::errors::Problem;

/// Seconds in which a replaced key is still accepted, unless others are asked for.
pub(crate) const GRACE: i64 = 3_600;

/// A key to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey, example = json!({"name": "uploads", "scopes": ["read", "write"],
    "expires_at": "2027-11-23T00:00:00Z"}))]
pub(crate) struct NewKeyBody {
    /// A name for people, in up to 64 bytes.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// What the key may do.
    scopes: Vec<String>,
    /// Whether it reaches only the assets that it creates; `false` by default.
    #[serde(default)]
    own_only: bool,
    /// Its end, an RFC 3339 time; without it the key has none.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<String>,
}

/// A key to be replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KeyRotation, example = json!({"grace_seconds": 3600}))]
pub(crate) struct RotationBody {
    /// Seconds in which the replaced key is still accepted, up to 30 days; an hour by default.
    #[schema(minimum = 0, maximum = 2_592_000)]
    grace_seconds: Option<i64>,
    /// The end of the new key, an RFC 3339 time; without it the key has none.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<String>,
}

/// A request for a key.
pub(crate) struct AskedKey(pub(crate) KeyRequest);

impl<S: Sync> FromRequest<S> for AskedKey {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let Some(asked) = body::json::<NewKeyBody>(request).await? else {
            return Err(invalid("the body must be a JSON object with name and scopes"));
        };
        let NewKeyBody { name, scopes, own_only, expires_at } = asked;
        let name = KeyName::new(name)?;
        let scope = |text: &String| {
            text.parse()
                .map_err(|why: ledger::access::ScopeError| invalid(format!("scopes: {why}")))
        };
        let scopes = scopes.iter().map(scope).collect::<Result<Scopes, Problem>>()?;
        Ok(Self(KeyRequest { name, scopes, own_only, expires_at: end(expires_at)? }))
    }
}

/// A request for the replacement of a key: the grace, and the end of the new one.
pub(crate) struct AskedRotation(pub(crate) TimeDelta, pub(crate) Option<DateTime<Utc>>);

impl<S: Sync> FromRequest<S> for AskedRotation {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let asked = body::json::<RotationBody>(request).await?.unwrap_or_default();
        let outside = || invalid("grace_seconds: must be 0 to 2592000");
        let grace = TimeDelta::try_seconds(asked.grace_seconds.unwrap_or(GRACE));
        let allowed = TimeDelta::zero()..=ROTATION_GRACE_MAX;
        let grace = grace.filter(|grace| allowed.contains(grace)).ok_or_else(outside)?;
        Ok(Self(grace, end(asked.expires_at)?))
    }
}

fn end(text: Option<String>) -> Result<Option<DateTime<Utc>>, Problem> {
    let read = |text: String| {
        let at = DateTime::parse_from_rfc3339(&text).map_err(|_| {
            invalid("expires_at: must be an RFC 3339 time such as 2027-11-23T08:00:00Z")
        });
        // An event has six digits.
        Ok(chrono::SubsecRound::trunc_subsecs(at?.to_utc(), 6))
    };
    text.map(read).transpose()
}

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key, example = json!({
    "id": "5bf8a4d0c1e27f36", "name": "uploads", "scopes": ["read", "write"],
    "own_only": false, "actor": "key:5bf8a4d0c1e27f36/1",
    "created_at": "2026-11-23T08:00:00.000000Z", "created_by": "cli:alice", "live": true
}))]
pub(crate) struct KeyView {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// What it may do.
    scopes: Vec<&'static str>,
    /// Whether it reaches only the assets that it and the keys before it created.
    own_only: bool,
    /// The actor that events record for it.
    actor: String,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The actor who created it.
    created_by: String,
    /// Whether it is accepted now.
    live: bool,
    /// Its end, past or to come; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    /// The last day on which it was accepted, in UTC; absent if it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    last_used: Option<NaiveDate>,
    /// The id of the key that replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_by: Option<String>,
}

impl KeyView {
    pub(crate) fn of(key: &GrantedKey, now: DateTime<Utc>) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            scopes: key.scopes.names(),
            own_only: key.own_only,
            actor: key.actor(),
            created_at: Timestamp(key.created_at),
            created_by: key.created_by.clone(),
            live: key.is_live(now),
            ends_at: key.ends_at.map(Timestamp),
            last_used: None,
            replaced_by: key.replaced_by.map(|id| id.to_string()),
        }
    }

    pub(crate) fn last_used(self, day: Option<&NaiveDate>) -> Self {
        Self { last_used: day.copied(), ..self }
    }
}

/// A new key with its secret, which is shown only once.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedKey, example = json!({
    "key": "alk_main_5bf8a4d0c1e27f36_…", "id": "5bf8a4d0c1e27f36", "name": "uploads",
    "scopes": ["read", "write"], "own_only": false, "actor": "key:5bf8a4d0c1e27f36/1",
    "created_at": "2026-11-23T08:00:00.000000Z", "created_by": "cli:alice", "live": true
}))]
pub(crate) struct NewKeyView {
    /// The whole key. Keep it: it cannot be shown again.
    key: String,
    /// The same without its secret.
    #[serde(flatten)]
    view: KeyView,
}

impl NewKeyView {
    pub(crate) fn of(key: &ApiKey, granted: &GrantedKey, now: DateTime<Utc>) -> Self {
        Self { key: key.reveal().to_owned(), view: KeyView::of(granted, now) }
    }
}
