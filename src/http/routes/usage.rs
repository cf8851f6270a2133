//! The usage of the caller's tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use projections::totals::Usage;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::allowed::{Allowed, ReadingAll};
use crate::http::api::Api;
use crate::http::errors::Problem;
use crate::http::wire::asset_view::Timestamp;
use crate::http::wire::params::QueryParams;

/// The figures of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct UsageView {
    /// `assets` that are not purged, `awaiting` their upload among them, and `bytes`: of the stored
    /// objects, and as declared of those that are awaited.
    #[serde(flatten)]
    #[schema(value_type = BTreeMap<String, u64>,
        example = json!({"assets": 3, "awaiting": 1, "bytes": 4096}))]
    figures: BTreeMap<String, u64>,
    /// The time at which counting began. Later changes may be counted.
    #[serde(rename = "asOf")]
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
}

/// Read how many assets and bytes there are
#[utoipa::path(get, path = "/usage", tag = "reads", security(("api_key" = ["read"])), responses(
    (status = 200, description = "The figures, at most 10 seconds old on one machine, and an hour \
        on AWS", body = UsageView),
    (status = 400, description = "A parameter cannot be taken"),
))]
pub(super) async fn usage(
    State(api): State<Arc<Api>>,
    Allowed { caller, .. }: Allowed<ReadingAll>,
    given: QueryParams,
) -> Result<Json<UsageView>, Problem> {
    given.done()?;
    let totals = api.totals.read(&Usage, &caller.tenant).await?;
    Ok(Json(UsageView { figures: totals.figures, as_of: Timestamp(totals.as_of) }))
}
