//! Upload tokens: what a browser may upload, signed with a key that is derived from an API key.
//! `alu.<tenant>.<key id>.<payload>.<signature>`, the last two in base64url without padding.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::api_key::{ApiKey, KeyId};
use super::upload_key::{SIGNATURE, UploadKey, UploadPublicKey};
use crate::asset::{InvalidField, SIZE_MAX};
use crate::id::Tenant;

/// The longest life of a token.
pub const UPLOAD_TOKEN_LIFE_MAX: TimeDelta = TimeDelta::hours(1);
/// Assets that one token may create, at most.
pub const UPLOAD_ASSETS_MAX: u32 = 100;
/// Characters of a token's id: with the rest of an actor, 128.
const ID_MAX: usize = 24;
/// Characters of the name of the person for whom a token acts.
const FOR_MAX: usize = 64;
/// Media types of a token.
const TYPES_MAX: usize = 20;
/// Characters of one of them.
const TYPE_MAX: usize = 100;
/// How far the clock of the signer may be ahead.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadGrant {
    /// Its name, which the actor of its uploads contains.
    pub id: String,
    /// The time of its signature.
    pub issued_at: DateTime<Utc>,
    /// Its end.
    pub expires_at: DateTime<Utc>,
    /// The number of assets that it may create.
    pub assets: u32,
    /// The largest object.
    pub object_bytes: u64,
    /// The media types, such as `image/png` or `image/*`; if empty, any.
    pub types: Vec<String>,
    /// The person for whom it acts.
    pub acting_for: Option<String>,
}

/// The payload as it is signed: times are seconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadPayload {
    id: String,
    iat: i64,
    exp: i64,
    assets: u32,
    object_bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    types: Vec<String>,
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    acting_for: Option<String>,
}

/// A token whose signature was not checked yet. Its `Debug` form leaves the signature out.
#[derive(Clone)]
pub struct UploadToken {
    /// The tenant.
    pub tenant: Tenant,
    /// The API key that signed it.
    pub key: KeyId,
    /// What it allows.
    pub grant: UploadGrant,
    signed: String,
    signature: [u8; SIGNATURE],
}

/// Why a text is no upload token. It never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadTokenError {
    /// It does not have the five parts.
    #[error("an upload token is alu.<tenant>.<key id>.<payload>.<signature>")]
    Form,
    /// The payload is not what it must be.
    #[error(
        "its payload is not the JSON object {{id, iat, exp, assets, object_bytes, types?, for?}}"
    )]
    Payload,
    /// A field is not within its limits.
    #[error("its {0} is not within its limits")]
    Field(&'static str),
}

/// Why a token is not accepted at this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadTokenFlaw {
    /// Its end has come.
    #[error("its exp is past")]
    Expired,
    /// It was signed in the future.
    #[error("its iat is to come")]
    NotYet,
}

impl UploadToken {
    /// What every token begins with, and no API key or JWT does.
    pub const PREFIX: &str = "alu.";

    /// Whether the holder of the secret half of `key` signed it.
    #[must_use]
    pub fn is_signed_by(&self, key: &UploadPublicKey) -> bool {
        key.verifies(self.signed.as_bytes(), &self.signature)
    }
}

impl fmt::Debug for UploadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadToken({}, {}, {:?})", self.tenant, self.key, self.grant)
    }
}

impl FromStr for UploadToken {
    type Err = UploadTokenError;

    fn from_str(text: &str) -> Result<Self, UploadTokenError> {
        use UploadTokenError as E;
        let (signed, signature) = text.rsplit_once('.').ok_or(E::Form)?;
        let mut parts = signed.strip_prefix(Self::PREFIX).ok_or(E::Form)?.split('.');
        let (Some(tenant), Some(key), Some(payload), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(E::Form);
        };
        let tenant = tenant.parse().map_err(|_| E::Form)?;
        let key = key.parse().map_err(|_| E::Form)?;
        // Only the canonical form of base64 is decoded: a token has one spelling.
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| E::Form)?;
        let signature = signature.try_into().map_err(|_| E::Form)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| E::Payload)?;
        let payload: UploadPayload = serde_json::from_slice(&payload).map_err(|_| E::Payload)?;
        let grant = UploadGrant::read(payload)?;
        Ok(Self { tenant, key, grant, signed: signed.to_owned(), signature })
    }
}

