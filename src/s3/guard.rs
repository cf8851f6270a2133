//! Refuses requests before s3s sees them. s3s checks signatures well, but also accepts some that S3
//! in its newer regions refuses: the old signature, unsigned headers, URLs that are valid for
//! years. Each of these would give the holder of a signed URL more than its signer intended.

use axum::extract::Query;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use s3s::{S3Error, S3ErrorCode as Code, S3Result, s3_error};

use super::refusal;
use super::signature::{self, SignatureClaim};

/// Seven days, S3's limit for a URL.
const LONGEST_LIFE: u32 = 604_800;

/// The `x-amz-` parameters that a signed URL may have. S3 accepts any `x-amz-` header as a
/// parameter too. Here such a parameter would be ignored, which must not happen silently.
const PARAMETERS: [&str; 10] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-content-sha256",
    "x-amz-checksum-mode",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-user-agent",
];

/// S3's POST operations on a key, which this bucket does not support.
const POSTED: [&str; 4] = ["uploads", "uploadId", "restore", "select"];

/// Accepts a request with a complete signature of the new kind, by the known key, and within the
/// time limit; returns the signature's claim.
///
/// # Errors
/// S3's answer to each fault.
pub(super) fn check(request: &Parts, access_key: &str) -> S3Result<SignatureClaim> {
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(&request.uri)
        .map_err(|_| s3_error!(InvalidURI))?;
    let asked = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let authorization = request.headers.get(header::AUTHORIZATION);
    if request.method == Method::POST {
        // Forms with a policy, multipart uploads, batch deletes: none of these is supported.
        let of_key = request.uri.path().splitn(3, '/').nth(2).is_some_and(|key| !key.is_empty());
        let served = !of_key || POSTED.iter().any(|name| asked(name).is_some());
        return Err(if served { s3_error!(NotImplemented) } else { refusal::posted() });
    }
    if asked("AWSAccessKeyId").is_some() || asked("Signature").is_some() {
        return Err(old_signature());
    }
    let claim = match (authorization, asked("X-Amz-Signature")) {
        (Some(_), Some(_)) => return Err(s3_error!(InvalidArgument, "Only one auth mechanism")),
        (None, None) => return Err(s3_error!(AccessDenied, "Access Denied")),
        (Some(value), None) => {
            let value = value.to_str().unwrap_or_default();
            if !value.starts_with("AWS4-HMAC-SHA256") {
                return Err(old_signature());
            }
            signature::in_header(request, query)?
        }
        (None, Some(_)) => {
            lives(asked("X-Amz-Expires"))?;
            only_known(&query)?;
            signature::in_query(&query)?
        }
    };
    if claim.access_key != access_key {
        return Err(s3_error!(InvalidAccessKeyId));
    }
    all_signed(&request.headers, &claim.signed)?;
    Ok(claim)
}

fn old_signature() -> S3Error {
    s3_error!(
        InvalidRequest,
        "The authorization mechanism you have provided is not supported. \
         Please use AWS4-HMAC-SHA256."
    )
}

fn lives(expires: Option<&str>) -> S3Result<()> {
    let refuse = |text| Err(S3Error::with_message(Code::AuthorizationQueryParametersError, text));
    let digits = expires.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    match digits.and_then(|text| text.parse::<u32>().ok()) {
        None | Some(0) => refuse("X-Amz-Expires must be a positive number of seconds"),
        Some(seconds) if seconds > LONGEST_LIFE => refuse(
            "X-Amz-Expires must be less than a week (in seconds); that is, \
             the given X-Amz-Expires must be less than 604800 seconds",
        ),
        Some(_) => Ok(()),
    }
}

fn only_known(query: &[(String, String)]) -> S3Result<()> {
    let strange = query
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .find(|name| name.starts_with("x-amz-") && !PARAMETERS.contains(&name.as_str()));
    strange.map_or(Ok(()), |name| {
        Err(S3Error::with_message(Code::NotImplemented, format!("{name} belongs in a header")))
    })
}

