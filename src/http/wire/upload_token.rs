//! Upload tokens as they are asked for.

use axum::extract::{FromRequest, Request};
use chrono::TimeDelta;
use ledger::access::UPLOAD_TOKEN_LIFE_MAX;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{self, invalid};
use crate::http::errors::Problem;

/// Seconds of a token's life, unless others are asked for.
const LIFE: i64 = 900;

/// What an upload token is to allow.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUploadToken, example = json!({
    "assets": 3, "object_bytes": 10_000_000, "types": ["image/*"], "for": "ann"
}))]
pub(crate) struct NewTokenBody {
    /// The number of assets that it may create.
    #[schema(minimum = 1, maximum = 100)]
    pub(crate) assets: u32,
    /// The largest object, in bytes.
    #[schema(minimum = 1, maximum = 5_368_709_120_u64)]
    pub(crate) object_bytes: u64,
    /// The media types, such as `image/png` or `image/*`; without it, any.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub(crate) types: Vec<String>,
    /// The person for whom it acts, which events record.
    #[serde(rename = "for")]
    #[schema(min_length = 1, max_length = 64, pattern = "^[!-~]+$")]
    pub(crate) acting_for: Option<String>,
    /// Seconds until its end; 900 by default.
    #[schema(minimum = 1, maximum = 3_600)]
    expires_in: Option<i64>,
}

/// A request for a token, and its life. The limits of other fields are checked when it is signed.
pub(crate) struct AskedToken(pub(crate) NewTokenBody, pub(crate) TimeDelta);

impl<S: Sync> FromRequest<S> for AskedToken {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let Some(asked) = body::json::<NewTokenBody>(request).await? else {
            return Err(invalid("the body must be a JSON object with assets and object_bytes"));
        };
        let life = asked.expires_in.unwrap_or(LIFE);
        let most = UPLOAD_TOKEN_LIFE_MAX.num_seconds();
        if !(1..=most).contains(&life) {
            return Err(invalid("expires_in: must be 1 to 3600"));
        }
        Ok(Self(asked, TimeDelta::seconds(life)))
    }
}
