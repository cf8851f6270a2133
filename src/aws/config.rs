//! The configuration of a deployment: its tables, its bucket and its tenant.

use ledger::id::Tenant;
use projections::feed::FeedRetention;

use super::auth::{AUTH, AUTH_CONFIG};
use crate::http::IamGrantsError;
use crate::jwt::AuthConfigError;

/// The journal's table.
pub(crate) const JOURNAL_TABLE: &str = "ASSET_LEDGER_JOURNAL_TABLE";
/// The rows' table.
pub(crate) const VIEWS_TABLE: &str = "ASSET_LEDGER_VIEWS_TABLE";
/// The bucket of the files.
pub(crate) const BUCKET: &str = "ASSET_LEDGER_BUCKET";
/// The tenant of the assets.
pub(crate) const TENANT: &str = "ASSET_LEDGER_TENANT";
/// Partitions of the rows of a tenant.
pub(crate) const SHARDS: &str = "ASSET_LEDGER_SHARDS";

/// Days for which the feed keeps events.
pub(crate) const FEED_RETENTION: &str = "ASSET_LEDGER_FEED_RETENTION_DAYS";

/// Partitions of a tenant's rows by default: 8,000 writes a second on DynamoDB, and lists of eight
/// queries. Fixed for the life of a table.
pub(crate) const DEFAULT_SHARDS: u8 = 8;

/// One deployment: two tables, a bucket, a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name of the journal's table.
    pub journal: String,
    /// The name of the rows' table.
    pub views: String,
    /// The name of the bucket.
    pub bucket: String,
    /// The tenant of the assets.
    pub tenant: Tenant,
    /// Partitions of the rows of a tenant; at least 1.
    pub shards: u8,
    /// How long the feed keeps events; for ever if `None`.
    pub feed_retention: Option<FeedRetention>,
}

/// A variable that is missing or invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is missing and has no default.
    #[error("the environment variable {0} is not set, or empty: {hint}", hint = hint(.0))]
    Missing(&'static str),
    /// It is invalid.
    #[error("the environment variable {name} is {value:?}: {expected}")]
    Form {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// A valid value.
        expected: &'static str,
    },
    /// The issuers are invalid.
    #[error("the environment variable {AUTH_CONFIG}: {0}")]
    Issuers(#[from] AuthConfigError),
    /// The callers behind API Gateway are invalid.
    #[error("the environment variable {AUTH_CONFIG}: {0}")]
    Callers(#[from] IamGrantsError),
}

impl Config {
    /// Reads the environment, for the functions, which have no command line.
    ///
    /// # Errors
    /// Names the variable that is missing or invalid.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(variable)
    }

    fn read(look: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let given = |name| look(name).filter(|value| !value.is_empty());
        let needed = |name| given(name).ok_or(ConfigError::Missing(name));
        let tenant = given(TENANT).map_or(Ok(Tenant::default()), |value| parse_tenant(&value))?;
        let shards = given(SHARDS).map_or(Ok(DEFAULT_SHARDS), |value| parse_shards(&value))?;
        let feed_retention = given(FEED_RETENTION).map(|value| retention_of(&value)).transpose()?;
        let feed_retention = feed_retention.flatten();
        let (journal, views) = (needed(JOURNAL_TABLE)?, needed(VIEWS_TABLE)?);
        Ok(Self { journal, views, bucket: needed(BUCKET)?, tenant, shards, feed_retention })
    }
}

/// The retention of the feed in days; 0 is for ever. The error is a valid value.
pub(crate) fn parse_retention(value: &str) -> Result<Option<FeedRetention>, &'static str> {
    let expected = "the feed keeps events for 7 to 731 days, or with 0 for ever";
    let days = value.parse().map_err(|_| expected)?;
    if days == 0 { Ok(None) } else { FeedRetention::of_days(days).map(Some).ok_or(expected) }
}

fn retention_of(value: &str) -> Result<Option<FeedRetention>, ConfigError> {
    let form =
        |expected| ConfigError::Form { name: FEED_RETENTION, value: value.to_owned(), expected };
    parse_retention(value).map_err(form)
}

fn parse_tenant(value: &str) -> Result<Tenant, ConfigError> {
    let expected = "a tenant is 1 to 32 of a-z, 0-9 and '-'";
    let form = |_| ConfigError::Form { name: TENANT, value: value.to_owned(), expected };
    value.parse().map_err(form)
}

fn parse_shards(value: &str) -> Result<u8, ConfigError> {
    let expected = "a table has 1 to 255 shards";
    let form = || ConfigError::Form { name: SHARDS, value: value.to_owned(), expected };
    value.parse().ok().filter(|shards| *shards > 0).ok_or_else(form)
}

fn hint(name: &str) -> &'static str {
    match name {
        JOURNAL_TABLE => "it names the table of events",
        VIEWS_TABLE => "it names the table of rows",
        BUCKET => "it names the bucket of the files",
        AUTH => "it says who decides about callers: `gateway` or `required`",
        _ => "Lambda gives it to each function",
    }
}

/// The only place besides the command line where the program reads its environment.
#[allow(clippy::disallowed_methods, reason = "functions have no command line to be told by")]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, String> {
        let look = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::read(look).map_err(|invalid| invalid.to_string())
    }

    const NEEDED: [(&str, &str); 3] = [(JOURNAL_TABLE, "j"), (VIEWS_TABLE, "v"), (BUCKET, "b")];

    #[test]
    fn three_names_are_enough() {
        let config = read(&NEEDED).unwrap();
        let [journal, views, bucket] = ["j", "v", "b"].map(str::to_owned);
        let tenant = "main".parse().unwrap();
        assert_eq!(
            config,
            Config { journal, views, bucket, tenant, shards: 8, feed_retention: None }
        );
    }

    #[test]
    fn a_missing_or_empty_name_is_named() {
        for (at, (name, _)) in NEEDED.iter().enumerate() {
            let mut variables = NEEDED;
            variables[at].1 = "";
            assert!(read(&variables).unwrap_err().contains(&format!("{name} is not set")));
            variables[at].0 = "OTHER";
            assert!(read(&variables).unwrap_err().contains(&format!("{name} is not set")));
        }
    }

    #[test]
    fn the_rest_is_taken_or_refused_by_name() {
        let with = |name, value| read(&[&NEEDED[..], &[(name, value)]].concat());
        assert_eq!(with(SHARDS, "1").unwrap().shards, 1);
        assert_eq!(with(SHARDS, "255").unwrap().shards, 255);
        assert_eq!(with(TENANT, "acme").unwrap().tenant.as_str(), "acme");
        let days = |value| with(FEED_RETENTION, value).unwrap().feed_retention;
        assert_eq!(days("0"), None);
        assert_eq!(days("7"), FeedRetention::of_days(7));
        let wrong = [(SHARDS, "0"), (SHARDS, "256"), (SHARDS, "x"), (TENANT, "A b")];
        let retention = ["6", "732", "-1", "x"].map(|days| (FEED_RETENTION, days));
        for (name, value) in wrong.into_iter().chain(retention) {
            let error = with(name, value).unwrap_err();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
