//! The names of tenants, assets and streams, and the keys made from them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

/// An asset's id: a UUIDv7 made from the clock reading of its first event. The order of ids is the
/// order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AssetId(Uuid);

impl AssetId {
    /// A new id. The twelve bits after the milliseconds hold the fraction of the millisecond (RFC
    /// 9562, section 6.2, method 3): ids made within one stay in order.
    #[must_use]
    pub fn new(at: DateTime<Utc>, random: u128) -> Self {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
        let fraction = u128::from(at.timestamp_subsec_micros() % 1_000) * 4096 / 1_000;
        let random_bits = random & ((1 << 64) - 1) | fraction << 64;
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&random_bits.to_be_bytes()[6..]);
        Self(Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }

    /// Whether this is the id's text.
    pub(crate) fn is_written(self, text: &str) -> bool {
        self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text
    }

    /// The last byte: random, so that it spreads assets evenly over shards.
    #[must_use]
    pub fn last_byte(self) -> u8 {
        self.0.as_bytes()[15]
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The text is not an id: it names an asset that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an asset id")]
pub struct AssetIdError;

impl FromStr for AssetId {
    type Err = AssetIdError;

    /// Takes only the form that is stored and shown, lower-case and hyphenated. An asset has one
    /// name, and any other text is no asset's name.
    fn from_str(text: &str) -> Result<Self, AssetIdError> {
        let id = Self(Uuid::try_parse(text).map_err(|_| AssetIdError)?);
        if id.is_written(text) { Ok(id) } else { Err(AssetIdError) }
    }
}

/// The owner of assets; one per deployment until there is authentication.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(Arc<str>);

/// The text is no tenant's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tenant is 1 to 32 of a-z, 0-9 and '-', not {0:?}")]
pub struct TenantError(String);

impl FromStr for Tenant {
    type Err = TenantError;

    fn from_str(text: &str) -> Result<Self, TenantError> {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(known);
        if fits { Ok(Self(text.into())) } else { Err(TenantError(text.to_owned())) }
    }
}

impl Default for Tenant {
    /// `main`.
    fn default() -> Self {
        Self("main".into())
    }
}

impl Tenant {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One asset of one tenant: the key of its history.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The tenant.
    pub tenant: Tenant,
    /// The asset.
    pub asset: AssetId,
}

impl Key {
    /// The journal's partition key: `<tenant>#<asset>`.
    #[must_use]
    pub fn partition(&self) -> String {
        format!("{}#{}", self.tenant, self.asset)
    }

    /// The asset's name in commands: its id alone, where its tenant is the default.
    #[must_use]
    pub fn label(&self) -> String {
        if self.tenant == Tenant::default() { self.asset.to_string() } else { self.partition() }
    }

    /// Reads the partition key.
    #[must_use]
    pub fn from_partition(text: &str) -> Option<Self> {
        Self::split(text, '#')
    }

    /// The object's key in the bucket: `<tenant>/<asset>`. The file's name is data, never a path.
    #[must_use]
    pub fn object(&self) -> String {
        format!("{}/{}", self.tenant, self.asset)
    }

    /// Reads the object's key; `None` for an object of no asset.
    #[must_use]
    pub fn from_object(text: &str) -> Option<Self> {
        Self::split(text, '/')
    }

    fn split(text: &str, separator: char) -> Option<Self> {
        let (tenant, asset) = text.split_once(separator)?;
        Some(Self { tenant: tenant.parse().ok()?, asset: asset.parse().ok()? })
    }
}

/// The name of a stream of no asset: `[a-z][a-z0-9-]{0,31}`. An asset's id is longer, so no text
/// names both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// Bytes of the longest name.
    pub(crate) const MOST: usize = 32;

    /// The name of the stream with a tenant's access.
    pub(crate) fn access() -> Self {
        Self("access".into())
    }

    /// The name of a stream of an access log, which is of the form of all names.
    pub(crate) fn of_urls(name: &str) -> Self {
        Self(name.into())
    }
}

/// The text is no stream's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stream is a letter of a-z and up to 31 of a-z, 0-9 and '-', not {0:?}")]
pub struct StreamNameError(String);

impl FromStr for StreamName {
    type Err = StreamNameError;

    fn from_str(text: &str) -> Result<Self, StreamNameError> {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        let fits = begins && text.len() <= Self::MOST && text.bytes().all(known);
        if fits { Ok(Self(text.into())) } else { Err(StreamNameError(text.to_owned())) }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stream of a tenant: an asset's history or a named one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StreamId {
    /// The history of this asset.
    Asset(AssetId),
    /// The stream of this name.
    Named(StreamName),
}

impl Ord for StreamId {
    /// The order of the texts: stores keep partitions in this order.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Asset(one), Self::Asset(two)) => one.cmp(two),
            (Self::Named(one), Self::Named(two)) => one.cmp(two),
            (one, two) => one.to_string().cmp(&two.to_string()),
        }
    }
}

impl PartialOrd for StreamId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asset(asset) => asset.fmt(f),
            Self::Named(name) => name.fmt(f),
        }
    }
}

/// The key of a partition of the journal: an asset's [`Key`], or a tenant's named stream. Its order
/// is that of [`PartitionKey::partition`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// The tenant.
    pub tenant: Tenant,
    /// The stream.
    pub stream: StreamId,
}

