//! The claims of a request's signature. s3s verifies it; this module finds the host name with which
//! it was signed, and describes the expected inputs of an invalid signature.

use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use http::{HeaderValue, header};
use s3s::{S3Error, S3ErrorCode as Code, S3Result};
use sha2::{Digest, Sha256};

use super::event::REGION;
use crate::percent;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A signature and its claims.
#[derive(Debug)]
pub(super) struct SignatureClaim {
    pub(super) access_key: String,
    /// The names of the signed headers, with `;` between them.
    pub(super) signed: String,
    scope: String,
    at: String,
    signature: String,
    payload: String,
    /// The signed parameters.
    query: Vec<(String, String)>,
}

/// The claim of a signed URL.
pub(super) fn in_query(query: &[(String, String)]) -> S3Result<SignatureClaim> {
    let asked = |name: &str| {
        let found = query.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let refuse = |text: String| {
        let text = format!("Error parsing the X-Amz-Credential parameter; {text}");
        S3Error::with_message(Code::AuthorizationQueryParametersError, text)
    };
    let (access_key, scope) = scope(&asked("X-Amz-Credential")).map_err(refuse)?;
    Ok(SignatureClaim {
        access_key,
        scope,
        signed: asked("X-Amz-SignedHeaders"),
        at: asked("X-Amz-Date"),
        signature: asked("X-Amz-Signature"),
        payload: "UNSIGNED-PAYLOAD".to_owned(),
        query: query.iter().filter(|(name, _)| name != "X-Amz-Signature").cloned().collect(),
    })
}

/// The claim of an `Authorization` header of the new kind.
pub(super) fn in_header(parts: &Parts, query: Vec<(String, String)>) -> S3Result<SignatureClaim> {
    let refuse = |text: String| {
        let text = format!("The authorization header is malformed; {text}");
        S3Error::with_message(Code::AuthorizationHeaderMalformed, text)
    };
    let header = |name: &str| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let authorization = header("authorization");
    let fields = authorization.strip_prefix(ALGORITHM).unwrap_or_default();
    let field = |name: &str| {
        let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        let value = fields.find(|(n, _)| *n == name).map(|(_, value)| value.to_owned());
        value.ok_or_else(|| refuse(format!("it has no {name}")))
    };
    let (access_key, scope) = scope(&field("Credential")?).map_err(refuse)?;
    Ok(SignatureClaim {
        access_key,
        scope,
        signed: field("SignedHeaders")?,
        at: header("x-amz-date"),
        signature: field("Signature")?,
        payload: header("x-amz-content-sha256"),
        query,
    })
}

/// The key and the scope of a credential; a scope of another region or service is refused.
fn scope(credential: &str) -> Result<(String, String), String> {
    let fields: Vec<_> = credential.rsplitn(5, '/').collect();
    let [end, service, region, date, access_key] = fields[..] else {
        let form = "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request";
        return Err(format!("the Credential is mal-formed; expecting \"{form}\"."));
    };
    if region != REGION {
        return Err(format!("the region '{region}' is wrong; expecting '{REGION}'"));
    }
    if service != "s3" || end != "aws4_request" {
        return Err(format!("incorrect service \"{service}\". This endpoint belongs to \"s3\"."));
    }
    Ok((access_key.to_owned(), format!("{date}/{region}/{service}/{end}")))
}

impl SignatureClaim {
    /// The signed host name, if it is not exactly the one that was sent: clients differ in whether
    /// they send a default port, and in the spelling of a name.
    pub(super) fn host(&self, parts: &Parts, secret: &str) -> Option<HeaderValue> {
        let sent = parts.headers.get(header::HOST)?.to_str().ok()?;
        let spellings = spellings(sent);
        if spellings == [sent] {
            return None; // the usual case
        }
        // Compared as digests, so that the duration reveals nothing.
        let given = Sha256::digest(&self.signature);
        let fits = |host: &&String| {
            Sha256::digest(self.sign(&self.canonical(parts, host), secret)) == given
        };
        let signed = std::iter::once(sent.to_owned()).chain(spellings);
        let signed: Vec<_> = signed.collect();
        HeaderValue::from_str(signed.iter().find(fits)?).ok()
    }

    /// The expected inputs of a signature, as XML elements.
    pub(super) fn expected(&self, parts: &Parts) -> Vec<(&'static str, String)> {
        let sent = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let canonical = self.canonical(parts, sent.unwrap_or_default());
        vec![
            ("AWSAccessKeyId", self.access_key.clone()),
            ("StringToSign", self.string_to_sign(&canonical)),
            ("SignatureProvided", self.signature.clone()),
            ("CanonicalRequest", canonical),
        ]
    }

    fn canonical(&self, parts: &Parts, host: &str) -> String {
        let path = percent::decode_lossy(parts.uri.path());
        let coded = |(name, value): &(String, String)| {
            (percent::component(name), percent::component(value))
        };
        let query = self.query.iter().map(coded);
        let mut query: Vec<_> = query.collect();
        query.sort();
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let header = |name: &str| {
            let values = parts.headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
            let values: Vec<_> = values.map(collapsed).collect();
            let value = if name == "host" { host.to_owned() } else { values.join(",") };
            (name == "host" || !values.is_empty()).then(|| format!("{name}:{value}\n"))
        };
        let headers: String = self.signed.split(';').filter_map(header).collect();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            parts.method,
            percent::path(&path),
            query.join("&"),
            self.signed,
            self.payload,
        )
    }

    fn string_to_sign(&self, canonical: &str) -> String {
        let digest = hex::encode(Sha256::digest(canonical));
        format!("{ALGORITHM}\n{}\n{}\n{digest}", self.at, self.scope)
    }

    fn sign(&self, canonical: &str, secret: &str) -> String {
        let first = format!("AWS4{secret}").into_bytes();
        let key = self.scope.split('/').fold(first, |key, part| mac(&key, part));
        hex::encode(mac(&key, &self.string_to_sign(canonical)))
    }
}