impl UploadGrant {
    fn read(payload: UploadPayload) -> Result<Self, UploadTokenError> {
        let UploadPayload { id, iat, exp, assets, object_bytes, types, acting_for } = payload;
        let time = |seconds, name| {
            let at = DateTime::from_timestamp(seconds, 0);
            at.filter(|at| crate::time::is_recordable(*at)).ok_or(UploadTokenError::Field(name))
        };
        let (issued_at, expires_at) = (time(iat, "iat")?, time(exp, "exp")?);
        let grant = Self { id, issued_at, expires_at, assets, object_bytes, types, acting_for };
        grant.check().map_err(|invalid| UploadTokenError::Field(invalid.field))?;
        Ok(grant)
    }

    /// Whether every field is within its limits.
    pub fn check(&self) -> Result<(), InvalidField> {
        let invalid = |field, problem: &str| Err(InvalidField::new(field, problem.to_owned()));
        let word = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        if !(1..=ID_MAX).contains(&self.id.len()) || !self.id.bytes().all(word) {
            return invalid("id", "must be 1 to 24 of A-Z, a-z, 0-9, '-' and '_'");
        }
        let life = self.expires_at - self.issued_at;
        if life <= TimeDelta::zero() || life > UPLOAD_TOKEN_LIFE_MAX {
            return invalid("exp", "must be after iat, by an hour at most");
        }
        if !(1..=UPLOAD_ASSETS_MAX).contains(&self.assets) {
            return invalid("assets", "must be 1 to 100");
        }
        if !(1..=SIZE_MAX).contains(&self.object_bytes) {
            return invalid("object_bytes", "must be 1 to 5368709120");
        }
        if self.types.len() > TYPES_MAX || !self.types.iter().all(|it| is_media_range(it)) {
            return invalid("types", "must be up to 20 such as image/png or image/*");
        }
        let name = self.acting_for.as_deref();
        let visible = |name: &str| {
            (1..=FOR_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
        };
        if name.is_some_and(|name| !visible(name)) {
            return invalid("for", "must be 1 to 64 visible ASCII characters");
        }
        Ok(())
    }

    /// Why it is not accepted at this time, if it is not.
    #[must_use]
    pub fn flaw(&self, now: DateTime<Utc>) -> Option<UploadTokenFlaw> {
        if now >= self.expires_at {
            return Some(UploadTokenFlaw::Expired);
        }
        (self.issued_at > now + AHEAD).then_some(UploadTokenFlaw::NotYet)
    }

    /// Whether a file of this media type may be uploaded. Parameters of the type do not matter.
    #[must_use]
    pub fn takes_type(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        let group = essence.split_once('/').map_or("", |(group, _)| group);
        let takes = |range: &String| {
            *range == essence || range.strip_suffix("/*").is_some_and(|wanted| wanted == group)
        };
        self.types.is_empty() || self.types.iter().any(takes)
    }
}

/// A media type in lower case, or a group of them.
fn is_media_range(text: &str) -> bool {
    let token = |text: &str| {
        let fits =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&-^_.+".contains(&b);
        !text.is_empty() && text.bytes().all(fits)
    };
    let parts = text.split_once('/');
    text.len() <= TYPE_MAX
        && parts.is_some_and(|(group, kind)| token(group) && (kind == "*" || token(kind)))
}

impl ApiKey {
    /// The public half of the key that signs upload tokens.
    #[must_use]
    pub fn upload_public_key(&self) -> UploadPublicKey {
        UploadKey::derived(&self.secret()).public()
    }

