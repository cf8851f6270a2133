//! The id of a request: the client's, if it is safe to log, otherwise that of the gateway in front,
//! otherwise a new one. It is in every answer, in every log line, and in the event that the request
//! caused.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use ledger::Effects;
use uuid::Builder;

/// Bytes of a client's id: the limit in an event.
const LENGTH_MAX: usize = 64;
/// The header of requests and answers.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request; as an extension of it, the default id if the client sent none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// This id, if it is safe to log and record: 1 to 64 bytes of visible ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=LENGTH_MAX).contains(&text.len());
        (fits && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Sets the id of a request, for its handlers.
    pub(super) fn name(request: &mut Request, effects: &dyn Effects) -> Self {
        let front = || request.extensions().get::<Self>().cloned();
        let id = Self::given(request.headers())
            .or_else(front)
            .unwrap_or_else(|| Self::fresh(effects.random_name()));
        request.extensions_mut().insert(id.clone());
        id
    }

    /// Sets the id of the request in its answer.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(self.as_str()) {
            headers.insert(X_REQUEST_ID, value);
        }
    }

    fn given(headers: &HeaderMap) -> Option<Self> {
        Self::new(headers.get(X_REQUEST_ID)?.to_str().ok()?)
    }

    fn fresh(random: u128) -> Self {
        let uuid = Builder::from_random_bytes(random.to_be_bytes()).into_uuid();
        Self(uuid.to_string().into())
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Every request has an id before it gets here.
        let named = parts.extensions.get::<Self>().cloned();
        Ok(named.unwrap_or_else(|| Self("unnamed".into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(value: &[u8]) -> Option<String> {
        let value = HeaderValue::from_bytes(value).ok()?;
        let headers = HeaderMap::from_iter([(X_REQUEST_ID, value)]);
        RequestId::given(&headers).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn a_client_s_id_is_taken_if_it_is_fit_to_be_logged() {
        let (fits, long) = ("x".repeat(64), "x".repeat(65));
        assert_eq!(given(b"abc-1/2:3"), Some("abc-1/2:3".to_owned()));
        assert_eq!(given(fits.as_bytes()), Some(fits));
        for unfit in [long.as_bytes(), b"", b"a b", b"a\tb", "é".as_bytes(), b"\xff"] {
            assert_eq!(given(unfit), None, "{unfit:?}");
        }
    }
}
