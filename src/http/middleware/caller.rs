//! Names each request, and says who asks.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use ledger::record::EventSource;
use ledger::service::Caller;
use tracing::Instrument;

use super::actor::Actor;
use crate::http::request_id::{RequestId, X_REQUEST_ID};
use crate::http::state::Api;

/// Names the request, for its handlers, its log lines and its answer.
pub(in crate::http) async fn name_request(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Response {
    let front = || request.extensions().get::<RequestId>().cloned();
    let id = RequestId::given(request.headers())
        .or_else(front)
        .unwrap_or_else(|| RequestId::fresh(api.effects.random()));
    request.extensions_mut().insert(id.clone());
    // Of the highest level, so that whoever hears only warnings hears of which request they are.
    let span = tracing::error_span!("request", id = id.as_str());
    let mut response = next.run(request).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

/// Who asks: `anonymous`, unless the gateway in front names an actor.
pub(in crate::http) struct CallerContext(pub(in crate::http) Caller);

impl FromRequestParts<Api> for CallerContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let id = RequestId::from_request_parts(parts, api).await?;
        let actor = parts.extensions.get::<Actor>().cloned().unwrap_or_default();
        let (actor, request) = (actor.as_str().to_owned(), id.as_str().to_owned());
        let tenant = api.tenant.clone();
        Ok(Self(Caller { tenant, actor, source: EventSource::Api, request }))
    }
}
