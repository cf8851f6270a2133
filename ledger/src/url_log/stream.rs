//! The streams of a tenant's access log.

use chrono::NaiveDate;

use crate::id::{PartitionKey, StreamId, StreamKey, StreamName, Tenant};

/// Lanes of one day. A writer takes any of them, and a reader merges all.
pub const LANES: usize = 4;
/// Events of one stream: an export holds at most 64 MiB of a stream, and an event has 2 KB at most.
/// A lane continues in the stream whose number is greater by [`LANES`].
pub(super) const STREAM_MAX: u64 = 30_000;

/// What the names of the streams begin with.
const PREFIX: &str = "urls-";
/// The form of a day in a name.
const DAY: &str = "%Y%m%d";

/// The key of one stream of a tenant's access log: `<tenant>#urls-<yyyymmdd>-<number>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UrlLogStream {
    /// The tenant.
    pub tenant: Tenant,
    /// The day, in UTC.
    pub day: NaiveDate,
    /// The number of the stream: its lane, or that and a multiple of [`LANES`].
    pub number: u32,
}

impl UrlLogStream {
    /// The name of the stream.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{PREFIX}{}-{}", self.day.format(DAY), self.number)
    }

    /// The stream of this name, and of no other spelling of it.
    fn named(tenant: &Tenant, name: &str) -> Option<Self> {
        let (day, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
        let (day, number) = (NaiveDate::parse_from_str(day, DAY).ok()?, number.parse().ok()?);
        let stream = Self { tenant: tenant.clone(), day, number };
        (stream.name() == name).then_some(stream)
    }
}

impl From<UrlLogStream> for PartitionKey {
    fn from(stream: UrlLogStream) -> Self {
        let name = StreamName::of_urls(&stream.name());
        Self { tenant: stream.tenant, stream: StreamId::Named(name) }
    }
}

impl StreamKey for UrlLogStream {
    fn of(partition: &PartitionKey) -> Option<Self> {
        match &partition.stream {
            StreamId::Named(name) => Self::named(&partition.tenant, &name.to_string()),
            StreamId::Asset(_) => None,
        }
    }
}