    /// Signs an upload token.
    pub fn sign_upload(&self, grant: &UploadGrant) -> Result<String, InvalidField> {
        grant.check()?;
        let UploadGrant { id, assets, object_bytes, types, acting_for, .. } = grant.clone();
        let (iat, exp) = (grant.issued_at.timestamp(), grant.expires_at.timestamp());
        let payload = UploadPayload { id, iat, exp, assets, object_bytes, types, acting_for };
        let unwritable = |_| InvalidField::new("id", "cannot be written".to_owned());
        let payload = serde_json::to_vec(&payload).map_err(unwritable)?;
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signed = format!("{}{}.{}.{payload}", UploadToken::PREFIX, self.tenant, self.id);
        let signature = UploadKey::derived(&self.secret()).sign(signed.as_bytes());
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestEffects;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_420_800 + seconds, 0).unwrap()
    }

    fn grant() -> UploadGrant {
        UploadGrant {
            id: "form-7".to_owned(),
            issued_at: at(0),
            expires_at: at(600),
            assets: 3,
            object_bytes: 1_000_000,
            types: vec!["image/*".to_owned(), "application/pdf".to_owned()],
            acting_for: Some("ann".to_owned()),
        }
    }

    fn key(seed: u64) -> ApiKey {
        let effects = TestEffects::seeded(seed);
        ApiKey::new("acme".parse().unwrap(), KeyId::new(0xab), &effects)
    }

    fn spelt(payload: &str) -> Result<UploadToken, UploadTokenError> {
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature = URL_SAFE_NO_PAD.encode([0; SIGNATURE]);
        format!("alu.acme.00000000000000ab.{payload}.{signature}").parse()
    }

    #[test]
    fn a_token_reads_back_and_only_its_own_key_has_signed_it() {
        let text = key(1).sign_upload(&grant()).unwrap();
        let token: UploadToken = text.parse().unwrap();
        assert_eq!(
            (token.tenant.as_str(), token.key, &token.grant),
            ("acme", KeyId::new(0xab), &grant())
        );
        assert!(token.is_signed_by(&key(1).upload_public_key()));
        assert!(!token.is_signed_by(&key(2).upload_public_key()));
        let parts: Vec<_> = text.split('.').collect();
        for (at, other) in [(1, "acmf"), (2, "00000000000000ac")] {
            let mut parts = parts.clone();
            parts[at] = other;
            let token: UploadToken = parts.join(".").parse().unwrap();
            assert!(!token.is_signed_by(&key(1).upload_public_key()), "{other}");
        }
        let more = UploadGrant { assets: 4, ..grant() };
        let more = key(1).sign_upload(&more).unwrap();
        let mut parts = parts.clone();
        parts[3] = more.split('.').nth(3).unwrap();
        let token: UploadToken = parts.join(".").parse().unwrap();
        assert!(!token.is_signed_by(&key(1).upload_public_key()), "another payload");
        let shown = format!("{token:?}");
        assert!(!shown.contains(parts[4]), "{shown}");
    }

    #[test]
    fn a_token_has_one_spelling() {
        let text = key(1).sign_upload(&grant()).unwrap();
        for other in [
            text.replacen("alu.", "ALU.", 1),
            text.replacen("alu.", "", 1),
            format!("{text}="),
            format!("{text}.x"),
            format!("{text} "),
            text[..text.len() - 2].to_owned(),
            text.replacen("acme", "Acme", 1),
            "alu.".to_owned(),
            String::new(),
        ] {
            assert!(other.parse::<UploadToken>().is_err(), "{other}");
        }
        // The last character of a signature has bits that mean nothing: they must be zero.
        let last = text.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let place = alphabet.find(last).unwrap();
        let twin = alphabet.chars().nth(place + 1).unwrap();
        let other = format!("{}{twin}", &text[..text.len() - 1]);
        assert!(other.parse::<UploadToken>().is_err(), "{other}");
    }

