//! Fetches an issuer's keys by HTTP: discovery names their URL (OpenID Connect Discovery 1.0).
//!
//! It does not follow redirects, waits two seconds, and reads 256 KiB at most.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;

use super::cache::{FetchError, JwksSource};
use super::jwk::Jwks;
use super::trust::TrustedIssuer;

/// The time for discovery and keys together: requests wait for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of an answer. Key sets have two to twenty KiB.
const ANSWER_MAX: usize = 256 << 10;

/// The issuers on the network, by the HTTP client of the AWS SDK.
pub(super) struct HttpJwks {
    connector: Connector,
}

#[derive(Debug, thiserror::Error)]
enum Unfetched {
    #[error("no answer within {PATIENCE:?}")]
    Late,
    #[error("{0} answered {1}")]
    Status(String, u16),
    #[error("{0} answered with the content type {1:?}, not with JSON")]
    Type(String, String),
    #[error("the discovery document is of {0:?}, another issuer")]
    OtherIssuer(String),
    #[error("discovery names keys at {0:?}, which is not https")]
    Insecure(String),
}

/// The parts of a discovery document that are used.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl HttpJwks {
    pub(super) fn new() -> Self {
        // A connection would be idle for a quarter of an hour, and then be closed by the other end.
        let connector = Connector::builder().pool_max_idle_per_host(0);
        let tls = Provider::Rustls(CryptoMode::AwsLc);
        Self { connector: connector.tls_provider(tls).build() }
    }

    async fn keys(&self, trust: &TrustedIssuer) -> Result<Jwks, FetchError> {
        let url = match &trust.jwks_uri {
            Some(url) => url.clone(),
            None => self.discover(trust).await?,
        };
        Ok(Jwks::parse(&self.get(&url).await?)?)
    }

    async fn discover(&self, trust: &TrustedIssuer) -> Result<String, FetchError> {
        let found: Discovery = serde_json::from_slice(&self.get(&trust.discovery()).await?)?;
        if found.issuer != trust.issuer {
            return Err(Unfetched::OtherIssuer(found.issuer).into());
        }
        if !trust.allows_keys_at(&found.jwks_uri) {
            return Err(Unfetched::Insecure(found.jwks_uri).into());
        }
        Ok(found.jwks_uri)
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let request = Request::get(url)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "asset-ledger")
            .body(SdkBody::empty())?;
        let answer = self.connector.call(HttpRequest::try_from(request)?).await;
        let answer = answer.map_err(|error| Box::new(error) as Box<dyn Error + Send + Sync>)?;
        if answer.status().as_u16() != 200 {
            return Err(Unfetched::Status(url.to_owned(), answer.status().as_u16()).into());
        }
        let media = answer.headers().get("content-type").unwrap_or_default().to_owned();
        if !is_json(&media) {
            return Err(Unfetched::Type(url.to_owned(), media).into());
        }
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?;
        Ok(body.to_bytes().into())
    }
}

#[async_trait]
impl JwksSource for HttpJwks {
    async fn fetch(&self, trust: &TrustedIssuer) -> Result<Jwks, FetchError> {
        let fetched = tokio::time::timeout(PATIENCE, self.keys(trust)).await;
        fetched.map_err(|_| Unfetched::Late)?
    }
}

/// `application/json`, `application/jwk-set+json` and their like.
fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.strip_prefix("application/").is_some_and(|it| it == "json" || it.ends_with("+json"))
}

#[cfg(test)]
mod tests;
