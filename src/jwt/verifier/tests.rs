//! What is remembered of tokens, with clocks that only the tests move.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use ledger::access::Scopes;
use ledger::testing::TestEffects;
use serde_json::json;
use tokio::time::advance;

use super::*;
use crate::jwt::cache::FetchError;
use crate::jwt::jwk::Jwks;
use crate::jwt::tests::config;
use crate::jwt::tests::issuer::SigningKey;

const ISSUER: &str = "https://id.example";

struct OneKey(Vec<u8>);

#[async_trait]
impl JwksSource for OneKey {
    async fn fetch(&self, _: &TrustedIssuer) -> Result<Jwks, FetchError> {
        Ok(Jwks::parse(&self.0)?)
    }
}

fn trusting(key: &SigningKey, clock: &Arc<TestEffects>) -> TokenVerifier {
    let source = OneKey(json!({"keys": [key.jwk()]}).to_string().into());
    TokenVerifier::fetching(config(ISSUER, &json!({})), clock.clone(), &(Arc::new(source) as _))
}

#[tokio::test(start_paused = true)]
async fn an_accepted_token_is_not_checked_again_for_a_minute() {
    let (key, clock) = (SigningKey::eddsa("one"), Arc::new(TestEffects::seeded(1)));
    let verifier = trusting(&key, &clock);
    let now = clock.now().timestamp();
    let token = |sub| {
        key.token(&json!({"iss": ISSUER, "aud": "ledger", "sub": sub, "org": "main", "iat": now,
            "exp": now + 300}))
    };
    let (ann, bob) = (token("ann"), token("bob"));
    let found = verifier.verify(&ann).await.unwrap();
    // To a clock that was set back, a new token is of the future.
    clock.advance(TimeDelta::hours(-1));
    let future = Err(TokenRefusal::Flawed(TokenFlaw::IssuedLater));
    assert_eq!(verifier.verify(&bob).await, future);
    advance(Duration::from_secs(59)).await;
    assert_eq!(verifier.verify(&ann).await, Ok(found));
    advance(Duration::from_secs(1)).await;
    assert_eq!(verifier.verify(&ann).await, future);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_has_a_bound() {
    let (key, clock) = (SigningKey::eddsa("one"), Arc::new(TestEffects::seeded(1)));
    let verifier = trusting(&key, &clock);
    let judged = Arc::new(JudgedToken {
        subject: "ann".into(),
        acting: String::new(),
        tenant: "main".parse().unwrap(),
        scopes: Scopes::default(),
        own_only: false,
        expires_at: clock.now() + TimeDelta::hours(1),
    });
    let hash = |number: usize| *Hash::of(&number.to_be_bytes()).bytes();
    for number in 0..=3 * TOKENS_MAX {
        verifier.remember(hash(number), &judged);
        assert!(verifier.remembered.lock().unwrap().len() <= TOKENS_MAX);
        assert!(verifier.recall(&hash(number)).is_some());
    }
}
