//! The ledger's own way to the bucket: the same requests that go to S3 on AWS, signed and answered
//! like anybody's, but handed over in this process. They need no socket, so that no crowd at the
//! listeners keeps the ledger from looking at its files.

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderValue, Request, Response, Uri, header};
use tower::ServiceExt;

/// Bytes of an answer: a full page of a list is a tenth of that. Files are not fetched this way.
const ANSWER_MAX: usize = 16 << 20;

/// An HTTP client of the SDK whose every request goes to `router`.
pub(super) fn client(router: Router) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Inside(router));
    http_client_fn(move |_, _| connector.clone())
}

#[derive(Clone)]
struct Inside(Router);

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inside")
    }
}

impl HttpConnector for Inside {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let router = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = arrived(request).map_err(|error| ConnectorError::user(error.into()))?;
            let response = match router.oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            let (parts, body) = response.into_parts();
            let body = to_bytes(body, ANSWER_MAX).await;
            let body = body.map_err(|error| ConnectorError::io(error.into()))?;
            let response = Response::from_parts(parts, SdkBody::from(body));
            HttpResponse::try_from(response).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

/// The request as it would come out of a socket: its host in a header, and only its path in front.
fn arrived(request: HttpRequest) -> anyhow::Result<Request<Body>> {
    let (mut parts, body) = request.try_into_http1x()?.into_parts();
    if let Some(host) = parts.uri.authority() {
        let host = HeaderValue::from_str(host.as_str())?;
        parts.headers.entry(header::HOST).or_insert(host);
    }
    if let Some(path) = parts.uri.path_and_query() {
        parts.uri = Uri::from(path.clone());
    }
    let bytes = body.bytes().map(<[u8]>::to_vec).unwrap_or_default();
    Ok(Request::from_parts(parts, Body::from(bytes)))
}
