//! URLs as they are given out: signed, and recorded in the tenant's access log if its limits want
//! that. No route signs a URL in another way.

use std::time::Duration;

use ledger::asset::Asset;
use ledger::url_log::{UrlGranted, UrlMethod};

use super::allowed::Allowed;
use super::api::Api;
use super::errors::Problem;
use crate::presign::Presigned;

impl Api {
    /// A URL to upload the asset's bytes.
    pub(super) async fn upload_url<N>(
        &self,
        by: &Allowed<N>,
        asset: &Asset,
    ) -> Result<Presigned, Problem> {
        let expires_in = by.principal.url_life(self.limits.upload_expiry, &*self.effects);
        let signed = self.presigner.upload(&asset.key, &asset.declared, expires_in).await?;
        self.given(by, asset, (UrlMethod::Put, None), signed).await
    }

    /// A URL to download a version of the asset's bytes.
    pub(super) async fn download_url<N>(
        &self,
        by: &Allowed<N>,
        asset: &Asset,
        version_id: &str,
        asked: Duration,
    ) -> Result<Presigned, Problem> {
        let expires_in = by.principal.url_life(asked, &*self.effects);
        let (name, kind) =
            (asset.declared.filename.as_deref(), asset.declared.content_type.as_deref());
        let key = &asset.key;
        let signed = self.presigner.download(key, version_id, name, kind, expires_in).await?;
        let what = (UrlMethod::Get, Some(version_id.to_owned()));
        self.given(by, asset, what, signed).await
    }

    /// The URL, once it is recorded. To sign it is a computation of this process, which tells the
    /// exact end that is recorded; a URL that is not recorded is dropped here.
    async fn given<N>(
        &self,
        by: &Allowed<N>,
        asset: &Asset,
        (method, version_id): (UrlMethod, Option<String>),
        signed: Presigned,
    ) -> Result<Presigned, Problem> {
        if by.principal.limits.record_urls {
            let (version, expires_at) = (asset.version, signed.expires_at);
            let asset = asset.key.asset;
            let granted = UrlGranted { asset, version, method, version_id, expires_at };
            let recorded = self.urls.record(&by.caller, &granted).await;
            recorded.map_err(|error| Problem::of_url_log(&error))?;
        }
        Ok(signed)
    }
}
