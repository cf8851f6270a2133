//! The origins of pages that may call this server: this machine's, the listed ones, and its own.
//! One rule decides which pages may change data and which scripts may read answers.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::Uri;
use axum::http::uri::Authority;

/// The allowed origins besides those of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Arc<[String]>);

impl AllowedOrigins {
    /// With these origins too, each as [`spelt`].
    #[must_use]
    pub fn of(origins: impl IntoIterator<Item = String>) -> Self {
        Self(origins.into_iter().collect())
    }

    /// Whether the pages of `origin` may call. A listed origin is compared as a whole: another
    /// scheme or port is another site.
    #[must_use]
    pub fn let_in(&self, origin: &str) -> bool {
        spelt(origin).is_ok_and(|whole| {
            bare(origin) && (self.0.contains(&whole) || host(&whole).is_some_and(is_this_machine))
        })
    }

    /// Whether `authority` names this machine or a listed origin, at any port: a proxy may use
    /// another port than the server behind it.
    pub(super) fn name(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else { return false };
        let called = authority.host().to_ascii_lowercase();
        let listed = || self.0.iter().any(|origin| host(origin) == Some(&*called));
        !authority.as_str().contains('@') && (is_this_machine(&called) || listed())
    }
}

/// A scheme, a host and a port as browsers spell an origin: in lower case, without a default port.
///
/// # Errors
/// The form of an origin, if this is none.
pub fn spelt(text: &str) -> Result<String, String> {
    let refused = || "it is http://host[:port] or https://host[:port], and no more".to_owned();
    if text.contains(['@', '#']) {
        return Err(refused());
    }
    let uri: Uri = text.parse().map_err(|error| format!("{error}: {}", refused()))?;
    let alone = uri.path() == "/" && uri.query().is_none();
    let host = uri.host().filter(|host| alone && !host.is_empty()).ok_or_else(refused)?;
    let port = uri.authority().and_then(|it| it.as_str().strip_prefix(host)).unwrap_or_default();
    let port = match port.trim_start_matches(':') {
        "" => None,
        digits => Some(digits.parse::<u16>().map_err(|_| refused())?),
    };
    let host = host.to_ascii_lowercase();
    let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
    match (&*scheme, port) {
        ("http", None | Some(80)) | ("https", None | Some(443)) => Ok(format!("{scheme}://{host}")),
        ("http" | "https", Some(port)) => Ok(format!("{scheme}://{host}:{port}")),
        _ => Err(refused()),
    }
}

/// Whether nothing follows the host and port, not even the final slash of a URL.
pub(crate) fn bare(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'))
}

/// The host of an origin that is [`spelt`].
fn host(origin: &str) -> Option<&str> {
    let (_, rest) = origin.split_once("://")?;
    let end = rest.rfind(']').map_or_else(|| rest.find(':'), |at| Some(at + 1));
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// Whether a host of a URL is this machine.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_spelt_as_browsers_spell_it() {
        for (text, url) in [
            ("https://files.example", "https://files.example"),
            ("https://Files.Example:443/", "https://files.example"),
            ("HTTP://files.example:80", "http://files.example"),
            ("http://files.example:443", "http://files.example:443"),
            ("https://files.example:8443", "https://files.example:8443"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://[::1]:9000", "http://[::1]:9000"),
        ] {
            assert_eq!(spelt(text).as_deref(), Ok(url), "{text}");
        }
        for text in [
            "",
            "files.example",
            "files.example:9000",
            "ftp://files.example",
            "https://files.example#x",
            "https://files.example/#",
            "https://files.example/path",
            "https://files.example//",
            "https://files.example?x=1",
            "https://me@files.example",
            "https://:443",
            "https://files.example:99999",
        ] {
            assert!(spelt(text).is_err(), "{text}");
        }
    }
}
