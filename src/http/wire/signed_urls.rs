//! Answers with a signed URL, which is a credential: every holder can use it.

use std::collections::BTreeMap;

use axum::http::header;
use ledger::asset::{Asset, UploadKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::asset_view::{FileView, LifecycleView, Timestamp};
use crate::presign::Presigned;

/// The cache header of every such answer.
pub(crate) const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// An upload URL for an asset without bytes.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "019aaf6b-5a00-7123-8456-0123456789ab",
    "upload_url": "https://files.s3.eu-central-1.amazonaws.com/main/019aaf6b-…?X-Amz-…",
    "expires_at": "2026-11-23T08:15:00.000000Z", "expires_in": 900,
    "state": "CREATED", "version": 1,
    "createdAt": "2026-11-23T08:00:00.000000Z", "updatedAt": "2026-11-23T08:00:00.000000Z"
}))]
pub(crate) struct Created {
    /// The asset's id.
    id: String,
    /// PUT the file here, with the headers in `upload`.
    upload_url: String,
    /// The expiry of the URL.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Seconds until the expiry.
    expires_in: u64,
    /// The state of the asset.
    #[serde(flatten)]
    standing: LifecycleView,
    /// The declaration of the file.
    #[serde(flatten)]
    file: FileView,
    /// The client's tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    /// The whole upload request, for an asset that was created with a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<UploadRequest>,
}

/// A signed request.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
pub(crate) struct UploadRequest {
    /// The request's method.
    #[schema(example = "PUT")]
    method: String,
    /// The request's URL.
    url: String,
    /// Exactly the headers that the client must set. `Host` and `Content-Length`, which every
    /// client sends by itself, are signed if they were declared, but are not listed here.
    headers: BTreeMap<String, String>,
    /// The expiry of the signature.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Seconds until the expiry.
    expires_in: u64,
}

impl Created {
    pub(crate) fn of(asset: &Asset, signed: Presigned) -> Self {
        let expires_at = Timestamp(signed.expires_at);
        let (upload_url, expires_in) = (signed.url.clone(), signed.expires_in);
        let Presigned { method, url, headers, .. } = signed;
        let upload = UploadRequest { method, url, headers, expires_at, expires_in };
        Self {
            id: asset.key.asset.to_string(),
            upload_url,
            expires_at,
            expires_in,
            standing: LifecycleView::of(asset),
            file: FileView::of(asset),
            tags: asset.declared.tags.clone(),
            upload: (asset.declared.upload == UploadKind::Declared).then_some(upload),
        }
    }
}

/// A download URL for one version of a file.
#[derive(Serialize, ToSchema)]
#[schema(as = Download, example = json!({
    "asset_id": "019aaf6b-5a00-7123-8456-0123456789ab",
    "download_url": "https://files.s3.eu-central-1.amazonaws.com/main/019aaf6b-…?X-Amz-…",
    "expires_at": "2026-11-23T08:01:00.000000Z", "expires_in": 60,
    "version_id": "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY", "state": "UPLOADED", "version": 3,
    "createdAt": "2026-11-23T08:00:00.000000Z", "updatedAt": "2026-11-23T08:00:09.000000Z",
    "size": 11, "sha256": "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
}))]
pub(crate) struct UploadView {
    /// The asset's id.
    asset_id: String,
    /// GET the file here.
    download_url: String,
    /// The expiry of the URL.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Seconds until the expiry.
    expires_in: u64,
    /// The version of the object that the URL is for.
    version_id: String,
    /// The state of the asset.
    #[serde(flatten)]
    standing: LifecycleView,
    /// The known data of the file.
    #[serde(flatten)]
    file: FileView,
}

impl UploadView {
    pub(crate) fn of(asset: &Asset, version_id: String, signed: Presigned) -> Self {
        Self {
            asset_id: asset.key.asset.to_string(),
            download_url: signed.url,
            expires_at: Timestamp(signed.expires_at),
            expires_in: signed.expires_in,
            version_id,
            standing: LifecycleView::of(asset),
            file: FileView::of(asset),
        }
    }
}
