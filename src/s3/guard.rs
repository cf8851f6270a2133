//! What is refused before s3s sees it. s3s checks signatures well, but also takes what S3 in its
//! newer regions does not: the old signature, headers that nobody signed, URLs that live for
//! years. Each of those would make a signed URL worth more to its holder than its signer meant.

use axum::extract::Query;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use s3s::{S3Error, S3ErrorCode as Code, S3Result, s3_error};

/// Seven days, the longest that S3 lets a URL live.
const LONGEST_LIFE: u32 = 604_800;

/// The `x-amz-` parameters that a signed URL may carry. S3 takes any `x-amz-` header as a
/// parameter too; here such a parameter would be passed over, and that must not happen silently.
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

/// Passes a request that is signed the new way, whole, and for no longer than it may be.
///
/// # Errors
/// What S3 answers to each.
pub(super) fn check(request: &Parts) -> S3Result<()> {
    let Query(query) = Query::<Vec<(String, String)>>::try_from_uri(&request.uri)
        .map_err(|_| s3_error!(InvalidURI))?;
    let asked = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let authorization = request.headers.get(header::AUTHORIZATION);
    if request.method == Method::POST {
        // Forms with a policy, multipart uploads, batch deletes: none of them is served.
        return Err(s3_error!(NotImplemented));
    }
    if asked("AWSAccessKeyId").is_some() || asked("Signature").is_some() {
        return Err(old_signature());
    }
    let signed = match (authorization, asked("X-Amz-Signature")) {
        (Some(_), Some(_)) => return Err(s3_error!(InvalidArgument, "Only one auth mechanism")),
        (None, None) => return Err(s3_error!(AccessDenied, "Access Denied")),
        (Some(value), None) => in_header(value.to_str().unwrap_or_default())?,
        (None, Some(_)) => {
            lives(asked("X-Amz-Expires"))?;
            only_known(&query)?;
            asked("X-Amz-SignedHeaders").unwrap_or_default()
        }
    };
    all_signed(&request.headers, signed)
}

fn old_signature() -> S3Error {
    s3_error!(
        InvalidRequest,
        "The authorization mechanism you have provided is not supported. \
         Please use AWS4-HMAC-SHA256."
    )
}

/// The signed headers that an `Authorization` header names.
fn in_header(value: &str) -> S3Result<&str> {
    let fields = value.strip_prefix("AWS4-HMAC-SHA256").ok_or_else(old_signature)?;
    let named = fields.split(',').find_map(|field| field.trim().strip_prefix("SignedHeaders="));
    named.ok_or_else(|| s3_error!(AuthorizationHeaderMalformed))
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
    // s3s passes over values that are not text, so that it would not see them signed or not.
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

    const URL: &str = "/b/k?X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Date=D\
                       &X-Amz-SignedHeaders=host&X-Amz-Signature=S";

    fn told(method: &str, uri: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = check(&request.body(()).unwrap().into_parts().0);
        answer.map_or_else(|error| error.code().as_str().to_owned(), |()| "passes".to_owned())
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
        let v4 = "AWS4-HMAC-SHA256 Credential=C, SignedHeaders=host;x-amz-date, Signature=S";
        let no_host = "AWS4-HMAC-SHA256 Credential=C, SignedHeaders=x-amz-date, Signature=S";
        let meta = ("x-amz-meta-a", "1");
        for (method, uri, headers, answer) in [
            ("PUT", "/b/k", vec![("authorization", v4)], "passes"),
            ("PUT", "/b/k", vec![("authorization", v4), ("x-amz-date", "1")], "passes"),
            ("PUT", "/b/k", vec![("authorization", v4), meta], "AccessDenied"),
            ("PUT", "/b/k", vec![("authorization", no_host)], "AccessDenied"),
            ("PUT", "/b/k", vec![("authorization", "AWS A:B")], "InvalidRequest"),
            ("PUT", "/b/k", vec![], "AccessDenied"),
            ("PUT", &url, vec![meta], "AccessDenied"),
            ("PUT", &url, vec![("content-type", "text/plain")], "passes"),
            ("PUT", &url, vec![("authorization", v4)], "InvalidArgument"),
            ("PUT", &format!("{url}&x-amz-acl=public-read"), vec![], "NotImplemented"),
            ("GET", "/b/k?AWSAccessKeyId=A&Signature=S&Expires=9", vec![], "InvalidRequest"),
            ("POST", "/b", vec![("content-type", "multipart/form-data")], "NotImplemented"),
        ] {
            assert_eq!(told(method, uri, &headers), answer, "{method} {uri} {headers:?}");
        }
    }
}
