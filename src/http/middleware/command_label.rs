//! Which command a request is, for counting what it consumes.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use ledger::command_label;

/// Names whatever a request does after its command.
pub(crate) async fn name(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let command = command(request.method(), path);
    command_label::scope(command, next.run(request)).await
}

fn command(method: &Method, path: &str) -> &'static str {
    match (method.as_str(), path) {
        ("POST", "/asset") => "create",
        ("GET" | "HEAD", "/asset") => "list",
        ("GET" | "HEAD", "/asset/{id}") => "get",
        ("PUT", "/asset/{id}") => "confirm",
        ("DELETE", "/asset/{id}") => "delete",
        (_, "/asset/{id}/state") => "state",
        (_, "/asset/{id}/history") => "history",
        (_, "/asset/{id}/proof") => "proof",
        (_, "/asset/{id}/restore") => "restore",
        (_, "/asset/{id}/purge") => "purge",
        (_, "/asset/{id}/upload-url") => "upload_url",
        (_, "/events") => "events",
        (_, "/readyz") => "check",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_command_that_its_route_and_method_make() {
        for (line, expected) in [
            ("POST /asset", "create"),
            ("GET /asset", "list"),
            ("HEAD /asset/{id}", "get"),
            ("PUT /asset/{id}", "confirm"),
            ("DELETE /asset/{id}", "delete"),
            ("GET /events", "events"),
            ("PATCH /asset", "other"),
            ("GET /openapi.json", "other"),
        ] {
            let (method, path) = line.split_once(' ').unwrap();
            assert_eq!(command(&method.parse().unwrap(), path), expected, "{line}");
        }
    }
}