    #[test]
    fn a_payload_has_these_fields_and_no_others() {
        let good = r#"{"id":"a","iat":1795420800,"exp":1795421400,"assets":1,"object_bytes":1}"#;
        assert!(spelt(good).is_ok());
        for (from, to) in [
            (r#""id":"a","#, ""),
            (r#""assets":1"#, r#""assets":1,"assets":100"#),
            (r#""assets":1"#, r#""assets":1,"delete":true"#),
            (r#""assets":1"#, r#""assets":1.0"#),
            (r#""assets":1"#, r#""assets":"1""#),
            (r#""assets":1"#, r#""assets":-1"#),
            ("1795421400", "1795421400.5"),
            ("}", "} {}"),
        ] {
            assert!(good.contains(from));
            let read = spelt(&good.replacen(from, to, 1));
            assert_eq!(read.unwrap_err(), UploadTokenError::Payload, "{to}");
        }
        for (from, to, field) in [
            (r#""a""#, r#""""#, "id"),
            (r#""a""#, r#""a;for=b""#, "id"),
            (r#""a""#, r#""a/2""#, "id"),
            (r#""a""#, r#""aaaaaaaaaaaaaaaaaaaaaaaaa""#, "id"),
            ("1795421400", "1795424401", "exp"),
            ("1795421400", "1795420800", "exp"),
            ("1795420800", "-1", "iat"),
            (r#""assets":1"#, r#""assets":0"#, "assets"),
            (r#""assets":1"#, r#""assets":101"#, "assets"),
            (r#""object_bytes":1"#, r#""object_bytes":0"#, "object_bytes"),
            (r#""object_bytes":1"#, r#""object_bytes":5368709121"#, "object_bytes"),
            ("}", r#","types":["image"]}"#, "types"),
            ("}", r#","types":["*/*"]}"#, "types"),
            ("}", r#","types":["Image/png"]}"#, "types"),
            ("}", r#","for":""}"#, "for"),
            ("}", r#","for":"a b"}"#, "for"),
        ] {
            assert!(good.contains(from));
            let read = spelt(&good.replacen(from, to, 1));
            assert_eq!(read.unwrap_err(), UploadTokenError::Field(field), "{to}");
        }
        assert!(spelt(&good.replace("1795421400", "1795424400")).is_ok(), "an hour");
    }

    #[test]
    fn a_token_is_accepted_until_its_end() {
        use UploadTokenFlaw as F;
        let flaw = |seconds| grant().flaw(at(seconds));
        assert_eq!([flaw(-60), flaw(0), flaw(599)], [None; 3]);
        assert_eq!(
            [flaw(-61), flaw(600), flaw(9_999)],
            [Some(F::NotYet), Some(F::Expired), Some(F::Expired)]
        );
    }

    #[test]
    fn types_are_compared_by_their_essence() {
        for kind in ["image/png", "IMAGE/PNG; a=b", "application/pdf"] {
            assert!(grant().takes_type(kind), "{kind}");
        }
        for kind in ["imagex/png", "application/pdfx", "text/html", "", "image"] {
            assert!(!grant().takes_type(kind), "{kind}");
        }
        assert!(UploadGrant { types: Vec::new(), ..grant() }.takes_type("text/html"));
    }

    /// Node signs these claims with this key as this token: docs/SECURITY.md has the code.
    #[test]
    fn a_known_key_signs_a_known_token() {
        let made = ApiKey::new("acme".parse().unwrap(), KeyId::new(1), &TestEffects::seeded(1));
        let known = concat!(
            "alu.acme.0000000000000001.eyJpZCI6ImZvcm0tNyIsImlhdCI6MTc5NTQyMDgwMCwiZXhwIjoxNz",
            "k1NDIxNDAwLCJhc3NldHMiOjMsIm9iamVjdF9ieXRlcyI6MTAwMDAwMCwidHlwZXMiOlsiaW1hZ2UvKi",
            "IsImFwcGxpY2F0aW9uL3BkZiJdLCJmb3IiOiJhbm4ifQ.4xLE8PGMnSc33TULmUayb8flKMcyNDplY08",
            "Qv6XDK7cp0m8HxfQv9SPZGFljtCQkeZDVpcJSe8uQqaEvIF9wDA",
        );
        assert!(made.reveal().contains("_910a2dec89025cc1beeb8da1658eec67f893a2eefb32555e71c1869"));
        assert_eq!(made.sign_upload(&grant()).unwrap(), known);
    }
}
