//! Named streams, for tests of a journal's readers: the access of a tenant, and its URLs.

use chrono::{DateTime, TimeDelta};

use crate::chain::Hash;
use crate::id::{AssetId, PartitionKey, Tenant};
use crate::record::{Cause, CommandId, EventSource, StoredLine, UrlRecord};
use crate::time;
use crate::url_log::{UrlGranted, UrlLogStream, UrlMethod};

/// The key of a tenant's stream `access`, and its three events.
///
/// # Panics
/// Never: `access` is the name of a stream.
#[must_use]
pub fn access(tenant: &Tenant) -> (PartitionKey, Vec<StoredLine>) {
    let key = PartitionKey::from_partition(&format!("{tenant}#access"));
    let key = key.unwrap_or_else(|| panic!("{tenant}#access is no stream"));
    (key, events(tenant, 3))
}

/// The key of one of a tenant's streams of URLs, and its three events.
///
/// # Panics
/// Never: all of it can be written.
#[must_use]
pub fn urls(tenant: &Tenant) -> (PartitionKey, Vec<StoredLine>) {
    let start = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let stream = UrlLogStream { tenant: tenant.clone(), day: start.date_naive(), number: 2 };
    let mut lines: Vec<StoredLine> = Vec::new();
    for version in 1..=3_u32 {
        let at = start + TimeDelta::seconds(i64::from(version));
        let (actor, request) = ("key:0000000000000001/1".to_owned(), format!("r{version}"));
        let command = CommandId::fresh(version.into());
        let record = UrlRecord {
            key: stream.clone(),
            version: version.into(),
            event: UrlGranted {
                asset: AssetId::new(start, version.into()),
                version: 3,
                method: UrlMethod::Get,
                version_id: Some("v1".to_owned()),
                expires_at: at + TimeDelta::minutes(1),
            },
            cause: Cause { actor, source: EventSource::Api, request, command },
            at,
            prev: lines.last().map_or(Hash::ZERO, StoredLine::hash),
        };
        lines.push(record.line().unwrap_or_else(|error| panic!("{error}")));
    }
    (stream.into(), lines)
}

/// The first `count` events of a tenant's stream `access`: its creation, and keys.
#[must_use]
pub fn events(tenant: &Tenant, count: u64) -> Vec<StoredLine> {
    let mut lines: Vec<StoredLine> = Vec::new();
    for version in 1..=count {
        let prev = lines.last().map_or(Hash::ZERO, StoredLine::hash);
        let at = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let at = time::format(at + TimeDelta::seconds(version.cast_signed()));
        let (kind, data) = match version {
            1 => ("tenant_created", "{}".to_owned()),
            _ => (
                "key_created",
                format!(
                    r#"{{"id":"{version:016x}","name":"a b","scopes":["read"],"secret_hash":"{version:064x}"}}"#
                ),
            ),
        };
        let body = format!(
            r#"{{"tenant":"{tenant}","stream":"access","version":{version},"type":"{kind}","schema":1,"data":{data},"actor":"ann","source":"cli","at":"{at}","request":"r{version}","command":"c{version}","prev":"{prev}"}}"#
        );
        lines.push(StoredLine { version, body });
    }
    lines
}

/// The same line, with `to` for `from`.
///
/// # Panics
/// If `from` is not in it.
#[must_use]
pub fn altered(line: &StoredLine, from: &str, to: &str) -> StoredLine {
    assert!(line.body.contains(from), "{from} is not in {}", line.body);
    StoredLine { body: line.body.replace(from, to), ..line.clone() }
}
