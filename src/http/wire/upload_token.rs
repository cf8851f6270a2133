//! Upload tokens as they are asked for.

use axum::extract::{FromRequest, Request};
use chrono::TimeDelta;
use ledger::access::UPLOAD_TOKEN_LIFE_MAX;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body;
use crate::http::errors::{Code, Problem};

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
    assets: u32,
    /// The largest object, in bytes.
    #[schema(minimum = 1, maximum = 5_368_709_120_u64)]
    object_bytes: u64,
    /// The media types, such as `image/png` or `image/*`; without it, any.
    #[serde(default)]
    #[schema(max_items = 20)]
    types: Vec<String>,
    /// The person for whom it acts, which events record.
    #[serde(rename = "for")]
    #[schema(min_length = 1, max_length = 64, pattern = "^[!-~]+$")]
    acting_for: Option<String>,
    /// Seconds until its end; 900 by default.
    #[schema(minimum = 1, maximum = 3_600)]
    expires_in: Option<i64>,
}

/// A request for a token. The limits of its fields are checked when it is signed.
pub(crate) struct AskedToken {
    pub(crate) life: TimeDelta,
    pub(crate) assets: u32,
    pub(crate) object_bytes: u64,
    pub(crate) types: Vec<String>,
    pub(crate) acting_for: Option<String>,
}

impl<S: Sync> FromRequest<S> for AskedToken {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let invalid = |detail: &str| Problem::new(Code::BodyInvalid, detail);
        let Some(asked) = body::json::<NewTokenBody>(request).await? else {
            return Err(invalid("the body must be a JSON object with assets and object_bytes"));
        };
        let NewTokenBody { assets, object_bytes, types, acting_for, expires_in } = asked;
        let life = expires_in.unwrap_or(LIFE);
        let most = UPLOAD_TOKEN_LIFE_MAX.num_seconds();
        if !(1..=most).contains(&life) {
            return Err(invalid("expires_in: must be 1 to 3600"));
        }
        Ok(Self { life: TimeDelta::seconds(life), assets, object_bytes, types, acting_for })
    }
}
