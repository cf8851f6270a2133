//! From API Gateway's requests to the router's: who asks, under which name, and for which path.

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayRequestAuthorizer as Authorizer, ApiGatewayV2httpRequestContext as Context,
};
use lambda_http::request::RequestContext;

use crate::http::{Actor, MissingActor, RequestId};

/// The stage whose name is not part of the path.
const DEFAULT_STAGE: &str = "$default";

/// `router`, as it stands behind API Gateway.
pub fn behind_gateway(router: Router) -> Router {
    router.layer(from_fn(preflight))
}

/// Answers what a browser asks before it sends a page's request: anything but a success, and it
/// does not send it. Who may is for API Gateway to say, which adds its own headers and ignores
/// ours. The route that this comes by lets everybody in, so it ends here.
async fn preflight(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    next.run(request).await
}

/// The request as the router takes it. Who asks is whom API Gateway's authorizer found, and
/// nothing else: a client's own headers say nothing about it.
#[must_use]
pub fn request(given: lambda_http::Request) -> Request {
    let (mut parts, body) = given.into_parts();
    let context = parts.extensions.remove::<RequestContext>();
    if let Some(RequestContext::ApiGatewayV2(context)) = context {
        match context.authorizer.as_ref().map(actor) {
            Some(Some(actor)) => drop(parts.extensions.insert(actor)),
            Some(None) => drop(parts.extensions.insert(MissingActor)),
            None => {}
        }
        if let Some(id) = context.request_id.as_deref().and_then(RequestId::new) {
            parts.extensions.insert(id);
        }
        parts.uri = without_stage(parts.uri, &context);
    }
    Request::from_parts(parts, axum::body::Body::new(body))
}

/// `iss|sub` of a token, because a subject is known to its issuer only; or the caller's ARN.
fn actor(authorizer: &Authorizer) -> Option<Actor> {
    let of_token = authorizer.jwt.as_ref().and_then(|jwt| {
        let claim = |name| jwt.claims.get(name).filter(|value| !value.is_empty());
        Some(format!("{}|{}", claim("iss")?, claim("sub")?))
    });
    let of_caller = || authorizer.iam.as_ref()?.user_arn.clone().filter(|arn| !arn.is_empty());
    of_token.or_else(of_caller).map(|name| Actor::new(&name))
}

/// A stage with a name stands before every path.
fn without_stage(uri: Uri, context: &Context) -> Uri {
    let stage = context.stage.as_deref().filter(|stage| *stage != DEFAULT_STAGE);
    let rest = stage.and_then(|stage| {
        let rest = uri.path().strip_prefix('/')?.strip_prefix(stage)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    });
    let Some(rest) = rest else { return uri };
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    let path = if rest.is_empty() { "/" } else { rest };
    let shorter = format!("{path}{query}").parse();
    shorter.unwrap_or(uri)
}

#[cfg(test)]
mod tests;
