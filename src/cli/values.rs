//! Values of the command line, with an example in each error.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::str::FromStr;
use std::thread::available_parallelism;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use ledger::id::{AssetId, Key, Tenant};
use projections::feed::FeedRetention;

use crate::aws::parse_retention;

/// An asset as shown in tables and findings: its id, or with its tenant, `main#<id>`.
#[derive(Debug, Clone)]
pub(super) struct AssetLabel {
    tenant: Option<Tenant>,
    asset: AssetId,
}

impl AssetLabel {
    /// The asset's key; of this tenant, if none is given.
    pub(super) fn key(&self, tenant: &Tenant) -> Key {
        Key { tenant: self.tenant.as_ref().unwrap_or(tenant).clone(), asset: self.asset }
    }
}

impl FromStr for AssetLabel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not = || "not an asset id, such as 019aaf6b-5a00-7123-8456-0123456789ab".to_owned();
        if let Ok(asset) = text.to_ascii_lowercase().parse() {
            return Ok(Self { tenant: None, asset });
        }
        let (tenant, asset) = text.split_once(['#', '/']).ok_or_else(not)?;
        let (tenant, asset) = (tenant.parse(), asset.to_ascii_lowercase().parse());
        match (tenant, asset) {
            (Ok(tenant), Ok(asset)) => Ok(Self { tenant: Some(tenant), asset }),
            _ => Err(not()),
        }
    }
}

/// The number of cores: segments that are read at once by default.
pub(super) fn cores() -> u32 {
    let cores = available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cores).unwrap_or(1)
}

/// A point in time; a date alone is its midnight in UTC.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
    date.map(|date| date.and_time(NaiveTime::MIN).and_utc()).ok_or_else(|| {
        "not a time: write 2027-01-01T08:00:00Z, or 2027-01-01 for its midnight in UTC".to_owned()
    })
}

/// An address to listen on; a port alone is on loopback.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost").unwrap_or(text);
    let port = port.strip_prefix(':').unwrap_or(port);
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let own = port.parse().ok().filter(|_| digits);
    let own = own.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    text.parse().ok().or(own).ok_or_else(|| {
        "not an address: write 127.0.0.1:8080, or 8080 for a port on loopback".to_owned()
    })
}

/// How long the feed keeps events; for ever if `None`.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetentionDays(pub(super) Option<FeedRetention>);

/// A number of days; 0 is for ever.
pub(super) fn feed_retention(text: &str) -> Result<RetentionDays, String> {
    parse_retention(text).map(RetentionDays).map_err(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019aaf6b-5a00-7123-8456-0123456789ab";

    #[test]
    fn an_asset_is_taken_as_it_is_shown() {
        let main = Tenant::default();
        for (text, key) in [
            (ID.to_owned(), format!("main#{ID}")),
            (ID.to_uppercase(), format!("main#{ID}")),
            (format!("main#{ID}"), format!("main#{ID}")),
            (format!("other/{ID}"), format!("other#{ID}")),
        ] {
            assert_eq!(text.parse::<AssetLabel>().unwrap().key(&main).partition(), key);
        }
        for other in ["", "x", "#", &format!("{ID}#main"), &format!("Not Me#{ID}")] {
            assert!(
                other.parse::<AssetLabel>().unwrap_err().contains("such as 019aaf6b"),
                "{other}"
            );
        }
    }

    #[test]
    fn a_date_is_its_midnight_and_anything_else_is_told_what_a_time_is() {
        let midnight = "2027-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
        assert_eq!(time("2027-01-01"), Ok(midnight));
        assert_eq!(time("2027-01-01T01:00:00+01:00"), Ok(midnight));
        for other in ["", "2027", "2027-1-1", "01.01.2027", "2027-13-01", "2027-01-01T08:00"] {
            assert!(time(other).unwrap_err().contains("2027-01-01T08:00:00Z"), "{other}");
        }
    }

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        for (text, meant) in [
            ("8080", "127.0.0.1:8080"),
            (":0", "127.0.0.1:0"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("[::1]:80", "[::1]:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), meant);
        }
        for other in ["", "nowhere", "70000", "+80", "localhost", "127.0.0.1", "a:80"] {
            assert!(address(other).unwrap_err().contains("127.0.0.1:8080"), "{other}");
        }
    }
}