/// Empty, and so matching no signature, if the key is not possible.
fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// White space within a value counts once.
fn collapsed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The spellings of one host: in lower case, with and without the default ports.
fn spellings(host: &str) -> Vec<String> {
    let lower = host.to_ascii_lowercase();
    let bare = lower.strip_suffix(":80").or_else(|| lower.strip_suffix(":443"));
    let has_port = lower.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    match bare {
        None if has_port => vec![lower],
        _ => {
            let bare = bare.unwrap_or(&lower);
            vec![bare.to_owned(), format!("{bare}:80"), format!("{bare}:443")]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_few_names() {
        assert_eq!(spellings("a:9000"), ["a:9000"]);
        assert_eq!(spellings("A:9000"), ["a:9000"]);
        assert_eq!(spellings("A"), ["a", "a:80", "a:443"]);
        assert_eq!(spellings("a:443"), ["a", "a:80", "a:443"]);
        assert_eq!(spellings("[::1]"), ["[::1]", "[::1]:80", "[::1]:443"]);
        assert_eq!(spellings("[::1]:9000"), ["[::1]:9000"]);
    }

    /// The example in AWS' own manual.
    #[test]
    fn the_manuals_example_is_signed_as_there() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature={signature}"
        );
        let request = http::Request::get("/test.txt")
            .header("host", "examplebucket.s3.amazonaws.com")
            .header("range", "bytes=0-9")
            .header("x-amz-content-sha256", empty)
            .header("x-amz-date", "20130524T000000Z")
            .header("authorization", authorization);
        let parts = request.body(()).unwrap().into_parts().0;
        let claim = in_header(&parts, Vec::new()).unwrap();
        let canonical = claim.canonical(&parts, "examplebucket.s3.amazonaws.com");
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        assert_eq!(claim.sign(&canonical, secret), signature, "{canonical}");
    }
}
