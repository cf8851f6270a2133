//! Reads notifications in the two forms of AWS: through EventBridge, one event in each message, and
//! directly, a list of records.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::s3::S3EventRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::percent;

/// Bytes of S3's request id that an event stores.
const REQUEST_MAX: usize = 64;
/// EventBridge's name for every removal, of a version or by a delete marker.
const DELETED: &str = "Object Deleted";
/// The direct notifications' names for removals of a version. Delete markers have other names.
const REMOVED: [&str; 2] = ["ObjectRemoved:Delete", "LifecycleExpiration:Delete"];

/// The useful content of a notification: the object, and the removed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketNotice {
    /// An object changed.
    Object {
        /// The bucket's name.
        bucket: String,
        /// The object's key, decoded.
        key: String,
        /// S3's id of the request.
        request: String,
        /// The version that was removed permanently, if one was.
        removed: Option<String>,
    },
    /// `s3:TestEvent`: notifications were set up.
    Test,
}

/// The message is not a notification of S3.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// It does not have S3's form.
    #[error("it is not of the form that S3 sends")]
    Form(#[from] serde_json::Error),
    /// It has S3's form, but names no object.
    #[error("it does not say which object it is about")]
    NoObject,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Detail {
    bucket: BucketName,
    object: ObjectKey,
    #[serde(default)]
    request_id: String,
}

#[derive(Deserialize, Serialize)]
struct BucketName {
    name: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ObjectKey {
    key: String,
    #[serde(default)]
    version_id: Option<String>,
}

/// Reads every notification in a message.
pub fn decode(message: &str) -> Vec<Result<BucketNotice, NoticeError>> {
    match serde_json::from_str::<Value>(message) {
        Err(error) => vec![Err(error.into())],
        Ok(Value::Object(mut fields)) => match fields.remove("Records") {
            Some(Value::Array(records)) => records.into_iter().map(direct).collect(),
            _ if fields.get("Event").is_some_and(|event| event == "s3:TestEvent") => {
                vec![Ok(BucketNotice::Test)]
            }
            _ => vec![event_bridge(fields.into())],
        },
        Ok(_) => vec![Err(NoticeError::NoObject)],
    }
}

fn event_bridge(event: Value) -> Result<BucketNotice, NoticeError> {
    let EventBridgeEvent { source, detail, detail_type, .. } =
        serde_json::from_value::<EventBridgeEvent<Detail>>(event)?;
    if source != "aws.s3" {
        return Err(NoticeError::NoObject);
    }
    let Detail { bucket, object, request_id } = detail;
    // For a delete marker this is the marker's own id, which no asset pins.
    let removed = object.version_id.filter(|_| detail_type == DELETED);
    let (bucket, request) = (bucket.name, visible(&request_id));
    Ok(BucketNotice::Object { bucket, key: object.key, request, removed })
}

fn direct(record: Value) -> Result<BucketNotice, NoticeError> {
    let record: S3EventRecord = serde_json::from_value(record)?;
    let bucket = record.s3.bucket.name.ok_or(NoticeError::NoObject)?;
    let encoded = record.s3.object.key.ok_or(NoticeError::NoObject)?;
    let request = record.response_elements.get("x-amz-request-id").map_or("", String::as_str);
    let what = record.event_name.as_deref().map(|name| name.strip_prefix("s3:").unwrap_or(name));
    let gone = what.is_some_and(|what| REMOVED.contains(&what));
    let removed = record.s3.object.version_id.filter(|_| gone);
    Ok(BucketNotice::Object {
        bucket,
        // Direct notifications contain the key in form encoding.
        key: percent::decode_form_lossy(&encoded),
        request: visible(request),
        removed,
    })
}

/// A request id that is safe to store: short and visible, from any sender.
fn visible(request: &str) -> String {
    request.chars().filter(char::is_ascii_graphic).take(REQUEST_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: &str = r#"{"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type":"Object Created","source":"aws.s3","account":"111122223333",
        "time":"2021-11-12T00:00:00Z","region":"ca-central-1","resources":["arn:aws:s3:::files"],
        "detail":{"version":"0","bucket":{"name":"files"},"object":{"key":"main/a b","size":5,
        "etag":"b1946ac92492d2347c6235b4d2611184","version-id":"IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
        "sequencer":"617f08299329d189"},"request-id":"N4N7GDK58NMKJ12R",
        "requester":"123456789012","source-ip-address":"1.2.3.4","reason":"PutObject"}}"#;

    fn direct_with(key: &str) -> String {
        format!(
            r#"{{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-east-1",
            "eventTime":"1970-01-01T00:00:00.123Z","eventName":"ObjectCreated:Put",
            "userIdentity":{{"principalId":"EXAMPLE"}},
            "requestParameters":{{"sourceIPAddress":"127.0.0.1"}},
            "responseElements":{{"x-amz-request-id":"C3D13FE58DE4C810"}},
            "s3":{{"s3SchemaVersion":"1.0","configurationId":"x","bucket":{{"name":"files"}},
            "object":{{"key":"{key}","size":1024,"versionId":"v","eTag":"e","sequencer":"1"}}}}}}"#
        )
    }

    fn object(key: &str, request: &str) -> BucketNotice {
        let (key, request) = (key.to_owned(), request.to_owned());
        BucketNotice::Object { bucket: "files".to_owned(), key, request, removed: None }
    }

    fn only(message: &str) -> Result<BucketNotice, NoticeError> {
        let mut notices = decode(message);
        assert_eq!(notices.len(), 1);
        notices.remove(0)
    }

    #[test]
    fn event_bridge_sends_keys_as_they_are() {
        assert_eq!(only(CREATED).unwrap(), object("main/a b", "N4N7GDK58NMKJ12R"));
        let plus = CREATED.replace("a b", "a+b%20");
        assert_eq!(only(&plus).unwrap(), object("main/a+b%20", "N4N7GDK58NMKJ12R"));
    }

    #[test]
    fn direct_notifications_encode_keys() {
        let message = format!(r#"{{"Records":[{}]}}"#, direct_with("main/a+b%2Bc%F0%9F%A6%80"));
        assert_eq!(only(&message).unwrap(), object("main/a b+c🦀", "C3D13FE58DE4C810"));
    }

    #[test]
    fn a_removal_names_the_version_that_was_removed() {
        let removed = |message: &str| match only(message).unwrap() {
            BucketNotice::Object { removed, .. } => removed,
            BucketNotice::Test => panic!("a test event"),
        };
        let id = || Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e".to_owned());
        assert_eq!(removed(CREATED), None);
        assert_eq!(removed(&CREATED.replace("Object Created", "Object Deleted")), id());
        let nameless = CREATED.replace("Object Created", "Object Deleted");
        assert_eq!(removed(&nameless.replace("version-id", "other")), None);
        for (name, gone) in [
            ("ObjectRemoved:Delete", true),
            ("s3:ObjectRemoved:Delete", true),
            ("LifecycleExpiration:Delete", true),
            ("ObjectRemoved:DeleteMarkerCreated", false),
            ("ObjectCreated:Copy", false),
        ] {
            let record = direct_with("main/1").replace("ObjectCreated:Put", name);
            let message = format!(r#"{{"Records":[{record}]}}"#);
            assert_eq!(removed(&message), gone.then(|| "v".to_owned()), "{name}");
        }
    }

    #[test]
    fn a_bad_record_fails_none_beside_it() {
        let (one, two) = (direct_with("main/1"), direct_with("main/2"));
        let notices = decode(&format!(r#"{{"Records":[{one},{{"s3":7}},null,{two}]}}"#));
        let good: Vec<bool> = notices.iter().map(Result::is_ok).collect();
        assert_eq!(good, [true, false, false, true]);
    }

    #[test]
    fn what_is_not_a_notification_is_unreadable() {
        let other = CREATED.replace("aws.s3", "aws.ec2");
        for message in ["", "{}", "[]", "7", "{\"Records\":7}", "not json", &other] {
            assert!(only(message).is_err(), "{message}");
        }
        assert!(decode(r#"{"Records":[]}"#).is_empty());
    }

    #[test]
    fn the_test_event_is_known() {
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"files"}"#;
        assert_eq!(only(test).unwrap(), BucketNotice::Test);
    }

    #[test]
    fn a_request_id_is_kept_short_and_visible() {
        let hostile = format!("{}\\u0000\\n{}", "N4N", "x".repeat(99));
        let message = CREATED.replace("N4N7GDK58NMKJ12R", &hostile);
        let Ok(BucketNotice::Object { request, .. }) = only(&message) else { panic!("unreadable") };
        assert_eq!(request, format!("N4N{}", "x".repeat(61)));
    }
}
