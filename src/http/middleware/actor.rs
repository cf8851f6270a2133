//! Who asks, where something in front of the API knows: API Gateway's authorizer, on AWS.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ledger::chain::Hash;

use crate::http::errors::{Code, Problem};

/// Bytes of a name: what an event has room for.
const LENGTH_MAX: usize = 128;
/// Bytes of the hash that stands for what was cut off a name.
const MARK: usize = 32;

/// Who asks, as an extension of the request. Whoever drives the router puts it there and nobody
/// else can: what a client says of itself is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(Arc<str>);

impl Actor {
    /// Somebody of this name. One that is too long, or not all visible ASCII, is cut to what is,
    /// and ends in `~` and a hash of the whole: two that begin alike stay two.
    #[must_use]
    pub fn new(name: &str) -> Self {
        if name.len() <= LENGTH_MAX && name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Self(name.into());
        }
        let hash = Hash::of(name.as_bytes()).to_string();
        let visible = name.chars().filter(char::is_ascii_graphic);
        let mut cut: String = visible.take(LENGTH_MAX - MARK - 1).collect();
        cut.push('~');
        cut.push_str(&hash[..MARK]);
        Self(cut.into())
    }

    /// The name as it is recorded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Actor {
    /// Nobody in particular.
    fn default() -> Self {
        Self("anonymous".into())
    }
}

/// Somebody was let in, and nothing says who: an extension of the request, in an [`Actor`]'s place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingActor;

/// Refuses the nameless: a history that says `anonymous` of somebody who was asked for a name would
/// keep from an auditor what was known.
pub(crate) async fn named(request: Request, next: Next) -> Response {
    if request.extensions().get::<MissingActor>().is_some() {
        let detail = "whoever let you in did not say who you are; a token needs iss and sub";
        return Problem::new(Code::CallerNameless, detail).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(name: &str) -> String {
        Actor::new(name).as_str().to_owned()
    }

    #[test]
    fn a_name_that_fits_is_recorded_as_it_is() {
        let issued = "https://issuer.example/pool|auth0|5f7c8ec7c33c6c004bbafe82";
        for name in [issued, "arn:aws:iam::123456789012:user/Admin", &"x".repeat(128)] {
            assert_eq!(recorded(name), name);
        }
    }

    #[test]
    fn one_that_does_not_is_cut_and_stays_distinct() {
        let long = |last: &str| format!("{}{last}", "x".repeat(128));
        let names = [long("1"), long("2"), "a b".into(), "ab ".into(), "a\nb".into(), "äb".into()];
        let mut cut: Vec<_> = names.iter().map(|name| recorded(name)).collect();
        for name in &cut {
            assert!(name.len() <= 128 && name.bytes().all(|b| b.is_ascii_graphic()), "{name}");
        }
        assert_eq!(cut[0].len(), 128);
        assert!(cut[2].starts_with("ab~"), "{}", cut[2]);
        cut.sort();
        cut.dedup();
        assert_eq!(cut.len(), names.len());
    }
}
