//! The judgement on a token's claims: pure. The signature was checked before.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ledger::access::Scopes;
use ledger::id::Tenant;
use ledger::record::ACTING;
use serde_json::{Map, Value};

use super::trust::TrustedIssuer;

/// The difference of clocks that is forgiven.
const LEEWAY: TimeDelta = TimeDelta::minutes(1);

/// Who a token's bearer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JudgedToken {
    /// `<iss>|<sub>`.
    pub(crate) subject: String,
    /// Who acts for the subject (RFC 8693), as `;act=<sub>`; else empty.
    pub(crate) acting: String,
    /// The tenant.
    pub(crate) tenant: Tenant,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// Whether it reaches only the assets that its subject created.
    pub(crate) own_only: bool,
    /// The token's `exp`.
    pub(crate) expires_at: DateTime<Utc>,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFlaw {
    #[error("it is not a signed JWT in the compact form, with each name once")]
    Form,
    #[error("its header has crit, jku, jwk or x5u")]
    Header,
    #[error("its alg is not one that is accepted of its issuer")]
    Algorithm,
    #[error("its typ is not the one that its issuer's tokens must have")]
    Type,
    #[error("its iss is no issuer that this server trusts")]
    Issuer,
    #[error("its header has no kid")]
    KeyUnnamed,
    #[error("its issuer has no key of its kid")]
    KeyUnknown,
    #[error("the key of its kid is not for signatures of its alg, or too short")]
    KeyUnfit,
    #[error("its signature is wrong")]
    Signature,
    #[error("its aud does not name this server")]
    Audience,
    #[error("its client, azp or client_id, is not an accepted one")]
    Client,
    #[error("its exp is past, missing or no time")]
    Expired,
    #[error("its nbf is later than now, or no time")]
    Early,
    #[error("its iat is later than now, or no time")]
    IssuedLater,
    #[error("its sub, or the sub of its act, is missing, empty or has `;act=`")]
    Subject,
    #[error("it names no tenant of this server")]
    Tenant,
    #[error("the claim of its scopes is neither a text nor a list of texts")]
    Scopes,
}

/// Who the bearer is, at the time `now`.
pub(super) fn judge(
    claims: &Map<String, Value>,
    trust: &TrustedIssuer,
    now: DateTime<Utc>,
) -> Result<JudgedToken, TokenFlaw> {
    let iss = claims.get("iss").and_then(Value::as_str);
    let iss = iss.filter(|iss| *iss == trust.issuer).ok_or(TokenFlaw::Issuer)?;
    if !names_one(claims.get("aud"), &trust.audiences) {
        return Err(TokenFlaw::Audience);
    }
    let expires_at = claims.get("exp").and_then(time).ok_or(TokenFlaw::Expired)?;
    if expires_at.checked_add_signed(LEEWAY).is_none_or(|end| end <= now) {
        return Err(TokenFlaw::Expired);
    }
    let begun =
        |name| claims.get(name).is_none_or(|at| time(at).is_some_and(|at| at <= now + LEEWAY));
    if !begun("nbf") {
        return Err(TokenFlaw::Early);
    }
    if !begun("iat") {
        return Err(TokenFlaw::IssuedLater);
    }
    if !trust.clients.is_empty() && !client_is(claims, &trust.clients) {
        return Err(TokenFlaw::Client);
    }
    let sub = subject(claims.get("sub")).ok_or(TokenFlaw::Subject)?;
    let acting = match claims.get("act") {
        None => String::new(),
        Some(act) => format!("{ACTING}{}", subject(act.get("sub")).ok_or(TokenFlaw::Subject)?),
    };
    Ok(JudgedToken {
        subject: format!("{iss}|{sub}"),
        acting,
        tenant: trust.tenant(claims)?,
        scopes: trust.scopes(claims)?,
        own_only: trust.own_only,
        expires_at,
    })
}

/// Whether a text, or a list of texts, has one of ours.
fn names_one(aud: Option<&Value>, ours: &[String]) -> bool {
    let is_ours = |name: &str| ours.iter().any(|known| known == name);
    match aud {
        Some(Value::String(name)) => is_ours(name),
        Some(Value::Array(names)) => {
            names.iter().all(Value::is_string)
                && names.iter().filter_map(Value::as_str).any(is_ours)
        }
        _ => false,
    }
}

/// Whether the client is named, and each name of it is an accepted one.
fn client_is(claims: &Map<String, Value>, accepted: &[String]) -> bool {
    let named: Vec<_> = ["azp", "client_id"].iter().filter_map(|name| claims.get(*name)).collect();
    let is = |it: &&Value| it.as_str().is_some_and(|name| accepted.iter().any(|id| id == name));
    !named.is_empty() && named.iter().all(is)
}

fn subject(sub: Option<&Value>) -> Option<&str> {
    sub.and_then(Value::as_str).filter(|sub| !sub.is_empty() && !sub.contains(ACTING))
}

/// A `NumericDate`: seconds, which may have a fraction.
fn time(value: &Value) -> Option<DateTime<Utc>> {
    let since = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::from_std(since).ok()?)
}

#[cfg(test)]
mod tests;
