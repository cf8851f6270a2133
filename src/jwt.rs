//! Tokens of OpenID Connect issuers: which issuers are trusted, and who a token's bearer is.
//!
//! `jsonwebtoken` checks signatures and nothing else: given an issuer and an audience, it also
//! accepts tokens without either. The claims are judged here, by a pure function.

mod cache;
mod fetch;
mod judge;
mod jwk;
mod token;
mod trust;
mod verifier;

pub(crate) use judge::{JudgedToken, TokenFlaw};
pub use trust::{AuthConfig, AuthConfigError};
pub(crate) use trust::{read_scopes, read_tenant};
pub(crate) use verifier::TokenRefusal;
pub use verifier::TokenVerifier;

#[cfg(test)]
pub(crate) mod tests;
