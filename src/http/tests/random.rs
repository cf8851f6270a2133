//! Random input never causes an error of the service's own.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::world::{HttpAnswer, HttpFixture, request};

const JSON: (&str, &str) = ("content-type", "application/json");

/// The answer, and the number of events after it.
fn answered(world: &HttpFixture, line: &str, body: &str) -> (HttpAnswer, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.unwrap().block_on(async {
        let answer = world.send(request(line, &[JSON], body)).await;
        (answer, world.events().await)
    })
}

proptest! {
    /// There is no asset, so every path and query is the client's error.
    #[test]
    fn no_request_line_is_a_bug(
        id in "[!-~&&[^?#\"<>\\\\^`{|}]]{0,40}",
        tail in prop::sample::select(vec!["", "/state", "/history", "/restore", "/purge"]),
        name in prop::sample::select(vec!["timeout", "version", "as_of", "limit", "cursor", "%"]),
        value in "[!-~&&[^#\"<>\\\\^`{|}]]{0,20}",
        method in prop::sample::select(vec!["GET", "PUT", "POST", "DELETE"]),
    ) {
        static WORLD: LazyLock<HttpFixture> = LazyLock::new(HttpFixture::new);
        let line = format!("{method} /asset/{id}{tail}?{name}={value}");
        let (answer, events) = answered(&WORLD, &line, "");
        prop_assert!(answer.status.is_client_error(), "{} {}", line, answer.status);
        prop_assert_eq!(events, 0);
    }

    /// A name is accepted unchanged, or refused without a write.
    #[test]
    fn a_name_is_kept_as_it_is_or_refused(name in "\\PC{0,12}|.{0,12}|[a-z./\\\\\"]{0,4}") {
        let world = HttpFixture::new();
        let body = serde_json::json!({ "filename": name }).to_string();
        let (answer, events) = answered(&world, "POST /asset", &body);
        if answer.status == 201 {
            prop_assert_eq!(&answer.json()["filename"], &name);
            let never = ['/', '\\', '\r', '\n', '\u{202e}'];
            prop_assert!(!name.contains(never));
        } else {
            prop_assert_eq!((answer.status.as_u16(), events), (400, 0));
        }
    }

    /// Bytes as a body are accepted or refused.
    #[test]
    fn no_body_is_a_bug(body in "\\{\"(size|tags|sha256)\":[\\PC]{0,12}\\}|\\PC{1,30}") {
        static WORLD: LazyLock<HttpFixture> = LazyLock::new(HttpFixture::new);
        let status = answered(&WORLD, "POST /asset", &body).0.status.as_u16();
        prop_assert!([201, 400, 413].contains(&status), "{} {}", body, status);
    }
}
