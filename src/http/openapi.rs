//! The OpenAPI description of this API, generated from its code.

mod details;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi as _;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
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

/// The description as it is served.
#[derive(Clone)]
pub(super) struct Document(pub(super) Arc<str>);

impl Document {
    /// Completes the description: every operation can fail with the service's own errors, and every
    /// error is a problem document. Without keys, no operation states a scope.
    pub(super) fn of(mut description: OpenApi, with_keys: bool, with_tokens: bool) -> Self {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("API key");
        if let Some(components) = description.components.as_mut().filter(|_| with_keys) {
            components.add_security_scheme(SCHEME, SecurityScheme::Http(bearer.build()));
        }
        if let Some(components) = description.components.as_mut().filter(|_| with_tokens) {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
            components.add_security_scheme(JWT_SCHEME, SecurityScheme::Http(bearer.build()));
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
        Self(document.to_string().into())
    }
}

/// The security scheme of API keys. A requirement of an operation lists the scope that it needs.
const SCHEME: &str = "api_key";
/// The security scheme of tokens: an alternative to a key, with the same scopes.
const JWT_SCHEME: &str = "jwt";

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
    let answers = &mut operation.responses.responses;
    if answers.contains_key("413") {
        let late = "The body did not come";
        let described = ResponseBuilder::new().description(late).build();
        answers.insert("408".to_owned(), described.into());
    }
    if keyed {
        let none = "No credential came, or it is not accepted";
        let challenge = HeaderBuilder::new().description(Some("The challenge of RFC 6750")).build();
        let described = ResponseBuilder::new().description(none);
        let described = described.header("WWW-Authenticate", challenge).build();
        answers.insert("401".to_owned(), described.into());
        let wait = HeaderBuilder::new().description(Some("Seconds to wait")).build();
        let described = ResponseBuilder::new().description("The caller made too many requests");
        let described = described.header("Retry-After", wait).build();
        answers.insert("429".to_owned(), described.into());
    }
    for (status, description) in [
        ("403", "The caller may not call this server"),
        ("500", "A bug here, or a history that is broken or contradicted: a person is to look"),
        ("503", "A store is away or the asset contended: try again after `Retry-After`"),
    ] {
        let described = || ResponseBuilder::new().description(description).build().into();
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

fn told_as_problem(answer: &mut Described) {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    answer.content.insert(PROBLEM_JSON.to_owned(), content.into());
}

/// Read the description of this API
#[utoipa::path(get, path = "/openapi.json", tag = "service", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn document(State(document): State<Document>) -> Response {
    let form = [(header::CONTENT_TYPE, "application/json")];
    (form, document.0.to_string()).into_response()
}
