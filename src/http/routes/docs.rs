//! A page that shows the description of this API. The functions on AWS do not have it: it is larger
//! than the rest of them, and they answer only authorized callers.

use std::sync::{Arc, LazyLock};

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa_swagger_ui::{Config, serve};

use crate::http::errors::{Code, Problem};

/// The page's content policy: run and show only content from here, and call this API.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page. Its links are relative, so that it works below any path.
const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="UTF-8">
    <title>asset-ledger API</title>
    <link rel="stylesheet" href="docs/swagger-ui.css">
    <link rel="stylesheet" href="docs/index.css">
    <link rel="icon" type="image/png" href="docs/favicon-32x32.png" sizes="32x32">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="docs/swagger-ui-bundle.js"></script>
    <script src="docs/swagger-ui-standalone-preset.js"></script>
    <script src="docs/swagger-initializer.js"></script>
  </body>
</html>
"#;

/// The path of the description for the page, without an external validator.
static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from("openapi.json").validator_url("none")));

/// Read the description as a page
#[utoipa::path(get, path = "/docs", tag = "service", responses(
    (status = 200, description = "The page", body = String, content_type = "text/html")))]
pub(super) async fn page() -> Response {
    let form = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (form, [(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], PAGE).into_response()
}

/// Read a file of the page
#[utoipa::path(get, path = "/docs/{file}", tag = "service", params(
    ("file" = String, Path, description = "The file's name")
), responses(
    (status = 200, description = "The file", body = String, content_type = "text/javascript"),
    (status = 404, description = "There is no such file")))]
pub(super) async fn page_file(Path(file): Path<String>) -> Result<Response, Problem> {
    let found = serve(&file, CONFIG.clone()).ok().flatten();
    let missing = || Problem::new(Code::PathUnknown, "there is nothing at this path");
    let found = found.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, found.content_type)], found.bytes).into_response())
}
