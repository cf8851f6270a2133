//! Answers: one struct for each form of JSON, made from the ledger's asset.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use ledger::asset::{Asset, Life, UploadKind};
use ledger::time;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// A point in time, in its stored form: UTC, six digits, `Z`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timestamp(pub(crate) DateTime<Utc>);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time::format(self.0))
    }
}

/// The known data of the file: of its bytes once they are received, before that as declared.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File)]
pub(crate) struct FileView {
    /// The file's name. It is data, never a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    /// The file's media type, as declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// SHA-256 in lower-case hex, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl FileView {
    pub(crate) fn of(asset: &Asset) -> Self {
        let declared = &asset.declared;
        let (size, sha256) = match &asset.pin {
            Some(pin) => (Some(pin.size), pin.sha256.clone()),
            None => (declared.size, declared.sha256.clone()),
        };
        let (filename, content_type) = (declared.filename.clone(), declared.content_type.clone());
        Self { filename, content_type, size, sha256 }
    }
}

/// The state of an asset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Standing)]
pub(crate) struct LifecycleView {
    /// CREATED, RECEIVED, UPLOADED or DELETED; PURGED only in the past of a purged asset.
    #[schema(example = "UPLOADED")]
    state: &'static str,
    /// The number of its events; its entity tag is this in quotes.
    #[schema(example = 3)]
    version: u64,
    /// The time of the first event.
    #[serde(rename = "createdAt")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The time of the last event.
    #[serde(rename = "updatedAt")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl LifecycleView {
    pub(crate) fn of(asset: &Asset) -> Self {
        Self {
            state: asset.status().shown(),
            version: asset.version,
            created_at: Timestamp(asset.created_at),
            updated_at: Timestamp(asset.updated_at),
        }
    }
}

/// One asset of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Item)]
pub(crate) struct AssetItem {
    /// The asset's id.
    asset_id: String,
    /// The state.
    #[serde(flatten)]
    standing: LifecycleView,
    /// The known data of the file.
    #[serde(flatten)]
    file: FileView,
}

impl AssetItem {
    pub(crate) fn of(asset: &Asset) -> Self {
        let asset_id = asset.key.asset.to_string();
        Self { asset_id, standing: LifecycleView::of(asset), file: FileView::of(asset) }
    }
}

/// A page of assets, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = List, example = json!({"items": [{
    "asset_id": "019aaf6b-5a00-7123-8456-0123456789ab", "state": "CREATED", "version": 1,
    "createdAt": "2026-11-23T08:00:00.000000Z", "updatedAt": "2026-11-23T08:00:00.000000Z"
}]}))]
pub(crate) struct AssetList {
    /// The assets. A filtered page may be short or empty without being the last.
    pub(crate) items: Vec<AssetItem>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// The full state of an asset.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = State, example = json!({
    "asset_id": "019aaf6b-5a00-7123-8456-0123456789ab", "state": "UPLOADED", "version": 3,
    "createdAt": "2026-11-23T08:00:00.000000Z", "updatedAt": "2026-11-23T08:00:09.000000Z",
    "size": 11, "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9",
    "version_id": "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY", "etag": "5eb63bbbe01eeed093cb22bb8f5acdc3",
    "upload": "plain", "declared": {}, "tags": {}, "confirmed": true, "purging": false,
    "head": "c4927d2fca3868f091d4b4b8325552d9e1b2149c27045a945bc4a11b2eee4d7e"
}))]
pub(crate) struct StateView {
    /// The asset's id.
    asset_id: String,
    /// The state.
    #[serde(flatten)]
    standing: LifecycleView,
    /// The known data of the file.
    #[serde(flatten)]
    file: FileView,
    /// The version of the object that is the asset's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<String>,
    /// That version's entity tag in S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// How the upload URL is signed: `plain` or `declared`.
    #[schema(example = "declared")]
    upload: &'static str,
    /// The client's declaration of the bytes before the upload.
    declared: DeclaredView,
    /// The client's tags.
    tags: BTreeMap<String, String>,
    /// Whether the upload was confirmed.
    confirmed: bool,
    /// The reason of the deletion, if one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whether its bytes are being destroyed.
    purging: bool,
    /// The hash of the last event, which covers the whole history.
    head: String,
}

/// The client's declaration of the bytes before the upload.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Declared)]
pub(crate) struct DeclaredView {
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// SHA-256 in lower-case hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl StateView {
    pub(crate) fn of(asset: &Asset) -> Self {
        let declared = asset.declared.clone();
        let reason = match &asset.life {
            Life::Deleted { reason } => reason.clone(),
            Life::Live | Life::Purging | Life::Purged => None,
        };
        Self {
            asset_id: asset.key.asset.to_string(),
            standing: LifecycleView::of(asset),
            file: FileView::of(asset),
            version_id: asset.pin.as_ref().map(|pin| pin.version_id.clone()),
            etag: asset.pin.as_ref().map(|pin| pin.etag.clone()),
            upload: match declared.upload {
                UploadKind::Plain => "plain",
                UploadKind::Declared => "declared",
            },
            declared: DeclaredView { size: declared.size, sha256: declared.sha256 },
            tags: declared.tags,
            confirmed: asset.confirmed,
            reason,
            purging: asset.life == Life::Purging,
            head: asset.head.to_string(),
        }
    }
}

/// A confirmed upload: the original's `status`, and the full state of the asset.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Confirmed {
    /// The same as `state`.
    #[schema(example = "UPLOADED")]
    status: &'static str,
    /// The full state of the asset.
    #[serde(flatten)]
    state: StateView,
}

impl Confirmed {
    pub(crate) fn of(asset: &Asset) -> Self {
        Self { status: asset.status().shown(), state: StateView::of(asset) }
    }
}

/// An answer about one asset, with its version as entity tag.
pub(crate) fn about(asset: &Asset, status: StatusCode, body: impl Serialize) -> Response {
    (status, [etag(asset)], Json(body)).into_response()
}

/// The entity tag of an asset: its version.
pub(crate) fn etag(asset: &Asset) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{}\"", asset.version))
}
