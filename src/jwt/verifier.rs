//! From a token to its bearer, in the order of cost: what needs no key comes first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::Effects;
use ledger::chain::Hash;
use tokio::time::Instant;

use super::cache::{CachedKeys, JwksSource};
use super::fetch::HttpJwks;
use super::judge::{JudgedToken, TokenFlaw, judge};
use super::token::Token;
use super::trust::{AuthConfig, TrustedIssuer};

/// How long a token that was accepted is not checked again.
const REMEMBERED: Duration = Duration::from_mins(1);
/// Tokens that are remembered.
const TOKENS_MAX: usize = 4_096;

/// Checks tokens of the trusted issuers.
pub struct TokenVerifier {
    issuers: Vec<(Arc<TrustedIssuer>, CachedKeys)>,
    effects: Arc<dyn Effects>,
    /// By the SHA-256 of the token, so that no token is kept.
    remembered: Mutex<HashMap<[u8; 32], RememberedToken>>,
}

/// What an accepted token said, and when it was checked.
type RememberedToken = (Arc<JudgedToken>, Instant);

/// Why nobody was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenRefusal {
    /// The token is not accepted.
    Flawed(TokenFlaw),
    /// The keys of its issuer are not known, and the issuer does not answer.
    IssuerAway,
}

impl From<TokenFlaw> for TokenRefusal {
    fn from(flaw: TokenFlaw) -> Self {
        Self::Flawed(flaw)
    }
}

impl TokenVerifier {
    /// A verifier that fetches keys from the network when they are first needed.
    #[must_use]
    pub fn new(config: AuthConfig, effects: Arc<dyn Effects>) -> Self {
        Self::fetching(config, effects, &(Arc::new(HttpJwks::new()) as _))
    }

    pub(super) fn fetching(
        config: AuthConfig,
        effects: Arc<dyn Effects>,
        source: &Arc<dyn JwksSource>,
    ) -> Self {
        let issuers = config.issuers.into_iter().map(Arc::new);
        let issuers = issuers.map(|it| (Arc::clone(&it), CachedKeys::new(it, Arc::clone(source))));
        Self { issuers: issuers.collect(), effects, remembered: Mutex::default() }
    }

    /// Who the bearer of the token is.
    pub(crate) async fn verify(&self, text: &str) -> Result<Arc<JudgedToken>, TokenRefusal> {
        let hash = *Hash::of(text.as_bytes()).bytes();
        if let Some(judged) = self.recall(&hash) {
            return Ok(judged);
        }
        let token = Token::parse(text)?;
        token.algorithm()?;
        let named = |(trust, _): &&(Arc<TrustedIssuer>, _)| token.issuer() == Some(&*trust.issuer);
        let (trust, keys) = self.issuers.iter().find(named).ok_or(TokenFlaw::Issuer)?;
        let (algorithm, kid) = token.signed_by(trust)?;
        let keys = keys.keys(kid).await.map_err(|_| TokenRefusal::IssuerAway)?;
        keys.check((algorithm, kid), token.signed, token.signature)?;
        let judged = Arc::new(judge(&token.claims, trust, self.effects.now())?);
        self.remember(hash, &judged);
        Ok(judged)
    }

    fn recall(&self, hash: &[u8; 32]) -> Option<Arc<JudgedToken>> {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (judged, at) = remembered.get(hash)?;
        let holds = at.elapsed() < REMEMBERED && self.effects.now() < judged.expires_at;
        holds.then(|| Arc::clone(judged))
    }

    /// Forgetting costs a check, no more: a full memory begins again with what is still used.
    fn remember(&self, hash: [u8; 32], judged: &Arc<JudgedToken>) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= TOKENS_MAX {
            remembered.retain(|_, (_, at)| at.elapsed() < REMEMBERED);
        }
        if remembered.len() >= TOKENS_MAX {
            remembered.clear();
        }
        remembered.insert(hash, (Arc::clone(judged), Instant::now()));
    }
}

#[cfg(test)]
mod tests;
