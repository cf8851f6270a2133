//! Refuses other sites' pages on a server without authentication.
//!
//! A page of any site can make a browser send requests to this machine. Its origin is in the
//! `Origin` header. After DNS rebinding its own host name is in the `Host` header.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, header};

use crate::http::errors::{Code, Problem};
use crate::http::origins::AllowedOrigins;

/// For operators of a proxy that keeps `Host`, without the option.
const NOT_CALLED_THAT: &str = "this server is not called that: Host must be a name of this \
    machine, or of the URL that `serve --public-url` gives it behind a proxy";
/// For operators with pages on other sites.
const NOT_OURS: &str = "pages of other sites may not call this server: `serve --public-url` names \
    its own site behind a proxy, and `--cors-origin` another";

/// The host names that the server accepts, and the origins whose pages may call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHosts {
    /// This machine's own names (`localhost`, 127.0.0.0/8 and `[::1]`, at any port), and those of
    /// these pages.
    Named(AllowedOrigins),
    /// Any. For a server whose caller is authenticated before it, as on Lambda.
    Any,
}

impl Default for AllowedHosts {
    fn default() -> Self {
        Self::Named(AllowedOrigins::default())
    }
}

impl AllowedHosts {
    /// Refuses a request of another site's page.
    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        let Self::Named(pages) = self else { return Ok(()) };
        let absolute = request.uri().authority().is_some();
        let called = request.uri().authority().is_none_or(|a| pages.name(a.as_str()));
        let host = only(request.headers(), &header::HOST);
        if !called || !host.map_or(absolute, |host| pages.name(host)) {
            return Err(Problem::new(Code::HostForbidden, NOT_CALLED_THAT));
        }
        if !request.headers().contains_key(header::ORIGIN) {
            return Ok(());
        }
        let origin = only(request.headers(), &header::ORIGIN);
        if origin.is_some_and(|origin| pages.let_in(origin)) {
            return Ok(());
        }
        Err(Problem::new(Code::OriginForbidden, NOT_OURS))
    }
}

/// A header's value, if it occurs exactly once and is readable.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (value, none) = (values.next()?, values.next());
    value.to_str().ok().filter(|_| none.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn refused(hosts: &AllowedHosts, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri("/asset");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        hosts.check(&request.body(Body::empty()).unwrap()).is_err()
    }

    #[test]
    fn this_machine_is_known_by_its_own_names_only() {
        for host in ["localhost", "LOCALHOST:9000", "127.0.0.1:80", "127.9.9.9", "[::1]:80"] {
            assert!(!refused(&AllowedHosts::default(), &[("host", host)]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example@localhost",
            "localhost@evil.example",
            "192.168.0.2",
            "0.0.0.0",
            "[::]",
            "",
            "localhost evil",
        ] {
            assert!(refused(&AllowedHosts::default(), &[("host", host)]), "{host}");
        }
        assert!(refused(&AllowedHosts::default(), &[]), "no host at all");
        assert!(refused(
            &AllowedHosts::default(),
            &[("host", "localhost"), ("host", "evil.example")]
        ));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let host = ("host", "localhost:8080");
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:80"] {
            assert!(!refused(&AllowedHosts::default(), &[host, ("origin", origin)]), "{origin}");
        }
        for origin in
            ["null", "", "https://evil.example", "http://localhost.evil.example", "file://"]
        {
            assert!(refused(&AllowedHosts::default(), &[host, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn other_names_are_permitted_by_name_or_altogether() {
        let named = AllowedHosts::Named(AllowedOrigins::of(["https://ledger.example".to_owned()]));
        assert!(!refused(&named, &[("host", "Ledger.example:443")]));
        assert!(!refused(&named, &[("host", "localhost")]));
        assert!(refused(&named, &[("host", "evil.example")]));
        let (host, origin) = (("host", "evil.example"), ("origin", "null"));
        assert!(!refused(&AllowedHosts::Any, &[host, origin]));
    }
}
