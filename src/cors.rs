//! The web origins that may call the API and the bucket: those of this machine, and the listed
//! ones. This only decides which scripts a browser lets read the answers. The signature, or the
//! API, decides about the request.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use futures::FutureExt;
use futures::future::Map;
use http::{HeaderName, HeaderValue, Method, header, request::Parts};
use tower::Service;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::http::{AllowedHosts, AllowedOrigins, bare, spelt};

/// How long a browser may cache a preflight.
const REMEMBERED: Duration = Duration::from_hours(1);

/// What a page may send. A method that a path does not have is then answered with a 405 that the
/// page can read.
const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::PATCH, Method::DELETE];

/// The headers of a request on which the layer's answer depends.
const VARIES: &str = "origin, access-control-request-method, access-control-request-headers";

/// The CORS headers for `pages`.
pub(crate) fn layer(pages: AllowedOrigins) -> CorsLayer {
    let known = move |origin: &HeaderValue, _: &Parts| {
        origin.to_str().is_ok_and(|origin| pages.let_in(origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(known))
        .allow_methods(METHODS)
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
            HeaderName::from_static("idempotency-replayed"),
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("x-amz-version-id"),
            HeaderName::from_static("x-amz-checksum-sha256"),
            HeaderName::from_static("x-amz-request-id"),
        ])
        .max_age(REMEMBERED)
}

/// `router` with CORS for these origins.
pub(crate) fn shared(bare: Router, pages: AllowedOrigins) -> SharedRouter {
    SharedRouter { with_cors: bare.clone().layer(layer(pages)), bare }
}

/// A router for pages and other clients.
#[derive(Clone)]
pub(crate) struct SharedRouter {
    bare: Router,
    with_cors: Router,
}

impl Service<Request> for SharedRouter {
    type Response = Response;
    type Error = Infallible;
    type Future = Map<RouteFuture<Infallible>, fn(RoutedResult) -> RoutedResult>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // as a router always is
    }

    /// The layer treats each OPTIONS request as a preflight, but only one that names its method is.
    /// A client that is no page needs none of the layer's headers, only that caches keep its answer
    /// apart.
    fn call(&mut self, request: Request) -> Self::Future {
        let has = |name| request.headers().contains_key(name);
        if request.method() == Method::OPTIONS {
            let asks = has(header::ACCESS_CONTROL_REQUEST_METHOD);
            let router = if asks { &mut self.with_cors } else { &mut self.bare };
            router.call(request).map(|answer| answer)
        } else if has(header::ORIGIN) {
            self.with_cors.call(request).map(|answer| answer)
        } else {
            self.bare.call(request).map(varied)
        }
    }
}

type RoutedResult = Result<Response, Infallible>;

/// An answer that the layer would have changed for a page.
fn varied(answer: RoutedResult) -> RoutedResult {
    answer.map(|mut answer| {
        answer.headers_mut().append(header::VARY, HeaderValue::from_static(VARIES));
        answer
    })
}

/// The pages of `--cors-origin`, and those under the URLs of `--public-url`.
pub(crate) fn pages(listed: &[String], public: &[String]) -> anyhow::Result<AllowedOrigins> {
    let origin = |text: &String| {
        let whole = spelt(text).ok().filter(|_| bare(text));
        whole.with_context(|| format!("--cors-origin {text:?}: an origin is https://host[:port]"))
    };
    let listed: Vec<_> = listed.iter().map(origin).collect::<anyhow::Result<_>>()?;
    Ok(AllowedOrigins::of(listed.into_iter().chain(public.iter().cloned())))
}

/// The host names that the API accepts, including those of the listed origins.
pub(crate) fn hosts(pages: &AllowedOrigins, any: bool) -> AllowedHosts {
    if any { AllowedHosts::Any } else { AllowedHosts::Named(pages.clone()) }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for origin in ["https://a.example", "http://10.0.0.1:8080"] {
            assert!(pages(&[origin.to_owned()], &[]).is_ok(), "{origin}");
        }
        for text in ["a.example", "ftp://a", "https://", "https://a/", "https://a/b", "https://a?b"]
        {
            assert!(pages(&[text.to_owned()], &[]).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn only_a_browsers_question_is_answered_for_a_path() {
        let router = Router::new().route("/asset", axum::routing::get(|| async {}));
        let router = shared(router, AllowedOrigins::default());
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

    #[tokio::test]
    async fn only_pages_are_told_what_a_page_may_read_and_caches_know() {
        let router = Router::new().route("/asset", axum::routing::get(|| async {}));
        let router = shared(router, AllowedOrigins::default());
        for (origin, allowed) in [
            (None, None),
            (Some("http://localhost"), Some("http://localhost")),
            (Some("null"), None),
        ] {
            let request = Request::builder().uri("/asset");
            let request = origin.iter().fold(request, |it, origin| it.header("origin", *origin));
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let headers = answer.headers();
            assert_eq!(headers.get_all("vary").iter().collect::<Vec<_>>(), [VARIES], "{origin:?}");
            let told = headers.get("access-control-allow-origin");
            assert_eq!(told.map(|it| it.to_str().unwrap()), allowed, "{origin:?}");
            let exposed = headers.contains_key("access-control-expose-headers");
            assert_eq!(exposed, origin.is_some(), "{origin:?}");
        }
    }
}
