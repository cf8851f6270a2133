//! The OpenAPI description of this API, generated from its code.

mod details;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi as _;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, Ref, RefOr, Required, Response as Described, ResponseBuilder};

use super::errors::{PROBLEM_JSON, ProblemBody};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "asset-ledger",
        description = "Who did what to which file, and when. Files go straight to and from S3 by \
            signed URLs; every action on a file is an event that never changes."
    ),
    components(schemas(ProblemBody<'static>)),
    tags(
        (name = "assets", description = "The original service's routes"),
        (name = "changes", description = "Changes that the original did not know"),
        (name = "reads", description = "What an asset is, and what happened to it"),
        (name = "access", description = "The caller, and who may do what"),
        (name = "service", description = "The service itself"),
    )
)]
struct Description;

/// The description without its paths, which the routes add.
pub(super) fn description() -> OpenApi {
    Description::openapi()
}

/// The description as it is served: every operation can fail with the service's own errors, and
/// every error is a problem document. Without keys, no operation states a scope.
pub(super) fn served(mut description: OpenApi, with_keys: bool, with_tokens: bool) -> String {
    for (scheme, format, used) in [(SCHEME, "API key", with_keys), (JWT_SCHEME, "JWT", with_tokens)]
    {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format);
        if let Some(components) = description.components.as_mut().filter(|_| used) {
            components.add_security_scheme(scheme, SecurityScheme::Http(bearer.build()));
        }
    }
    for (path, item) in &mut description.paths.paths {
        for operation in operations(item) {
            complete(path, operation, with_keys);
            if let Some(needs) = operation.security.as_mut().filter(|_| with_tokens) {
                needs.extend(needs.clone().iter().filter_map(by_token));
            }
        }
    }
    let mut document = serde_json::to_value(&description).unwrap_or_default();
    details::complete(&mut document, with_tokens);
    document.to_string()
}

/// The security scheme of API keys. A requirement of an operation lists the scope that it needs.
const SCHEME: &str = "api_key";
/// The security scheme of tokens: an alternative to a key, with the same scopes.
const JWT_SCHEME: &str = "jwt";

/// The header that names a request.
const KEY: &str = "Idempotency-Key";

/// The same need, met by a token.
fn by_token(need: &SecurityRequirement) -> Option<SecurityRequirement> {
    let need = serde_json::to_value(need).ok()?;
    let scopes: Vec<String> = serde_json::from_value(need.get(SCHEME)?.clone()).ok()?;
    Some(SecurityRequirement::new(JWT_SCHEME, scopes))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten()
}

fn complete(path: &str, operation: &mut Operation, with_keys: bool) {
    if let Some(RefOr::T(body)) =
        operation.request_body.as_mut().filter(|_| !["/keys", "/upload-tokens"].contains(&path))
    {
        body.required = Some(Required::False);
    }
    let keyed = operation.security.is_some() && with_keys;
    if !keyed {
        operation.security = with_keys.then(Vec::new);
    }
    let names_request =
        |it: &RefOr<_>| matches!(it, RefOr::T(Parameter { name, .. }) if name == KEY);
    let repeatable = operation.parameters.iter().flatten().any(names_request);
    let answers = &mut operation.responses.responses;
    if answers.contains_key("413") {
        answers.insert("408".to_owned(), described("The body did not come").build().into());
    }
    if operation.request_body.is_some() {
        answers.insert("415".to_owned(), described("The body is not JSON").build().into());
    }
    if repeatable {
        let reused = described("`Idempotency-Key` was used for another request");
        answers.insert("422".to_owned(), reused.build().into());
    }
    if keyed {
        let none = described("No credential came, or it is not accepted");
        let none = none.header("WWW-Authenticate", header("The challenge of RFC 6750"));
        answers.insert("401".to_owned(), none.build().into());
        let often = described("The caller made too many requests");
        let often = often.header("Retry-After", header("Seconds to wait"));
        answers.insert("429".to_owned(), often.build().into());
    }
    for (status, description) in [
        ("403", "The caller may not call this server"),
        ("500", "A bug here, or a history that is broken or contradicted: a person is to look"),
        ("503", "A store is away or the asset contended: try again after `Retry-After`"),
    ] {
        let described = || described(description).build().into();
        answers.entry(status.to_owned()).or_insert_with(described);
    }
    for (status, answer) in answers.iter_mut() {
        if let RefOr::T(answer) = answer
            && status.as_str() >= "400"
        {
            told_as_problem(answer);
        }
    }
}

fn described(text: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(text)
}

fn header(text: &str) -> Header {
    HeaderBuilder::new().description(Some(text)).build()
}

fn told_as_problem(answer: &mut Described) {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    answer.content.insert(PROBLEM_JSON.to_owned(), content.into());
}

/// Read the description of this API
#[utoipa::path(get, path = "/openapi.json", tag = "service", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn document(State(served): State<Arc<str>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], served.to_string()).into_response()
}
