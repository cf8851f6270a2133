//! An issuer on loopback, with keys that it makes at run time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

/// A key that signs tokens.
pub(crate) struct SigningKey {
    pub(crate) kid: &'static str,
    pair: Pair,
}

enum Pair {
    Rs256(rsa::KeyPair),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl SigningKey {
    pub(crate) fn rs256(kid: &'static str) -> Self {
        Self { kid, pair: Pair::Rs256(rsa::KeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    pub(crate) fn es256(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid, pair: Pair::Es256(pair) }
    }

    pub(crate) fn eddsa(kid: &'static str) -> Self {
        Self { kid, pair: Pair::EdDsa(Ed25519KeyPair::generate().unwrap()) }
    }

    /// The public half.
    pub(crate) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64.encode(bytes);
        match &self.pair {
            Pair::Rs256(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let number = |it: rsa::PublicKeyComponents<Vec<u8>>| (text(&it.n), text(&it.e));
                let (n, e) = number(rsa::PublicKeyComponents {
                    n: n.big_endian_without_leading_zero().to_vec(),
                    e: e.big_endian_without_leading_zero().to_vec(),
                });
                json!({"kid": self.kid, "kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": e})
            }
            Pair::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kid": self.kid, "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Pair::EdDsa(pair) => {
                let x = text(pair.public_key().as_ref());
                json!({"kid": self.kid, "kty": "OKP", "crv": "Ed25519", "x": x})
            }
        }
    }

    /// A token of these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.alg(), "kid": self.kid, "typ": "JWT"});
        self.sign(&header.to_string(), &claims.to_string())
    }

    pub(crate) fn alg(&self) -> &'static str {
        match &self.pair {
            Pair::Rs256(_) => "RS256",
            Pair::Es256(_) => "ES256",
            Pair::EdDsa(_) => "EdDSA",
        }
    }

    /// A token of this header and these claims, whatever they are.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let (message, random) = (signed.as_bytes(), SystemRandom::new());
        let signature = match &self.pair {
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Es256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        };
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// How an issuer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    Well,
    Fails,
    Hangs,
    /// To where the true answer is.
    Redirects,
    Huge,
    Html,
    NotJson,
    OtherIssuer,
    InsecureKeys,
    TooManyKeys,
}

/// An issuer that listens on loopback until its test ends.
pub(crate) struct LoopbackIssuer {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    url: String,
    conduct: Conduct,
    keys: Vec<Value>,
    /// Requests for the keys.
    fetches: u32,
}

impl LoopbackIssuer {
    pub(crate) async fn start(keys: &[&SigningKey]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let conduct = Conduct::Well;
        let inner = Inner { url: url.clone(), conduct, keys: Vec::new(), fetches: 0 };
        let inner = Arc::new(Mutex::new(inner));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let issuer = Self { url, inner };
        issuer.publish(keys);
        issuer
    }

    /// Publishes these keys, and no others.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        self.inner.lock().unwrap().keys = keys.iter().map(|key| key.jwk()).collect();
    }

    pub(crate) fn behave(&self, conduct: Conduct) {
        self.inner.lock().unwrap().conduct = conduct;
    }

    /// How often the keys were fetched.
    pub(crate) fn fetches(&self) -> u32 {
        self.inner.lock().unwrap().fetches
    }
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let (conduct, body) = {
        let mut inner = inner.lock().unwrap();
        (inner.conduct, inner.body(&path))
    };
    let of_keys = path != "/.well-known/openid-configuration";
    match conduct {
        Conduct::Fails => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Conduct::Hangs => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            StatusCode::OK.into_response()
        }
        Conduct::Redirects if path == "/keys" => {
            (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response()
        }
        Conduct::Html => ([(header::CONTENT_TYPE, "text/html")], body).into_response(),
        Conduct::NotJson if of_keys => json_of("{\"keys\":".to_owned()),
        Conduct::Huge if of_keys => {
            json_of(format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(256 << 10)))
        }
        _ => json_of(body),
    }
}

fn json_of(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}

impl Inner {
    fn body(&mut self, path: &str) -> String {
        if path == "/.well-known/openid-configuration" {
            let (mut issuer, mut keys) = (self.url.clone(), format!("{}/keys", self.url));
            match self.conduct {
                Conduct::OtherIssuer => issuer.push('/'),
                Conduct::InsecureKeys => keys = String::from("http://keys.example/"),
                _ => {}
            }
            return json!({"issuer": issuer, "jwks_uri": keys, "other": 1}).to_string();
        }
        self.fetches += 1;
        let mut keys = self.keys.clone();
        if self.conduct == Conduct::TooManyKeys {
            keys.resize(65, keys[0].clone());
        }
        json!({"keys": keys}).to_string()
    }
}
