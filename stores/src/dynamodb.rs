//! Shared code of the DynamoDB adapters: the classification of errors, careful reading of items,
//! and metering of consumed units.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity};

use ledger::command_label;
use ledger::error::{StoreError, StoreErrorKind};

/// An item as the SDK returns it.
pub type DynamoItem = HashMap<String, AttributeValue>;

/// A failed request. `doing` names its purpose.
pub fn failed<E>(doing: impl Into<String>, error: SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let service = error.as_service_error();
    let code = service.and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let message = service.and_then(ProvideErrorMetadata::message).unwrap_or_default();
    let doing = match remedy(code, message) {
        Some(ask) => format!("{} ({ask})", doing.into()),
        None => doing.into(),
    };
    StoreError::caused(kind(&error), doing, error)
}

/// The most likely cause, if the refusal does not state it.
fn remedy(code: &str, message: &str) -> Option<&'static str> {
    let of_time = message.starts_with("Signature expired") || message.contains("not yet current");
    match code {
        "InvalidSignatureException" if of_time => Some("is this machine's clock right?"),
        "ExpiredTokenException" => Some("who renews these credentials?"),
        _ => None,
    }
}

/// The kind of the error.
fn kind<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> StoreErrorKind {
    match error {
        SdkError::ServiceError(answer) => {
            let (code, message) = (answer.err().code(), answer.err().message());
            refused(
                answer.raw().status().as_u16(),
                code.unwrap_or_default(),
                message.unwrap_or_default(),
            )
        }
        SdkError::ConstructionFailure(_) => StoreErrorKind::Misconfigured,
        SdkError::DispatchFailure(failure) if failure.is_user() => StoreErrorKind::Misconfigured,
        // Timeouts, broken connections, and answers that are not from DynamoDB.
        _ => StoreErrorKind::Unavailable,
    }
}

fn refused(status: u16, code: &str, message: &str) -> StoreErrorKind {
    match code {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded" => StoreErrorKind::Throttled,
        // Refused because of a concurrent change.
        "TransactionConflictException" | "ReplicatedWriteConflictException" => {
            StoreErrorKind::Unavailable
        }
        // Only this item is affected.
        "ItemCollectionSizeLimitExceededException" => StoreErrorKind::Corrupt,
        "ValidationException" if message.contains("Item size") => StoreErrorKind::Corrupt,
        _ if status >= 500 => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Misconfigured,
    }
}

/// Why an item is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// It is missing, or of another type.
    #[error("attribute {0:?} is missing or of another type")]
    Attribute(&'static str),
    /// The item has another key than the requested one.
    #[error("it is another item than was asked for")]
    Key,
}

/// A text attribute.
pub fn text<'a>(item: &'a DynamoItem, name: &'static str) -> Result<&'a str, ItemError> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or(ItemError::Attribute(name))
}

/// A number attribute.
pub fn number<T: FromStr>(item: &DynamoItem, name: &'static str) -> Result<T, ItemError> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value.and_then(|digits| digits.parse().ok()).ok_or(ItemError::Attribute(name))
}

/// Counts the units that a table's requests consume, as `asset_ledger_consumed_units`.
///
/// Units come in halves and counters are whole: the remainder is carried to the next request.
#[derive(Debug)]
pub struct CapacityMeter {
    table: String,
    carried: Mutex<BTreeMap<(&'static str, &'static str), f64>>,
}

impl CapacityMeter {
    /// A meter of one table.
    #[must_use]
    pub fn new(table: String) -> Self {
        Self { table, carried: Mutex::default() }
    }

    /// Counts the units that an operation consumed, if the endpoint reported them.
    pub fn count(&self, operation: &'static str, consumed: Option<&ConsumedCapacity>) {
        let Some(units) = consumed.and_then(ConsumedCapacity::capacity_units) else { return };
        let command = command_label::current();
        let whole = self.carry((command, operation), units);
        let table = self.table.clone();
        metrics::counter!("asset_ledger_consumed_units",
            "command" => command, "operation" => operation, "table" => table)
        .increment(whole);
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no unit is owed")]
    fn carry(&self, what: (&'static str, &'static str), units: f64) -> u64 {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = carried.entry(what).or_default();
        *sum += units.max(0.0);
        let whole = sum.floor();
        *sum -= whole;
        whole as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_the_kind_that_its_code_says() {
        use StoreErrorKind as K;
        for (status, code, message, kind) in [
            (400, "ProvisionedThroughputExceededException", "", K::Throttled),
            (400, "ThrottlingException", "", K::Throttled),
            (400, "RequestLimitExceeded", "", K::Throttled),
            (500, "InternalServerError", "", K::Unavailable),
            (503, "", "", K::Unavailable),
            (400, "TransactionConflictException", "", K::Unavailable),
            (400, "ResourceNotFoundException", "", K::Misconfigured),
            (400, "AccessDeniedException", "", K::Misconfigured),
            (400, "UnrecognizedClientException", "", K::Misconfigured),
            (400, "InvalidSignatureException", "Signature expired: …", K::Misconfigured),
            (400, "ExpiredTokenException", "", K::Misconfigured),
            (400, "ValidationException", "The provided key element …", K::Misconfigured),
            (400, "ValidationException", "Item size has exceeded the maximum …", K::Corrupt),
            (400, "", "", K::Misconfigured),
        ] {
            assert_eq!(refused(status, code, message), kind, "{status} {code} {message}");
        }
    }

    #[test]
    fn a_wrong_clock_and_old_credentials_are_told_from_a_wrong_key() {
        let (signature, token) = ("InvalidSignatureException", "ExpiredTokenException");
        let expired = "Signature expired: 20261125T120000Z is now earlier than 20261125T121000Z";
        let early = "Signature not yet current: 20261125T140000Z is still later than …";
        let wrong = "The request signature we calculated does not match the signature you provided";
        let clock = Some("is this machine's clock right?");
        assert_eq!([expired, early].map(|message| remedy(signature, message)), [clock; 2]);
        assert_eq!(remedy(signature, wrong), None);
        assert_eq!(remedy(token, ""), Some("who renews these credentials?"));
        assert_eq!(remedy("AccessDeniedException", expired), None);
    }

    #[test]
    fn attributes_are_of_their_type_or_refused() {
        let number_of = |digits: &str| AttributeValue::N(digits.to_owned());
        let item = DynamoItem::from([
            ("text".to_owned(), AttributeValue::S("7".to_owned())),
            ("number".to_owned(), number_of("7")),
            ("negative".to_owned(), number_of("-7")),
            ("fraction".to_owned(), number_of("7.5")),
        ]);
        assert_eq!(text(&item, "text"), Ok("7"));
        assert_eq!(number::<u64>(&item, "number"), Ok(7));
        assert_eq!(text(&item, "number"), Err(ItemError::Attribute("number")));
        for name in ["text", "negative", "fraction", "missing"] {
            assert_eq!(number::<u64>(&item, name), Err(ItemError::Attribute(name)));
        }
    }

    #[test]
    fn half_units_are_carried_until_they_are_whole() {
        let meter = CapacityMeter::new("table".to_owned());
        let counted: Vec<_> =
            [0.5, 0.5, 1.5, 2.0, 0.5].map(|u| meter.carry(("get", "Query"), u)).into();
        assert_eq!(counted, [0, 1, 1, 2, 1]);
        for other in [("get", "GetItem"), ("list", "Query")] {
            assert_eq!(meter.carry(other, 0.5), 0, "operations and commands are counted apart");
        }
    }
}
