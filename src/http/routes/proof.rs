//! The head of an asset in the form of a checkpoint, for a comparison with a stored one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ledger::asset::Asset;
use ledger::checkpoint::{Head, merkle};
use serde::Serialize;
use utoipa::ToSchema;

use super::state::at_version;
use crate::http::allowed::{Allowed, Auditing};
use crate::http::api::Api;
use crate::http::errors::{Code, Problem};
use crate::http::wire::params::{self, PathId, QueryParams};

/// A version of a history, in the form of checkpoints.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Proof, example = json!({
    "asset_id": "019aaf6b-5a00-7123-8456-0123456789ab", "version": 1,
    "hash": "2f4205d851599273def3e870acd83f7b87f47a80ef679774f58299c6ea714166",
    "head": "{\"tenant\":\"main\",\"asset\":\"019aaf6b-5a00-7123-8456-0123456789ab\",\"version\":1,\
        \"hash\":\"2f4205d851599273def3e870acd83f7b87f47a80ef679774f58299c6ea714166\"}",
    "leaf": "05acef092855cde229e0e96b9500d8d4c3d75768cf1cb25fef53e96ed44ec354",
    "last_version": 3,
    "last_hash": "53ad250dc2ec9c04b5a2d19c09aa81aca94eb0d1de52e3f691f10b93ba3dfe88"
}))]
pub(super) struct ProofView {
    /// The asset's id.
    asset_id: String,
    /// The version of this head.
    version: u64,
    /// The id of its event.
    hash: String,
    /// The exact line of a checkpoint that was made when this was the last version.
    head: String,
    /// That line's leaf in the Merkle tree of RFC 6962: SHA-256 of a zero byte and the line.
    leaf: String,
    /// The version of the last event now.
    last_version: u64,
    /// The id of that event.
    last_hash: String,
}

/// Read an asset's head in the form of a checkpoint
///
/// Compare `head` with the line of this asset in a checkpoint: `version` is that line's. If they
/// differ, the history is not the one of the checkpoint. The whole chain, with
/// `Accept: application/jsonl` on `/history`, proves that later events follow from it. Also works
/// for a purged asset.
#[utoipa::path(get, path = "/asset/{id}/proof", tag = "reads",
    security(("api_key" = ["audit"])), params(PathId,
    ("version" = Option<u64>, Query, description = "The version of the checkpoint's line; the \
        last one without it"),
), responses(
    (status = 200, description = "The head", body = ProofView),
    (status = 400, description = "A parameter cannot be taken"),
    (status = 404, description = "There is no such asset or version"),
))]
pub(super) async fn proof(
    State(api): State<Arc<Api>>,
    Allowed { caller, .. }: Allowed<Auditing>,
    PathId(id): PathId,
    mut given: QueryParams,
) -> Result<Response, Problem> {
    let version = given.take("version")?.map(|text| params::version(&text)).transpose()?;
    given.done()?;
    let history = api.past(&caller, id).await?;
    let last = history.asset();
    let seen = at_version(&history, version.unwrap_or(last.version))?;
    Ok(Json(ProofView::of(&seen, last)?).into_response())
}

impl ProofView {
    fn of(seen: &Asset, last: &Asset) -> Result<Self, Problem> {
        let internal = |_| Problem::new(Code::Internal, "a head cannot be shown");
        let head = Head::of(seen).line().map_err(internal)?;
        Ok(Self {
            asset_id: seen.key.asset.to_string(),
            version: seen.version,
            hash: seen.head.to_string(),
            leaf: merkle::leaf(head.as_bytes()).to_string(),
            head,
            last_version: last.version,
            last_hash: last.head.to_string(),
        })
    }
}
