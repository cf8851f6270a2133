//! Notifications in the form of S3's events in EventBridge, so that the same receiver works here
//! and on AWS.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use uuid::{Builder, Uuid};

/// The account that the local bucket belongs to.
pub(super) const ACCOUNT: &str = "000000000000";
/// The region of the local bucket.
pub const REGION: &str = "us-east-1";
/// S3's tag of a delete marker: the MD5 of nothing.
const NO_BYTES: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// The client of a request, in S3's terms.
#[derive(Debug, Clone)]
pub(super) struct NotificationSource {
    /// The answer's `x-amz-request-id`.
    pub(super) request_id: String,
    /// The client's address.
    pub(super) source_ip: String,
}

/// The change of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectChange {
    /// Bytes arrived.
    Created { size: u64 },
    /// A delete marker became the current version.
    Marked,
    /// The version was removed permanently.
    Removed,
}

/// A notification without its change number.
#[derive(Debug, Clone)]
pub(super) struct PendingNotification {
    pub(super) id: u128,
    pub(super) at: DateTime<Utc>,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version_id: String,
    pub(super) caller: NotificationSource,
}

impl PendingNotification {
    /// The envelope. `etag` is `None` for a delete marker.
    ///
    /// # Errors
    /// Never, as all of it is text and numbers.
    pub(super) fn envelope(
        &self,
        change: i64,
        happened: ObjectChange,
        etag: Option<&str>,
    ) -> serde_json::Result<String> {
        let Self { bucket, key, version_id, caller, .. } = self;
        let (detail_type, reason, size) = match happened {
            ObjectChange::Created { size } => ("Object Created", "PutObject", Some(size)),
            ObjectChange::Marked | ObjectChange::Removed => {
                ("Object Deleted", "DeleteObject", None)
            }
        };
        let object = EventObject {
            etag: etag.unwrap_or(NO_BYTES),
            key,
            // Fixed length, so that text order is numeric order.
            sequencer: format!("{change:018X}"),
            size,
            version_id,
        };
        let detail = EventDetail {
            bucket: EventBucket { name: bucket },
            deletion_type: deletion(happened),
            object,
            reason,
            request_id: &caller.request_id,
            requester: ACCOUNT,
            source_ip_address: &caller.source_ip,
            version: "0",
        };
        serde_json::to_string(&EventEnvelope {
            account: ACCOUNT,
            detail,
            detail_type,
            id: Builder::from_random_bytes(self.id.to_be_bytes()).into_uuid(),
            region: REGION,
            resources: [format!("arn:aws:s3:::{bucket}")],
            source: "aws.s3",
            time: self.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            version: "0",
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct EventEnvelope<'a> {
    account: &'a str,
    detail: EventDetail<'a>,
    detail_type: &'a str,
    id: Uuid,
    region: &'a str,
    resources: [String; 1],
    source: &'a str,
    time: String,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct EventDetail<'a> {
    bucket: EventBucket<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion_type: Option<&'a str>,
    object: EventObject<'a>,
    reason: &'a str,
    request_id: &'a str,
    requester: &'a str,
    source_ip_address: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct EventBucket<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct EventObject<'a> {
    etag: &'a str,
    key: &'a str,
    sequencer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    version_id: &'a str,
}

fn deletion(happened: ObjectChange) -> Option<&'static str> {
    match happened {
        ObjectChange::Created { .. } => None,
        ObjectChange::Marked => Some("Delete Marker Created"),
        ObjectChange::Removed => Some("Permanently Deleted"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn notice() -> PendingNotification {
        PendingNotification {
            id: 7,
            at: DateTime::UNIX_EPOCH,
            bucket: "files".into(),
            key: "main/a b".into(),
            version_id: "v1".into(),
            caller: NotificationSource { request_id: "R1".into(), source_ip: "127.0.0.1".into() },
        }
    }

    fn shape(happened: ObjectChange, etag: Option<&str>) -> Value {
        serde_json::from_str(&notice().envelope(10, happened, etag).unwrap()).unwrap()
    }

    #[test]
    fn an_upload_reads_as_on_aws() {
        assert_eq!(
            shape(ObjectChange::Created { size: 5 }, Some("abc")),
            json!({
                "version": "0", "id": "00000000-0000-4000-8000-000000000007",
                "detail-type": "Object Created", "source": "aws.s3", "account": "000000000000",
                "time": "1970-01-01T00:00:00Z", "region": "us-east-1",
                "resources": ["arn:aws:s3:::files"],
                "detail": {
                    "version": "0", "bucket": { "name": "files" },
                    "object": { "key": "main/a b", "size": 5, "etag": "abc", "version-id": "v1",
                                "sequencer": "00000000000000000A" },
                    "request-id": "R1", "requester": "000000000000",
                    "source-ip-address": "127.0.0.1", "reason": "PutObject"
                }
            })
        );
    }

    #[test]
    fn a_deletion_says_which_kind_and_no_size() {
        let marked = shape(ObjectChange::Marked, None);
        assert_eq!(marked["detail-type"], "Object Deleted");
        assert_eq!(marked["detail"]["deletion-type"], "Delete Marker Created");
        assert_eq!(marked["detail"]["object"]["etag"], NO_BYTES);
        let removed = shape(ObjectChange::Removed, Some("abc"));
        assert_eq!(removed["detail"]["deletion-type"], "Permanently Deleted");
        assert_eq!(removed["detail"]["reason"], "DeleteObject");
        assert!(removed["detail"]["object"].get("size").is_none());
    }
}
