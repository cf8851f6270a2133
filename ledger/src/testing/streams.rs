//! A named stream, for tests of a journal's readers: the access of a tenant.

use chrono::{DateTime, TimeDelta};

use crate::chain::Hash;
use crate::id::{PartitionKey, Tenant};
use crate::record::StoredLine;
use crate::time;

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