impl PartitionKey {
    /// The partition's name: `<tenant>#<asset>` or `<tenant>#<stream>`.
    #[must_use]
    pub fn partition(&self) -> String {
        format!("{}#{}", self.tenant, self.stream)
    }

    /// Reads the name.
    #[must_use]
    pub fn from_partition(text: &str) -> Option<Self> {
        let (tenant, stream) = text.split_once('#')?;
        let asset = stream.parse().map(StreamId::Asset);
        let stream = asset.or_else(|_| stream.parse().map(StreamId::Named)).ok()?;
        Some(Self { tenant: tenant.parse().ok()?, stream })
    }

    /// The asset's key; `None` for a named stream.
    #[must_use]
    pub fn asset(&self) -> Option<Key> {
        match self.stream {
            StreamId::Asset(asset) => Some(Key { tenant: self.tenant.clone(), asset }),
            StreamId::Named(_) => None,
        }
    }

    /// Whether the stream is named.
    #[must_use]
    pub fn is_named(&self) -> bool {
        matches!(self.stream, StreamId::Named(_))
    }
}

impl From<Key> for PartitionKey {
    fn from(Key { tenant, asset }: Key) -> Self {
        Self { tenant, stream: StreamId::Asset(asset) }
    }
}

/// The key of the named stream with a tenant's access: `<tenant>#access`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessStream(pub Tenant);

impl From<AccessStream> for PartitionKey {
    fn from(AccessStream(tenant): AccessStream) -> Self {
        Self { tenant, stream: StreamId::Named(StreamName::access()) }
    }
}

/// The key of one kind of stream.
pub trait StreamKey: Clone + Into<PartitionKey> {
    /// The key, if the partition is of this kind.
    fn of(partition: &PartitionKey) -> Option<Self>;
}

impl StreamKey for Key {
    fn of(partition: &PartitionKey) -> Option<Self> {
        partition.asset()
    }
}

impl StreamKey for AccessStream {
    fn of(partition: &PartitionKey) -> Option<Self> {
        let own = partition.stream == StreamId::Named(StreamName::access());
        own.then(|| Self(partition.tenant.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn ids_keep_the_order_of_their_microseconds_whatever_chance_says() {
        let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let id = |micros, random| AssetId::new(start + TimeDelta::microseconds(micros), random);
        for micros in 0..3_000 {
            assert!(id(micros, u128::MAX) < id(micros + 1, 0), "at {micros} µs");
        }
    }

    #[test]
    fn an_id_has_one_form() {
        let id = AssetId::new(DateTime::UNIX_EPOCH, 0x00ab_cdef);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        for other in
            [text.to_uppercase(), format!("{text}a"), text.replace('-', ""), format!("{{{text}}}")]
        {
            assert_eq!(other.parse::<AssetId>(), Err(AssetIdError), "{other}");
        }
    }

    #[test]
    fn keys_read_back_and_strangers_do_not() {
        let key =
            Key { tenant: "main".parse().unwrap(), asset: AssetId::new(DateTime::UNIX_EPOCH, 1) };
        assert_eq!(Key::from_object(&key.object()), Some(key.clone()));
        assert_eq!(Key::from_partition(&key.partition()), Some(key));
        for stranger in ["", "main", "main/", "main/report.pdf", "../main", "MAIN/x"] {
            assert_eq!(Key::from_object(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_stream_has_a_name_that_no_asset_has() {
        let longest = "a".repeat(32);
        for name in ["access", "a", "a-1", longest.as_str()] {
            let partition = format!("main#{name}");
            let key = PartitionKey::from_partition(&partition).unwrap();
            assert!(key.is_named() && key.asset().is_none(), "{name}");
            assert_eq!((key.partition(), Key::from_partition(&partition)), (partition, None));
        }
        let id = AssetId::new(DateTime::UNIX_EPOCH, 1);
        for other in ["", "1a", "-a", "Access", "read me", "readme.txt", &"a".repeat(33)] {
            assert!(other.parse::<StreamName>().is_err(), "{other}");
            assert_eq!(PartitionKey::from_partition(&format!("main#{other}")), None, "{other}");
        }
        let key = Key { tenant: Tenant::default(), asset: id };
        let partition = PartitionKey::from_partition(&key.partition()).unwrap();
        assert_eq!((partition.asset(), partition.is_named()), (Some(key), false));
    }

    #[test]
    fn partitions_are_in_the_order_of_their_text() {
        let ids = ["00000000-0000-7000-8000-000000000000", "abcdefab-0000-7000-8000-000000000000"];
        let names = ["a", "a-b", "abcdefab", "access", "z9"];
        let tenants = ["a", "a-", "a0", "main"];
        let texts = tenants.iter().flat_map(|tenant| {
            ids.iter().chain(&names).map(move |stream| format!("{tenant}#{stream}"))
        });
        let keys: Vec<_> = texts.map(|text| PartitionKey::from_partition(&text).unwrap()).collect();
        for (one, two) in keys.iter().flat_map(|one| keys.iter().map(move |two| (one, two))) {
            assert_eq!(one.cmp(two), one.partition().cmp(&two.partition()), "{one:?} {two:?}");
        }
    }
}
