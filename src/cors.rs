//! Whose web pages may talk to the API and to the bucket: those of this machine, and those listed.
//! This only decides whose scripts a browser lets see the answers; what a request may do is decided
//! by its signature, or by the API.

use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, Method, header, request::Parts};
use tower::ServiceExt;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::http::Hosts;

/// How long a browser may remember a preflight.
const REMEMBERED: Duration = Duration::from_hours(1);

/// Pages on this machine, on any port, and those listed.
pub(crate) fn layer(origins: Vec<HeaderValue>) -> CorsLayer {
    let known = move |origin: &HeaderValue, _: &Parts| {
        origins.contains(origin) || origin.to_str().is_ok_and(is_loopback)
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(known))
        .allow_methods([Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_ENCODING,
            header::CONTENT_RANGE,
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("x-amz-version-id"),
            HeaderName::from_static("x-amz-checksum-sha256"),
            HeaderName::from_static("x-amz-request-id"),
        ])
        .max_age(REMEMBERED)
}

/// `router`, whose answers the browser shows to pages of these origins. The layer takes each
/// OPTIONS for a browser's question, but only that is one which says what it asks for.
pub(crate) fn shared(router: Router, origins: Vec<HeaderValue>) -> Router {
    let bare = router.clone();
    let asked = move |request: Request, next: Next| {
        let bare = bare.clone();
        async move {
            let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
            if request.method() != Method::OPTIONS || asks {
                return next.run(request).await;
            }
            bare.oneshot(request).await.into_response()
        }
    };
    router.layer(layer(origins)).layer(from_fn(asked))
}

/// The origins of `--cors-origin`.
pub(crate) fn origins(texts: &[String]) -> anyhow::Result<Vec<HeaderValue>> {
    let parse = |text: &String| {
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let bare = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#']));
        let value = HeaderValue::from_str(text).ok().filter(|_| bare);
        value.with_context(|| format!("--cors-origin {text:?}: an origin is https://host[:port]"))
    };
    texts.iter().map(parse).collect()
}

/// The names that the API answers to. A listed origin's pages may call it, so its name is known.
pub(crate) fn hosts(origins: &[String], any: bool) -> Hosts {
    let host = |origin: &String| {
        let uri: http::Uri = origin.parse().ok()?;
        uri.host().map(str::to_ascii_lowercase)
    };
    if any { Hosts::Any } else { Hosts::Named(origins.iter().filter_map(host).collect()) }
}

/// `http://localhost` or `http://127.0.0.1`, with a port or without.
fn is_loopback(origin: &str) -> bool {
    ["http://localhost", "http://127.0.0.1"].iter().any(|host| {
        origin.strip_prefix(host).is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for origin in ["https://a.example", "http://10.0.0.1:8080"] {
            assert!(origins(&[origin.to_owned()]).is_ok(), "{origin}");
        }
        for text in ["a.example", "ftp://a", "https://", "https://a/", "https://a/b", "https://a?b"]
        {
            assert!(origins(&[text.to_owned()]).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn only_a_browsers_question_is_answered_for_a_path() {
        let router = Router::new().route("/asset", axum::routing::get(|| async {}));
        let router = shared(router, Vec::new());
        let browser = [("origin", "http://localhost"), ("access-control-request-method", "GET")];
        for (path, headers, status) in
            [("/asset", &browser[..], 200), ("/asset", &[], 405), ("/nope", &[], 404)]
        {
            let mut request = Request::builder().method("OPTIONS").uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), status, "{path} {headers:?}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for origin in ["http://localhost", "http://localhost:5173", "http://127.0.0.1:80"] {
            assert!(is_loopback(origin), "{origin}");
        }
        for origin in [
            "null",
            "http://localhost.evil.example",
            "http://localhost:80.evil.example",
            "http://127.0.0.10",
            "http://evil.example?http://localhost",
        ] {
            assert!(!is_loopback(origin), "{origin}");
        }
    }
}