fn all_signed(headers: &HeaderMap, signed: &str) -> S3Result<()> {
    let is_signed = |name: &str| signed.split(';').any(|s| s == name);
    if !is_signed("host") {
        return Err(s3_error!(AccessDenied, "The host header was not signed"));
    }
    // s3s skips values that are not text, so it would not check whether they are signed.
    let strays = headers.iter().any(|(name, value)| {
        name.as_str().starts_with("x-amz-")
            && (!is_signed(name.as_str()) || value.to_str().is_err())
    });
    if strays {
        let text = "There were headers present in the request which were not signed";
        return Err(S3Error::with_message(Code::AccessDenied, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const URL: &str = "/b/k?X-Amz-Algorithm=A&X-Amz-Credential=C/D/us-east-1/s3/aws4_request\
                       &X-Amz-Date=D&X-Amz-SignedHeaders=host&X-Amz-Signature=S";

    fn told(method: &str, uri: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = check(&request.body(()).unwrap().into_parts().0, "C");
        answer.map_or_else(|error| error.code().as_str().to_owned(), |_| "passes".to_owned())
    }

    #[test]
    fn a_signed_url_lives_between_a_second_and_a_week() {
        for (expires, answer) in [
            ("1", "passes"),
            ("604800", "passes"),
            ("604801", "AuthorizationQueryParametersError"),
            ("0", "AuthorizationQueryParametersError"),
            ("-5", "AuthorizationQueryParametersError"),
            ("%2B5", "AuthorizationQueryParametersError"),
            ("", "AuthorizationQueryParametersError"),
            ("99999999999", "AuthorizationQueryParametersError"),
        ] {
            let uri = format!("{URL}&X-Amz-Expires={expires}");
            assert_eq!(told("GET", &uri, &[]), answer, "{expires}");
        }
        assert_eq!(told("GET", URL, &[]), "AuthorizationQueryParametersError");
    }

    #[test]
    fn what_is_not_signed_whole_is_refused() {
        let url = format!("{URL}&X-Amz-Expires=60");
        let by = |scope: &str, signed: &str| {
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature=S")
        };
        let (here, both) = ("C/D/us-east-1/s3/aws4_request", "host;x-amz-date");
        let (v4, no_host) = (&*by(here, both), &*by(here, "x-amz-date"));
        let stranger = &*by("D/D/us-east-1/s3/aws4_request", both);
        let elsewhere = &*by("C/D/eu-west-1/s3/aws4_request", both);
        let other = &*by("C/D/us-east-1/sts/aws4_request", both);
        let short = &*by("C", both);
        let url_elsewhere = url.replace("us-east-1", "eu-west-1");
        let url_stranger = url.replace("=C/", "=D/");
        let meta = ("x-amz-meta-a", "1");
        for (method, uri, headers, answer) in [
            ("PUT", "/b/k", vec![("authorization", v4)], "passes"),
            ("PUT", "/b/k", vec![("authorization", v4), ("x-amz-date", "1")], "passes"),
            ("PUT", "/b/k", vec![("authorization", v4), meta], "AccessDenied"),
            ("PUT", "/b/k", vec![("authorization", no_host)], "AccessDenied"),
            ("PUT", "/b/k", vec![("authorization", "AWS A:B")], "InvalidRequest"),
            ("PUT", "/b/k", vec![("authorization", stranger)], "InvalidAccessKeyId"),
            ("PUT", "/b/k", vec![("authorization", elsewhere)], "AuthorizationHeaderMalformed"),
            ("PUT", "/b/k", vec![("authorization", other)], "AuthorizationHeaderMalformed"),
            ("PUT", "/b/k", vec![("authorization", short)], "AuthorizationHeaderMalformed"),
            ("PUT", &url_elsewhere, vec![], "AuthorizationQueryParametersError"),
            ("PUT", &url_stranger, vec![], "InvalidAccessKeyId"),
            ("PUT", "/b/k", vec![], "AccessDenied"),
            ("PUT", &url, vec![meta], "AccessDenied"),
            ("PUT", &url, vec![("content-type", "text/plain")], "passes"),
            ("PUT", &url, vec![("authorization", v4)], "InvalidArgument"),
            ("PUT", &format!("{url}&x-amz-acl=public-read"), vec![], "NotImplemented"),
            ("GET", "/b/k?AWSAccessKeyId=A&Signature=S&Expires=9", vec![], "InvalidRequest"),
            ("POST", "/b", vec![("content-type", "multipart/form-data")], "NotImplemented"),
            ("POST", "/b/?delete", vec![], "NotImplemented"),
            ("POST", "/b/k?uploads", vec![], "NotImplemented"),
            ("POST", "/b/k", vec![], "MethodNotAllowed"),
            ("POST", "/b/k/", vec![("authorization", v4)], "MethodNotAllowed"),
        ] {
            assert_eq!(told(method, uri, &headers), answer, "{method} {uri} {headers:?}");
        }
    }
}
