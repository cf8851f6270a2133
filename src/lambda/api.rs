//! Converts API Gateway's requests to the router's: caller, request id, and path.

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayRequestAuthorizer as Authorizer, ApiGatewayV2httpRequestContext as Context,
};
use lambda_http::request::RequestContext;
use ledger::record::ACTING;

use crate::http::{AuthMethod, GatewayCaller, RequestId};

/// The stage whose name is not a part of the path.
const DEFAULT_STAGE: &str = "$default";

/// `router` behind API Gateway.
pub fn behind_gateway(router: Router) -> Router {
    router.layer(from_fn(preflight))
}

/// Answers a browser's preflight: without a success the browser does not send the request. API
/// Gateway decides which origins are allowed: it adds its own headers and ignores these. The
/// preflight's route has no authorizer, so the request ends here.
async fn preflight(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    next.run(request).await
}

/// The request for the router. The caller is the one of API Gateway's authorizer only: a client's
/// own headers are not used for it.
#[must_use]
pub fn request(given: lambda_http::Request) -> Request {
    let (mut parts, body) = given.into_parts();
    let context = parts.extensions.remove::<RequestContext>();
    if let Some(RequestContext::ApiGatewayV2(context)) = context {
        if let Some(authorizer) = &context.authorizer {
            parts.extensions.insert(caller(authorizer));
        }
        if let Some(id) = context.request_id.as_deref().and_then(RequestId::new) {
            parts.extensions.insert(id);
        }
        parts.uri = without_stage(parts.uri, &context);
    }
    Request::from_parts(parts, axum::body::Body::new(body))
}

/// `iss|sub` of a token, because a subject is unique only for its issuer; or the caller's ARN.
fn caller(authorizer: &Authorizer) -> GatewayCaller {
    let of_token = authorizer.jwt.as_ref().and_then(|jwt| {
        // Nor one that says for whom it acts in a place where nobody has checked it.
        let fits = |value: &&String| !value.is_empty() && !value.contains(ACTING);
        let claim = |name| jwt.claims.get(name).filter(fits);
        Some((format!("{}|{}", claim("iss")?, claim("sub")?), AuthMethod::Jwt))
    });
    let of_caller = || {
        let arn = authorizer.iam.as_ref()?.user_arn.clone().filter(|arn| !arn.is_empty());
        Some((arn?, AuthMethod::Iam))
    };
    match of_token.or_else(of_caller) {
        Some((name, method)) => GatewayCaller::Named(name, method),
        None => GatewayCaller::Nameless,
    }
}

/// Removes the stage, which precedes every path if it has a name.
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
